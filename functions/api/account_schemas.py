"""Accounts as the API shows and takes them: never a credential on the way out, every field checked on the way in."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from functions import sources
from functions.api import balances
from functions.api.errors import nearest, refuse_unknown
from functions.api.schemas import (
    COUNT,
    FLAG,
    INSTANT,
    INSTANT_OR_NULL,
    INTEGER,
    MONEY_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    schema,
)
from shared.core.conventions import EventError
from shared.core.labels import check_label
from shared.core.money import parse_money
from shared.core.naming import provider_id
from shared.errors import InvalidInputError
from shared.providers.registry import REGISTRY
from shared.providers.spec import OptionError
from shared.store.accounts import defaults

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    from functions.runtime import App
    from shared.providers.spec import ProviderSpec
    from shared.store.accounts import Account

RESERVED = "none"  # what reports call the events that belong to no account
STATES = ("new", "ok", "credential_refused", "failing", "not_polled", "archived", "deleting")
_SECONDS_OR_NULL = {"type": ["integer", "null"], "minimum": 0}
_OPTIONS = {"type": "object", "additionalProperties": {"type": "string"}}
ACCOUNT = schema(
    {
        "id": INTEGER,
        "name": TEXT,
        "provider": TEXT,
        "origin": {"type": "string", "enum": ["environment", "demo", "stored"]},
        "setting": {
            **TEXT_OR_NULL,
            "description": "The setting that holds the credential; such accounts are read-only",
        },
        "default": {**FLAG, "description": "Events of its provider that name no account belong to it"},
        "has_credential": {**FLAG, "description": "It is polled; the credential itself is never shown"},
        "options": _OPTIONS,
        "monthly_limit": {**MONEY_OR_NULL, "description": "USD a month, for budgets; null for none"},
        "state": {"type": "string", "enum": list(STATES)},
        "error": {**TEXT_OR_NULL, "description": "What went wrong with the last collection, and what to do"},
        "covered_from": {**INSTANT_OR_NULL, "description": "From here to complete_until the report is the total"},
        "complete_until": INSTANT_OR_NULL,
        "collected_at": {**INSTANT_OR_NULL, "description": "The last collection that went well"},
        "lag_seconds": {**_SECONDS_OR_NULL, "description": "How far complete_until is behind now; null if not polled"},
        "usual_lag_seconds": {**_SECONDS_OR_NULL, "description": "The median after the latest collections"},
        **balances.SHAPES,
        "quarantined_rows": {**COUNT, "description": "Rows of its reports that look absurd, in no total"},
        "archived_at": INSTANT_OR_NULL,
        "created_at": INSTANT,
    }
)
FIELDS = {
    "name": {"type": "string", "minLength": 1},
    "provider": {"type": "string", "minLength": 1},
    "credential": {**TEXT_OR_NULL, "writeOnly": True, "description": "Stored encrypted; null or left out: not polled"},
    "options": {**_OPTIONS, "description": "As the provider has them; every one has base_url"},
    "default": FLAG,
    "monthly_limit": {**MONEY_OR_NULL, "description": "USD a month; null for none"},
}
CHANGES = {name: value for name, value in FIELDS.items() if name != "provider"}
_LONGEST = 300
# KMS encrypts at most 4 KB.
_LONGEST_CREDENTIAL = 3000


def shown(
    app: App,
    rows: Sequence[Mapping[str, Any]],
    everyone: Sequence[Account],
    now: datetime,
    prepaid: Mapping[int, dict[str, Any]] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Return accounts (`store.account_settings.everyone`) in the shape of the contract.

    `prepaid` is what `balances.read` found of them.
    """
    given, chosen = sources.given(app), defaults(everyone)
    return [
        {
            **_shown(row, given.get(row["name"]), chosen.get(row["provider"]) == row["id"], now),
            **({} if row["archived_at"] else prepaid.get(row["id"], {})),
        }
        for row in rows
    ]


def _shown(row: Mapping[str, Any], given: sources.Given | None, is_default: bool, now: datetime) -> dict[str, Any]:  # noqa: FBT001 - private
    is_polled = given is not None or row["has_credential"]
    complete = row["complete_until"] if is_polled else None
    if row["deleting_at"] is not None or row["archived_at"] is not None:
        state = "archived" if row["deleting_at"] is None else "deleting"
    else:
        state = row["state"] if is_polled else "not_polled"
    return {
        "id": row["id"],
        "name": row["name"],
        "provider": row["provider"],
        "origin": row["origin"],
        "setting": None if given is None else given.setting,
        "default": is_default,
        "has_credential": is_polled,
        "options": row["options"],
        "monthly_limit": row["monthly_limit"],
        "state": state,
        "error": row["error"] if is_polled else None,
        "covered_from": row["covered_from"],
        "complete_until": row["complete_until"],
        "collected_at": row["collected_at"],
        "lag_seconds": None if complete is None else max(int((now - complete).total_seconds()), 0),
        "usual_lag_seconds": row["usual_lag_seconds"] if is_polled else None,
        "balance": [],
        "runway": [],
        "quarantined_rows": row["quarantined_rows"],
        "archived_at": row["archived_at"],
        "created_at": row["created_at"],
    }


