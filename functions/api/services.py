"""Services: everything that costs can come from, how each is tracked, and whether it is set up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions import sources
from functions.api.account_schemas import STATES, shown
from functions.api.routing import Request, Result, Router, Scope
from functions.api.schemas import COUNT, FLAG, INTEGER, TEXT, TEXT_OR_NULL, array, schema
from shared.providers.registry import REGISTRY
from shared.providers.services import API, SERVICES, TRACKED
from shared.providers.spec import BASE_URL
from shared.store import account_settings, accounts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from functions.runtime import App
    from shared.providers.spec import ProviderSpec
    from shared.store.database import Connection

router: Router[App] = Router("Accounts")

_OPTION = schema({"name": TEXT, "description": TEXT, "required": FLAG, "choices": array(TEXT)})
_ACCOUNT = schema({"id": INTEGER, "name": TEXT, "state": {"type": "string", "enum": list(STATES)}})
_SERVICE = schema(
    {
        "id": TEXT,
        "name": TEXT,
        "provider": {"type": "string", "description": "Under which its lines are found"},
        "tracked": {"type": "string", "enum": list(TRACKED)},
        "guidance": {"type": "string", "description": "Which key is needed, or where the figure is"},
        "repeat": {**TEXT_OR_NULL, "description": "How often an entry by hand recurs; null if it differs each time"},
        "repeat_on": {**TEXT_OR_NULL, "description": "On which day"},
        "settings": {**array(TEXT), "description": "Settings that may hold its key"},
        "options": {**array(_OPTION), "description": "What an account of it may say besides its credential"},
        "has_account": FLAG,
        "accounts": array(_ACCOUNT),
    }
)


@router.get(
    "/api/services",
    scope=Scope.USAGE_READ,
    summary="Every known service and how it is tracked: api, events or manual",
    response=schema({"success": FLAG, "data": array(_SERVICE), "count": COUNT}),
)
def list_services(request: Request, app: App) -> Result:
    """Answer what can be polled first, then the rest, each with its accounts."""

    def read(connection: Connection) -> list[dict[str, Any]]:
        sources.ensure_given(app, connection)
        rows = account_settings.everyone(connection)
        return shown(app, rows, accounts.everyone(connection), request.now)

    found = app.database.run(read)
    data = [*_polled(found), *_others(found)]
    return {"success": True, "data": data, "count": len(data)}


def _polled(found: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for name, spec in REGISTRY.items():
        yield {
            "id": name,
            "name": spec.title,
            "provider": name,
            "tracked": API,
            "guidance": spec.key_needed,
            "repeat": None,
            "repeat_on": None,
            "settings": [key.setting for key in spec.key_settings],
            "options": _options(spec),
            **_accounts(found, name),
        }


def _others(found: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for service in SERVICES:
        if service.id not in REGISTRY:
            # A plan beside an API, such as Claude Max, is not what that API's accounts are of.
            is_whole = service.id == service.provider
            yield {
                "id": service.id,
                "name": service.title,
                "provider": service.provider,
                "tracked": service.tracked,
                "guidance": service.guidance,
                "repeat": service.repeat,
                "repeat_on": service.day,
                "settings": [],
                "options": [],
                **_accounts(found if is_whole else [], service.provider),
            }


def _options(spec: ProviderSpec) -> list[dict[str, Any]]:
    own = [
        {"name": one.name, "description": one.description, "required": one.is_required, "choices": list(one.choices)}
        for one in spec.options
    ]
    address = f"Where it answers, if not at {spec.base_url}"
    return [{"name": BASE_URL, "description": address, "required": False, "choices": []}, *own]


def _accounts(found: Sequence[Mapping[str, Any]], provider: str) -> dict[str, Any]:
    own = [row for row in found if row["provider"] == provider]
    return {
        "has_account": bool(own),
        "accounts": [{name: row[name] for name in ("id", "name", "state")} for row in own],
    }
