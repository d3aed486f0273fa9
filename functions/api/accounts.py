"""Accounts: whose usage it is. Polled by a key that is a setting or a credential that is stored, or named by events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions import sources
from functions.api import account_schemas as fields
from functions.api import balances, report_schemas
from functions.api.account_checks import trusted
from functions.api.account_schemas import ACCOUNT, CHANGES, FIELDS
from functions.api.errors import refuse_unknown
from functions.api.parameters import WAIT
from functions.api.query import Param
from functions.api.routing import Answer, Body, Request, Result, Router, Scope
from functions.api.runs import start_run
from functions.api.schemas import COUNT, FLAG, TEXT_OR_NULL, array, schema
from functions.logs import hide_texts
from shared.errors import ConflictError
from shared.store import account_removal, account_settings, accounts
from shared.store.audit import Author
from shared.workflows import accounts as workflow
from shared.workflows.accounts import Draft, no_account
from shared.workflows.remove_account import CHOICES, check_choice

if TYPE_CHECKING:
    from functions.runtime import App
    from shared.store.database import Connection

router: Router[App] = Router("Accounts")

_OPTIONAL = tuple(name for name in FIELDS if name not in {"name", "provider"})
_ONE = schema({"success": FLAG, "data": ACCOUNT})
_CHANGED = schema(
    {
        "success": FLAG,
        "data": ACCOUNT,
        "warning": {**TEXT_OR_NULL, "description": "Why the credential is stored without having been tried"},
    }
)
_USAGE = Param(
    "usage",
    "What becomes of its usage, needed where there is any: `keep` archives the account with it, `delete` takes it out "
    "of every figure.",
    choices=CHOICES,
)


@router.get(
    "/api/accounts",
    scope=Scope.USAGE_READ,
    summary="Accounts with their coverage, state and lag, oldest first",
    response=schema({"success": FLAG, "data": array(ACCOUNT), "count": COUNT}),
)
def list_accounts(request: Request, app: App) -> Result:
    """Answer every account; those whose key is a setting are there before they were ever collected."""

    def read(connection: Connection) -> list[dict[str, Any]]:
        sources.ensure_given(app, connection)
        rows = account_settings.everyone(connection)
        return fields.shown(app, rows, accounts.everyone(connection), request.now, balances.read(connection))

    data = app.database.run(read)
    return {"success": True, "data": data, "count": len(data)}


@router.post(
    "/api/accounts",
    scope=Scope.CONFIG_WRITE,
    summary="Make an account: polled by its credential, or only named by events",
    description="The credential is tried first and stored encrypted; it is never shown again. Where the provider does "
    "not answer it is stored untried, and `warning` says so. Without one the account is for events.",
    body=Body(schema(FIELDS, *_OPTIONAL), {"name": "Design team", "provider": "anthropic", "monthly_limit": 200}),
    response=_CHANGED,
    status=201,
    errors=(409,),
)
def create_account(request: Request, app: App) -> Result:
    """Store an account."""
    body = request.json_object()
    refuse_unknown("field", body, FIELDS)
    name, provider, credential = fields.read_name(body), fields.read_provider(body), fields.read_credential(body)
    draft = Draft(
        name=name,
        provider=provider,
        credential=credential,
        options=fields.read_options(body, provider),
        is_default=fields.read_flag(body, "default"),
        monthly_limit=fields.read_limit(body),
    )
    warning = None
    if credential is not None:
        hide_texts([credential])
        _refuse_in_demo(app)
        owner, warning = trusted(app, fields.spec_of(provider, "credential"), credential, draft.options)
        draft = Draft(name, provider, credential, draft.options, draft.is_default, draft.monthly_limit, owner)
    made = workflow.create(app.database, app.sealer, draft, Author(request.caller.name, request.now))
    return Answer({"success": True, "data": _one(request, app, made["id"]), "warning": warning}, 201)


@router.get("/api/accounts/{id}", scope=Scope.USAGE_READ, summary="One account", response=_ONE, errors=(404,))
def get_account(request: Request, app: App) -> Result:
    """Answer one account."""
    return {"success": True, "data": _one(request, app, request.number("id"))}


@router.put(
    "/api/accounts/{id}",
    scope=Scope.CONFIG_WRITE,
    summary="Change an account, or give it a new credential",
    description="Fields that are left out stay. A new credential replaces the old one and opens an archived account "
    "again; another base_url needs the credential once more. An account whose key is a setting is changed there.",
    body=Body(schema(CHANGES, *CHANGES), {"monthly_limit": 250, "default": True}),
    response=_CHANGED,
    errors=(404, 409),
)
def change_account(request: Request, app: App) -> Result:
    """Change an account and answer with it."""
    before = find(app, request.number("id"))
    _refuse_given(app, before)
    changes = fields.read_changes(request.json_object(), before["provider"])
    owner, warning = None, None
    options = changes.get("options", before["options"])
    if "credential" in changes or (before["has_credential"] and "options" in changes):
        fields.check_options(before["provider"], options)
    if "credential" in changes:
        hide_texts([changes["credential"]])
        _refuse_in_demo(app)
        spec = fields.spec_of(before["provider"], "credential")
        owner, warning = trusted(app, spec, changes["credential"], options)
    author = Author(request.caller.name, request.now)
    workflow.change(app.database, app.sealer, before["id"], changes, author, owner)
    return {"success": True, "data": _one(request, app, before["id"]), "warning": warning}


@router.delete(
    "/api/accounts/{id}",
    scope=Scope.ADMIN,
    summary="Delete an account, and decide what becomes of its usage",
    description="With usage=keep it is archived: not polled any more, its figures stay under its name. With "
    "usage=delete polled lines and manual entries are deleted, and its events are voided, all at once. Answers with a "
    "run.",
    query=(_USAGE, WAIT),
    response=report_schemas.RUN,
    also={202: report_schemas.RUN},
    errors=(404, 409),
)
def delete_account(request: Request, app: App) -> Result:
    """Start the run that removes an account, unless there is usage and nobody said what becomes of it."""
    found = find(app, request.number("id"))
    _refuse_given(app, found)
    usage = request.query.get("usage", str)
    if usage is None and found["deleting_at"] is None:
        check_choice(found["name"], app.database.run(lambda c: account_removal.usage(c, found["id"])), usage)
    asked = {"account_id": found["id"], "usage": usage, "by": request.caller.name}
    return start_run(request, app, "remove-account", asked)


@router.post(
    "/api/accounts/{id}/sync",
    scope=Scope.ADMIN,
    summary="Collect this account now",
    query=(WAIT,),
    response=report_schemas.RUN,
    also={202: report_schemas.RUN},
    errors=(404, 409),
)
def sync_account(request: Request, app: App) -> Result:
    """Start a collection of one account and answer with its run."""
    found = find(app, request.number("id"))
    if not found["has_credential"] and found["name"] not in sources.given(app):
        raise ConflictError(f"The account {found['name']} has no credential, so there is nothing to collect; PUT one.")
    return start_run(request, app, "collect", {"account": found["name"]})


def find(app: App, account_id: int) -> dict[str, Any]:
    """Return an account's row.

    Raises:
        NotFoundError: there is none.
    """
    found = app.database.run(lambda c: account_settings.get(c, account_id))
    if found is None:
        raise no_account(account_id)
    return found


def _one(request: Request, app: App, account_id: int) -> dict[str, Any]:
    def read(connection: Connection) -> dict[str, Any]:
        row = account_settings.get(connection, account_id)
        if row is None:
            raise no_account(account_id)
        prepaid = balances.read(connection, account_id)
        return fields.shown(app, [row], accounts.everyone(connection), request.now, prepaid)[0]

    return app.database.run(read)


def _refuse_given(app: App, account: dict[str, Any]) -> None:
    one = sources.given(app).get(account["name"])
    if one is None:
        return
    if one.origin == "demo":
        raise ConflictError(f"The account {one.name} is the demo's; start without it to keep accounts of your own.")
    raise ConflictError(
        f"The account {one.name} is read-only: its key is the setting {one.setting}; change or remove that instead."
    )


def _refuse_in_demo(app: App) -> None:
    if app.is_demo:
        raise ConflictError(
            "This is the demo, where real figures have no place; start with --no-demo to store credentials."
        )
