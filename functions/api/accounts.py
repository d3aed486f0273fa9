"""Accounts: whose usage it is. Polled ones come from settings; others are made here, to be named by events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.api.errors import refuse_unknown
from functions.api.routing import Answer, Body, Request, Result, Router, Scope
from functions.api.schemas import COUNT, FLAG, INTEGER, TEXT, array, schema
from shared.core.conventions import EventError
from shared.core.labels import check_label
from shared.core.naming import provider_id
from shared.errors import ConflictError, InvalidInputError
from shared.store import accounts
from shared.store.connection import notes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from functions.runtime import App
    from shared.store.accounts import Account
    from shared.store.database import Connection

router: Router[App] = Router("Accounts")

_STORED = "stored"
_RESERVED = "none"  # what reports call the events that belong to no account
_LONGEST = 300
_ACCOUNT = schema(
    {
        "id": INTEGER,
        "name": TEXT,
        "provider": TEXT,
        "origin": {"type": "string", "enum": ["environment", "demo", "stored"]},
        "default": {"type": "boolean", "description": "Events of its provider that name no account belong to it"},
    }
)
_FIELDS = {"name": {"type": "string", "minLength": 1}, "provider": {"type": "string", "minLength": 1}}


@router.get(
    "/api/accounts",
    scope=Scope.USAGE_READ,
    summary="Accounts, oldest first",
    response=schema({"success": FLAG, "data": array(_ACCOUNT), "count": COUNT}),
)
def list_accounts(_request: Request, app: App) -> Result:
    """Answer every account."""
    data = _shown(app.database.run(accounts.everyone))
    return {"success": True, "data": data, "count": len(data)}


@router.post(
    "/api/accounts",
    scope=Scope.CONFIG_WRITE,
    summary="Make an account that events can name; it is not polled",
    body=Body(schema(_FIELDS), {"name": "Design team", "provider": "anthropic"}),
    response=schema({"success": FLAG, "data": _ACCOUNT}),
    status=201,
    errors=(409,),
)
def create_account(request: Request, app: App) -> Result:
    """Store an account."""
    body = request.json_object()
    refuse_unknown("field", body, _FIELDS)
    name, provider = _text(body, "name"), provider_id(_text(body, "provider"))
    if name == _RESERVED:
        raise InvalidInputError(
            f"An account cannot be called {_RESERVED}: reports call events without one so.",
            [{"field": "name", "message": "Choose another name."}],
        )

    def make(connection: Connection) -> list[dict[str, Any]]:
        # A COMMIT whose answer was lost is tried again, and finds the account that it made.
        is_again = notes_of(connection).setdefault("tried", False)
        if not is_again and any(account.name == name for account in accounts.everyone(connection)):
            raise ConflictError(f"There is an account {name!r} already; choose another name.")
        notes_of(connection)["tried"] = True
        accounts.ensure(connection, name, provider, _STORED)
        return _shown(accounts.everyone(connection))

    made = next(account for account in app.database.run(make) if account["name"] == name)
    return Answer({"success": True, "data": made}, 201)


def _text(body: dict[str, Any], name: str) -> str:
    try:
        found = check_label(name, body.get(name), _LONGEST)
    except EventError as error:
        raise InvalidInputError(str(error), [{"field": name, "message": str(error)}]) from error
    if found is None:
        raise InvalidInputError(f"Add {name}.", [{"field": name, "message": "It is required."}])
    return found


def _shown(found: Sequence[Account]) -> list[dict[str, Any]]:
    defaults = accounts.defaults(found)
    return [
        {
            "id": account.id,
            "name": account.name,
            "provider": account.provider,
            "origin": account.origin,
            "default": defaults[account.provider] == account.id,
        }
        for account in found
    ]
