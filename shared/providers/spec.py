"""What the registry knows of a provider before there is a credential: where it is and which key it needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from shared.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from shared.providers.base import Provider
    from shared.providers.http import Budget

MAX_PORT = 65_535
# The option that every account may have, whoever its provider is: an address of its own.
BASE_URL = "base_url"
_LONGEST_OPTION = 200


@dataclass(frozen=True, slots=True)
class KeySetting:
    """A setting that may hold the credential; its value counts only if it begins with `prefix`."""

    setting: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class WrongKey:
    """A kind of key that cannot read reports, known by how it begins; `is_what` goes into "This is ..."."""

    prefix: str
    is_what: str


@dataclass(frozen=True, slots=True)
class Option:
    """What an account of a provider may say besides its credential: a text, one of `choices` if there are any.

    All of it matches `pattern` if there is one, as `example` does. `setting` is where an account says it whose key is
    a setting.
    """

    name: str
    description: str
    is_required: bool = False
    choices: tuple[str, ...] = ()
    setting: str | None = None
    pattern: str | None = None
    example: str = ""


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """One provider of the registry.

    `make(key, base_url, http, budget, **options)` builds it without sending anything; `key_settings` are tried in
    order; `key_needed` is the sentence for a reader whose key is missing or refused, `wrong_keys` are kinds that people
    take for it. `options` are those of a stored account, all but `base_url` handed to `make` by name; of those in
    `exactly_one_of` it has one.
    `has_reports` is False where only balances or requests to others are told: nothing is ever complete or late.
    `posts_late` says that what is used goes out of a balance at the end of a month only, so that its differences say
    nothing of how long it lasts.
    """

    name: str
    title: str
    make: Callable[..., Provider]
    base_url: str
    key_settings: tuple[KeySetting, ...]
    key_needed: str
    wrong_keys: tuple[WrongKey, ...] = ()
    options: tuple[Option, ...] = ()
    exactly_one_of: tuple[str, ...] = ()
    has_reports: bool = True
    posts_late: bool = False

    @property
    def base_url_setting(self) -> str:
        """Return the name of the setting that replaces `base_url`."""
        return f"{self.name.upper().replace('-', '_')}_BASE_URL"

    def find_key(self, settings: Mapping[str, str]) -> str | None:
        """Return the first usable credential among `settings` (by their names), or None: say `key_needed` then."""
        name = self.find_setting(settings)
        return None if name is None else settings[name].strip()

    def find_setting(self, settings: Mapping[str, str]) -> str | None:
        """Return the name of the setting that `find_key` takes the credential from, None if there is none."""
        for candidate in self.key_settings:
            value = settings.get(candidate.setting, "").strip()
            if value and value.startswith(candidate.prefix):
                return candidate.setting
        return None

    def check_options(self, given: Mapping[str, Any]) -> dict[str, str]:
        """Return an account's options as they are stored; nulls are left out.

        Raises:
            OptionError: one is unknown, missing, or not acceptable.
        """
        known = {BASE_URL: Option(BASE_URL, "Where the provider answers."), **{one.name: one for one in self.options}}
        if unknown := sorted(set(given) - set(known)):
            names = ", ".join(known)
            raise OptionError(unknown[0], f"{self.title} has no option {unknown[0][:60]!r}; known are {names}.")
        found = {name: _option(known[name], value) for name, value in given.items() if value is not None}
        for option in self.options:
            if option.is_required and option.name not in found:
                raise OptionError(option.name, f"{self.title} needs the option {option.name}: {option.description}")
        chosen = [name for name in self.exactly_one_of if name in found]
        if self.exactly_one_of and len(chosen) != 1:
            *others, last = self.exactly_one_of
            said = f", not {' and '.join(chosen)} together" if chosen else ""
            wrong = chosen[-1] if chosen else self.exactly_one_of[0]
            raise OptionError(wrong, f"{self.title} needs one of the options {', '.join(others)} or {last}{said}.")
        return found

    def connect(
        self,
        key: str,
        http: httpx.Client,
        budget: Budget,
        base_url: str | None = None,
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> Provider:
        """Return the provider bound to a credential; nothing is sent.

        Raises:
            SettingError: `base_url` is not acceptable.
            CredentialError: the key cannot be one.
        """
        address = check_base_url(self.base_url_setting, base_url or self.base_url)
        return self.make(key.strip(), address, http, budget, **options)


def _address(value: str) -> str:
    # Brings an HTTP library along, which not everybody who knows of providers needs.
    from shared.addresses import check_address  # noqa: PLC0415 - not every option is one

    return check_address(value)


class OptionError(ValueError):
    """An option of an account that cannot be taken; the message is one sentence, `name` the option."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def _option(option: Option, value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > _LONGEST_OPTION or not value.isprintable():
        raise OptionError(
            option.name, f"The option {option.name} must be text of 1 to {_LONGEST_OPTION} printable characters."
        )
    text = value.strip()
    if option.choices and text not in option.choices:
        raise OptionError(option.name, f"The option {option.name} must be one of {', '.join(option.choices)}.")
    if option.pattern is not None and not re.fullmatch(option.pattern, text, re.ASCII):
        raise OptionError(option.name, f"The option {option.name} must look like {option.example}.")
    if option.name == BASE_URL:
        try:
            return _address(text)
        except ValueError as error:
            raise OptionError(option.name, f"The option {option.name} {error}.") from None
    return text


def check_base_url(setting: str, value: str) -> str:
    """Return a provider's address without its last slash.

    Raises:
        SettingError: it is not acceptable (see `shared.addresses.check_address`).
    """
    try:
        return _address(value)
    except ValueError as error:
        raise SettingError(f"{setting} {error}.") from None
