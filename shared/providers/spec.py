"""What the registry knows of a provider before there is a credential: where it is and which key it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.addresses import check_address
from shared.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from shared.providers.base import Provider
    from shared.providers.http import Budget

MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class KeySetting:
    """A setting that may hold the credential; its value counts only if it begins with `prefix`."""

    setting: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """One provider of the registry.

    `make(key, base_url, http, budget)` builds it without sending anything; `key_settings` are tried in order;
    `key_needed` is the sentence for a reader whose key is missing or refused.
    """

    name: str
    title: str
    make: Callable[[str, str, httpx.Client, Budget], Provider]
    base_url: str
    key_settings: tuple[KeySetting, ...]
    key_needed: str

    @property
    def base_url_setting(self) -> str:
        """Return the name of the setting that replaces `base_url`."""
        return f"{self.name.upper()}_BASE_URL"

    def find_key(self, settings: Mapping[str, str]) -> str | None:
        """Return the first usable credential among `settings` (by their names), or None: say `key_needed` then."""
        for candidate in self.key_settings:
            value = settings.get(candidate.setting, "").strip()
            if value and value.startswith(candidate.prefix):
                return value
        return None

    def connect(self, key: str, http: httpx.Client, budget: Budget, base_url: str | None = None) -> Provider:
        """Return the provider bound to a credential; nothing is sent.

        Raises:
            SettingError: `base_url` is not acceptable.
            CredentialError: the key cannot be one.
        """
        return self.make(key.strip(), check_base_url(self.base_url_setting, base_url or self.base_url), http, budget)


def check_base_url(setting: str, value: str) -> str:
    """Return a provider's address without its last slash.

    Raises:
        SettingError: it is not acceptable (see `shared.addresses.check_address`).
    """
    try:
        return check_address(value)
    except ValueError as error:
        raise SettingError(f"{setting} {error}.") from None
