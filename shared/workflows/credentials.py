"""Providers opened with an account's credential: for a collection, or to try it before anybody relies on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.errors import ProviderError, SettingError
from shared.providers.diagnosis import Diagnosis, diagnose
from shared.providers.spec import BASE_URL

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from shared.errors import CostTrackerError
    from shared.providers.base import Bucket, Name, Owner, Page, Provider, Row, Stream, Window
    from shared.providers.http import Budget
    from shared.providers.spec import ProviderSpec


@dataclass(slots=True)
class Unusable:
    """Stands in for the provider of an account whose credential cannot be used: it fails with the reason when asked."""

    name: str
    error: CostTrackerError
    streams: tuple[Stream, ...] = ()

    def owner(self) -> Owner:
        """Fail as `Provider.owner` may."""
        raise self.error if isinstance(self.error, ProviderError) else ProviderError(str(self.error)) from self.error

    def names(self) -> tuple[Name, ...]:
        """Return nothing; `owner` is asked first."""
        return ()

    def fetch(self, _stream: Stream, _window: Window, _cursor: str | None) -> Page:
        """Fail as `owner` does."""
        raise ProviderError(str(self.error)) from self.error

    def parse(self, _stream: Stream, _row: Row) -> Bucket:
        """Fail: there are no rows."""
        raise AssertionError("nothing was fetched")


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of trying a credential: its owner, or what is wrong with it."""

    owner: Owner | None
    diagnosis: Diagnosis | None


def check(
    spec: ProviderSpec, key: str, options: Mapping[str, str], base_url: str | None, http: httpx.Client, budget: Budget
) -> Checked:
    """Ask the provider whom a credential belongs to, by its cheapest call and within the budget; nothing is stored.

    `base_url` is where to ask unless the options say.
    """
    try:
        owner = connect(spec, key, options, base_url, http, budget).owner()
    except (ProviderError, SettingError) as error:
        return Checked(None, diagnose(spec, key, error))
    return Checked(owner, None)


def connect(
    spec: ProviderSpec, key: str, options: Mapping[str, str], base_url: str | None, http: httpx.Client, budget: Budget
) -> Provider:
    """Return the provider of an account; its own options come before the settings.

    Raises:
        SettingError, CredentialError: as `ProviderSpec.connect`.
    """
    own = {name: value for name, value in options.items() if name != BASE_URL}
    return spec.connect(key, http, budget, options.get(BASE_URL, base_url), own)