def read_name(body: Mapping[str, Any]) -> str:
    """Return the name an account is to have.

    Raises:
        InvalidInputError: it is missing, too long, or one that is taken by rule.
    """
    name = _text(body, "name")
    if name == RESERVED:
        raise wrong("name", f"An account cannot be called {RESERVED}: reports call events without one so.")
    if name in sources.reserved_names():
        raise wrong("name", f"An account cannot be called {name}: that is the one whose key is a setting.")
    return name


def read_provider(body: Mapping[str, Any]) -> str:
    """Return the provider of an account by our name; raises as `read_name`."""
    return provider_id(_text(body, "provider"))


def read_credential(body: Mapping[str, Any]) -> str | None:
    """Return the credential that was sent, None without one; the error does not repeat it.

    Raises:
        InvalidInputError: it cannot be one.
    """
    value = body.get("credential")
    if value is None:
        return None
    text = value.strip() if isinstance(value, str) else ""
    if not text or len(text) > _LONGEST_CREDENTIAL or " " in text or not (text.isascii() and text.isprintable()):
        raise wrong("credential", "The credential is empty or holds characters that no key has; paste it again.")
    return text


def read_options(body: Mapping[str, Any], provider: str) -> dict[str, str]:
    """Return an account's options, as its provider declares them; raises as `read_name`."""
    value = body.get("options")
    if value is None or value == {}:
        spec = REGISTRY.get(provider)
        return {} if spec is None or body.get("credential") is None else _checked(spec, {})
    if not isinstance(value, dict):
        raise wrong("options", 'options must be an object such as {"base_url": "https://proxy.example.com"}.')
    return _checked(spec_of(provider, "options"), value)


def check_options(provider: str, options: Mapping[str, Any]) -> None:
    """Refuse options with which an account cannot be polled; raises as `read_name`."""
    _checked(spec_of(provider, "options"), options)


def spec_of(provider: str, field: str) -> ProviderSpec:
    """Return what is known of a provider that can be polled.

    Raises:
        InvalidInputError: it cannot be, so `field` has no meaning.
    """
    spec = REGISTRY.get(provider)
    if spec is None:
        near = nearest(provider, REGISTRY)
        hint = f"did you mean {near}?" if near else f"{', '.join(REGISTRY)} can; leave {field} out for events only."
        raise wrong("provider", f"The provider {provider[:60]!r} cannot be polled; {hint}")
    return spec


def read_limit(body: Mapping[str, Any]) -> Decimal | None:
    """Return the monthly limit in USD, None for none; raises as `read_name`."""
    value = body.get("monthly_limit")
    if value is None:
        return None
    try:
        limit = parse_money(value)
    except ValueError as error:
        raise wrong("monthly_limit", f"monthly_limit: {error}") from error
    if limit < 0:
        raise wrong("monthly_limit", "monthly_limit cannot be negative.")
    return limit


def read_flag(body: Mapping[str, Any], name: str) -> bool:
    """Return a field that is true or false, false if it is left out; raises as `read_name`."""
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise wrong(name, f"{name} must be true or false.")
    return value


def read_changes(body: Mapping[str, Any], provider: str) -> dict[str, Any]:
    """Return what a PUT changes, by column; raises as `read_name`."""
    refuse_unknown("field", body, CHANGES)
    if not body:
        raise InvalidInputError(f"Send at least one of the fields {', '.join(CHANGES)}.")
    found: dict[str, Any] = {}
    if "name" in body:
        found["name"] = read_name(body)
    if "credential" in body:
        found["credential"] = read_credential(body)
        if found["credential"] is None:
            raise wrong("credential", "To stop polling an account delete it with usage=keep: its figures stay.")
        spec_of(provider, "credential")
    if "options" in body:
        found["options"] = read_options(body, provider)
    if "default" in body:
        found["is_default"] = read_flag(body, "default")
    if "monthly_limit" in body:
        found["monthly_limit"] = read_limit(body)
    return found


def wrong(field: str, message: str) -> InvalidInputError:
    """Return the error for a field that cannot be taken."""
    return InvalidInputError(message, [{"field": field, "message": message}])


def _checked(spec: ProviderSpec, options: Mapping[str, Any]) -> dict[str, str]:
    try:
        return spec.check_options(options)
    except OptionError as error:
        raise wrong(f"options.{error.name}"[:100], str(error)) from error


def _text(body: Mapping[str, Any], name: str) -> str:
    try:
        found = check_label(name, body.get(name), _LONGEST)
    except EventError as error:
        raise wrong(name, str(error)) from error
    if found is None:
        raise InvalidInputError(f"Add {name}.", [{"field": name, "message": "It is required."}])
    return found
