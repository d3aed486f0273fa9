"""Which accounts are polled and with what: those whose key is a setting, and those whose credential is stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from functions.logs import hide_texts
from shared.errors import CostTrackerError, NotFoundError, SettingError, UnreadableCredentialError
from shared.providers.http import Budget
from shared.providers.registry import REGISTRY
from shared.store import account_settings, accounts
from shared.workflows.collect import Source
from shared.workflows.credentials import Unusable, connect
from shared.workflows.sealing import binding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from functions.runtime import App
    from shared.providers.base import Provider
    from shared.providers.spec import ProviderSpec
    from shared.store.accounts import Account
    from shared.store.database import Connection

# A provider, opened for so many seconds.
Bind: TypeAlias = "Callable[[float], Provider]"


@dataclass(frozen=True, slots=True)
class Given:
    """An account whose credential is a setting, or the demo's."""

    name: str
    provider: str
    origin: str
    setting: str
    key: str = field(repr=False)
    options: Mapping[str, str] = field(default_factory=dict)


def given(app: App) -> dict[str, Given]:
    """Return the accounts whose credential is a setting, by name."""
    credentials = app.settings.credentials()
    origin, suffix = ("demo", "-demo") if app.is_demo else ("environment", "")
    return {
        f"{name}{suffix}": Given(
            f"{name}{suffix}", name, origin, setting, credentials[setting].strip(), _options(app, spec)
        )
        for name, spec in REGISTRY.items()
        if (setting := spec.find_setting(credentials)) is not None
    }


def _options(app: App, spec: ProviderSpec) -> dict[str, str]:
    found = {one.name: getattr(app.settings, one.setting.lower()) for one in spec.options if one.setting is not None}
    return {name: value for name, value in found.items() if value is not None}


def reserved_names() -> set[str]:
    """Return the names that accounts have, or may come to have, whose credential is a setting."""
    return {name for provider in REGISTRY for name in (provider, f"{provider}-demo")}


def ensure_given(app: App, connection: Connection) -> None:
    """Store the accounts whose credential is a setting, so that they have ids before their first collection."""
    known = {account.name for account in accounts.everyone(connection)}
    for one in given(app).values():
        if one.name not in known:
            accounts.ensure(connection, one.name, one.provider, one.origin)


def polled(app: App, everyone: Iterable[Account]) -> list[Account]:
    """Return those of `everyone` that have a credential now; one whose key was taken away is not polled any more."""
    names = given(app)
    return [account for account in everyone if account.has_credential or account.name in names]


def is_awaited(account: Account) -> bool:
    """Return whether reports of an account are still to come; events, entries and balances are never complete."""
    spec = REGISTRY.get(account.provider)
    has_reports = account.covered_from is not None if spec is None else spec.has_reports
    return account.is_reported and account.is_open and has_reports


def sources(app: App, seconds: float, provider: str | None = None, account: str | None = None) -> list[Source]:
    """Return every polled account, or those of a provider or of a name, each bound to a budget of `seconds` of its own.

    A stored credential that cannot be read fails that account when it is asked, and nobody else.

    Raises:
        DatabaseUnavailableError: the stored accounts cannot be read.
    """
    found = [
        _source(one.name, one.origin, None, partial(_opened, app, one.provider, one.key, one.options), seconds)
        for one in given(app).values()
        if provider in {None, one.provider} and account in {None, one.name}
    ]
    # What real keys open has no place beside invented figures.
    rows = [] if app.is_demo else app.database.run(lambda c: account_settings.sealed(c, provider, account))
    return found + [_source(row["name"], "stored", row["id"], _stored(app, row), seconds) for row in rows]


def key_of(app: App, account: Mapping[str, Any]) -> str:
    """Return the credential of an account (`id, name, provider, options`).

    Raises:
        NotFoundError: it has none.
        UnreadableCredentialError, SettingError: it cannot be decrypted.
    """
    one = given(app).get(account["name"])
    if one is not None:
        return one.key
    rows = app.database.run(lambda c: account_settings.sealed(c, account["provider"], account["name"]))
    if not rows:
        raise NotFoundError(f"The account {account['name']} has no credential.")
    return _key(app, rows[0])


def _key(app: App, row: Mapping[str, Any]) -> str:
    key = app.sealer.open(bytes(row["credential"]), binding(row["id"], row["provider"], row["options"]))
    hide_texts([key])
    return key


def _source(name: str, origin: str, account_id: int | None, bind: Bind, seconds: float) -> Source:
    return Source(name, origin, bind(seconds), account_id, bind)


def _stored(app: App, row: Mapping[str, Any]) -> Bind:
    try:
        return partial(_opened, app, row["provider"], _key(app, row), row["options"])
    except (UnreadableCredentialError, SettingError) as error:
        unusable = Unusable(row["provider"], error)
        return lambda _seconds: unusable


def _opened(app: App, provider: str, key: str, options: Mapping[str, str], seconds: float) -> Provider:
    spec = REGISTRY.get(provider)
    if spec is None:
        return Unusable(provider, SettingError(f"{provider} cannot be polled by this version; delete the account."))
    try:
        budget = Budget.lasting(seconds, app.clock)
        return connect(spec, key, options, app.settings.base_url(provider), app.http, budget)
    except CostTrackerError as error:
        return Unusable(provider, error)
