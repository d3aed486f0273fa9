"""Trying a credential: one cheap call with a short budget, and one sentence on what is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from functions import sources
from functions.api import account_schemas as fields
from functions.api.account_schemas import FIELDS
from functions.api.errors import refuse_unknown
from functions.api.routing import Body, Request, Result, Router, Scope
from functions.api.schemas import FLAG, TEXT, TEXT_OR_NULL, schema
from functions.logs import hide_texts
from shared.errors import ConflictError, ProviderError, SettingError
from shared.providers.diagnosis import CODES, NETWORK, OTHER, Diagnosis, diagnose
from shared.providers.http import Budget
from shared.store import account_settings, accounts
from shared.workflows.accounts import no_account, twice
from shared.workflows.credentials import Checked, check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.runtime import App
    from shared.providers.base import Owner
    from shared.providers.spec import ProviderSpec

router: Router[App] = Router("Accounts")

_SECONDS, _TRIES, _PATIENCE = 10.0, 2, 4.0
_OK, _OTHER_OWNER, _COUNTED = "ok", "other_owner", "counted_already"
_TESTED = {name: FIELDS[name] for name in ("provider", "credential", "options")}
_RESULT = schema(
    {
        "success": {**FLAG, "description": "The credential was tried; `ok` says with what result"},
        "ok": FLAG,
        "code": {"type": "string", "enum": [_OK, *CODES, _OTHER_OWNER, _COUNTED]},
        "message": {"type": "string", "description": "One sentence on what is wrong, or whose usage it reads"},
        "advice": {"type": "string", "description": "What is needed instead; empty where there is nothing to say"},
        "owner": {"oneOf": [schema({"id": TEXT_OR_NULL, "name": TEXT}), {"type": "null"}]},
        "account": {**TEXT_OR_NULL, "description": "The account that was tried"},
    }
)


@router.post(
    "/api/accounts/test",
    scope=Scope.CONFIG_WRITE,
    summary="Try a credential before it is stored",
    description="The provider's cheapest call, within ten seconds; nothing is stored.",
    body=Body(schema(_TESTED, "options"), {"provider": "anthropic", "credential": "sk-ant-admin01-..."}),
    response=_RESULT,
)
def test_credential(request: Request, app: App) -> Result:
    """Say what is wrong with a credential, or whom it belongs to."""
    body = request.json_object()
    refuse_unknown("field", body, _TESTED)
    provider = fields.read_provider(body)
    spec, credential = fields.spec_of(provider, "credential"), fields.read_credential(body)
    if credential is None:
        raise fields.wrong("credential", "Add credential: the key to try.")
    hide_texts([credential])
    checked = _tried(app, spec, credential, fields.read_options(body, provider))
    return _result(app, checked, {"provider": provider, "id": None, "name": None, "owner_id": None})


@router.post(
    "/api/accounts/{id}/test",
    scope=Scope.CONFIG_WRITE,
    summary="Try an account's credential",
    description="The provider's cheapest call, within ten seconds; nothing is stored.",
    response=_RESULT,
    errors=(404, 409),
)
def test_account(request: Request, app: App) -> Result:
    """Say what is wrong with the credential of an account, or whom it belongs to."""
    if body := request.json_object():
        refuse_unknown("field", body, ())
    account_id = request.number("id")
    row = app.database.run(lambda c: account_settings.get(c, account_id))
    if row is None:
        raise no_account(account_id)
    if not row["has_credential"] and row["name"] not in sources.given(app):
        raise ConflictError(f"The account {row['name']} has no credential to try; PUT one.")
    spec = fields.spec_of(row["provider"], "credential")
    try:
        key = sources.key_of(app, row)
    except (ProviderError, SettingError) as error:
        return _result(app, Checked(None, diagnose(spec, "", error)), row)
    return _result(app, _tried(app, spec, key, row["options"]), row)


def trusted(app: App, spec: ProviderSpec, key: str, options: Mapping[str, str]) -> tuple[Owner | None, str | None]:
    """Return whose credential this is, or None and why nobody could say.

    Raises:
        InvalidInputError: the provider refuses it; storing it would help nobody.
    """
    checked = _tried(app, spec, key, options)
    wrong = checked.diagnosis
    if wrong is None:
        return checked.owner, None
    if wrong.code in {NETWORK, OTHER}:
        return None, f"Stored, but not tried: {wrong.message}"
    raise fields.wrong("credential", f"{wrong.message} {wrong.advice}".strip())


def _tried(app: App, spec: ProviderSpec, key: str, options: Mapping[str, str]) -> Checked:
    budget = replace(Budget.lasting(_SECONDS, app.clock), tries=_TRIES, timeout=_PATIENCE)
    return check(spec, key, options, app.settings.base_url(spec.name), app.http, budget)


def _result(app: App, checked: Checked, row: Mapping[str, Any]) -> dict[str, Any]:
    owner, wrong = checked.owner, checked.diagnosis
    owner_id = None if owner is None else owner.id
    if owner is not None and owner_id is not None and row["owner_id"] not in {None, owner_id}:
        sentence = f"The key belongs to {owner.name}, but the account holds figures of somebody else."
        wrong = Diagnosis(_OTHER_OWNER, sentence, "Give the account a key of its owner, or make another account.")
    elif owner is not None and owner_id is not None:
        other = app.database.run(lambda c: accounts.owned_by(c, row["provider"], owner_id, besides=row["id"]))
        wrong = None if other is None else Diagnosis(_COUNTED, str(twice(owner, other)))
    said = "" if owner is None else f"The key reads the usage of {owner.name}."
    if owner is not None and owner_id is None:
        said = f"The key works for {owner.name}."
    return {
        "success": True,
        "ok": wrong is None,
        "code": _OK if wrong is None else wrong.code,
        "message": said if wrong is None else wrong.message,
        "advice": "" if wrong is None else wrong.advice,
        "owner": None if owner is None else {"id": owner_id, "name": owner.name},
        "account": row["name"],
    }
