"""API keys over HTTP: made and shown once, listed without their secrets, rotated, revoked."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from functions.api.errors import ForbiddenError, nearest, refuse_unknown
from functions.api.lists import page_of
from functions.api.parameters import PAGE, SHAPE
from functions.api.routing import KEY_SCOPES, Answer, Body, Request, Result, Router, Scope
from functions.api.schemas import COUNT, FLAG, INSTANT, INSTANT_OR_NULL, TEXT, TEXT_OR_NULL, array, schema
from shared.core import keys as core
from shared.core.periods import PeriodError, parse_instant
from shared.errors import InvalidInputError, NotFoundError
from shared.store import keys as store
from shared.workflows import keys as workflow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from functions.runtime import App

router: Router[App] = Router("Keys")

_SCOPES = tuple(scope.value for scope in Scope if scope in KEY_SCOPES)
_SCOPE_LIST = {"type": "array", "items": {"type": "string", "enum": list(_SCOPES)}, "minItems": 1}
_LONGEST_NAME = 100  # characters
_LONGEST_OVERLAP = 7 * 24 * 60  # minutes
_KEY = {
    "id": TEXT,
    "name": TEXT,
    "scopes": _SCOPE_LIST,
    "hint": {"type": "string", "description": "The end of the id, as people recognise it"},
    "status": {"type": "string", "enum": ["active", "expired", "revoked"]},
    "created_at": INSTANT,
    "last_used_at": {**INSTANT_OR_NULL, "description": "To five minutes"},
    "expires_at": INSTANT_OR_NULL,
    "revoked_at": {**INSTANT_OR_NULL, "description": "In the future while a rotation's overlap lasts"},
    "rotated_from": {**TEXT_OR_NULL, "description": "The id of the key in whose place this one was put"},
}
_ONE = schema({"success": FLAG, "data": schema(_KEY)})
_NEW = schema({**_KEY, "key": {"type": "string", "description": "The key itself; it is not shown again"}})
_PAGE = schema(
    {
        "success": FLAG,
        "data": array(schema(_KEY)),
        "count": COUNT,
        "has_more": FLAG,
        "next_cursor": TEXT_OR_NULL,
        "next": TEXT_OR_NULL,
    }
)
_CREATE = {
    "name": {"type": "string", "minLength": 1, "maxLength": _LONGEST_NAME},
    "scopes": _SCOPE_LIST,
    "expires_at": INSTANT_OR_NULL,
}
_ROTATE = {
    "overlap_minutes": {"type": "integer", "minimum": 0, "maximum": _LONGEST_OVERLAP},
    "expires_at": INSTANT_OR_NULL,
}


@router.get(
    "/admin/keys",
    scope=Scope.ADMIN,
    summary="Keys, newest first, without secrets",
    query=(*PAGE, SHAPE),
    response=_PAGE,
)
def list_keys(request: Request, app: App) -> Result:
    """Answer a page of keys, ended ones included; the cursor is the id of the last one."""
    limit = request.query.need("limit", int)
    before = _cursor(request.query.get("cursor", str))
    offset = request.query.get("offset", int) or 0
    rows = app.database.run(lambda c: store.newest(c, before, limit + 1, offset, request.now))
    shown = [_shown(row) for row in rows]
    return page_of(
        request, shown, limit, lambda row: str(row["id"]), lambda row: {**row, "scopes": " ".join(row["scopes"])}
    )


@router.post(
    "/admin/keys",
    scope=Scope.ADMIN,
    summary="Make a key; it is shown this once",
    description="A key can give only scopes that it has itself. Without `expires_at` it is valid until it is revoked.",
    body=Body(schema(_CREATE, "expires_at"), {"name": "N8N", "scopes": ["usage:write", "usage:read"]}),
    response=schema({"success": FLAG, "data": _NEW}),
    status=201,
    errors=(409,),
)
def create_key(request: Request, app: App) -> Result:
    """Store a key's digest and answer with the key."""
    name, scopes, expires_at = _read_new(request)
    _check_may_give(request, scopes)
    made = workflow.create(app.database, name, scopes, expires_at, app.settings.required("key_pepper"), request.now)
    return Answer({"success": True, "data": {**_shown(made.row), "key": made.text}}, 201)


@router.delete(
    "/admin/keys/{id}",
    scope=Scope.ADMIN,
    summary="Revoke a key; its row stays",
    description="It stops working within 60 seconds, and at once where this request is answered. Again is no error.",
    response=_ONE,
    errors=(404,),
)
def revoke_key(request: Request, app: App) -> Result:
    """End a key and answer with its row."""
    key_id = _id(request)
    try:
        row = workflow.revoke(app.database, key_id, request.now)
    finally:
        app.keyring.forget(key_id)  # even if the answer was lost: the COMMIT may not have been
    return {"success": True, "data": _shown(row)}


@router.post(
    "/admin/keys/{id}/rotate",
    scope=Scope.ADMIN,
    summary="Put a new key in the place of one",
    description="Same name and scopes, and the same expiry unless another is given. The old key works on for "
    "`overlap_minutes` (0, at most a week).",
    body=Body(schema(_ROTATE, *_ROTATE), {"overlap_minutes": 60}),
    response=schema({"success": FLAG, "data": _NEW, "replaced": schema(_KEY)}),
    status=201,
    errors=(404, 409),
)
def rotate_key(request: Request, app: App) -> Result:
    """Answer with the new key and the row of the one it replaces."""
    key_id = _id(request)
    overlap, expires_at = _read_rotation(request)
    old = app.database.run(lambda c: store.get(c, key_id, request.now))
    if old is None:
        raise workflow.no_key(key_id)
    # The answer holds a key with these scopes: rotating must not give what creating does not.
    _check_may_give(request, old["scopes"])
    pepper = app.settings.required("key_pepper")
    try:
        made, replaced = workflow.rotate(app.database, key_id, overlap, expires_at, pepper, request.now)
    finally:
        app.keyring.forget(key_id)
    data = {**_shown(made.row), "key": made.text}
    return Answer({"success": True, "data": data, "replaced": _shown(replaced)}, 201)


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: core.hint(row["id"]) if name == "hint" else row[name] for name in _KEY}


def _id(request: Request) -> str:
    found = core.read_id(request.params["id"])
    if found is None:
        # Not repeated: it may be a whole key.
        raise NotFoundError("That is not the id of a key; GET /admin/keys lists them.")
    return found


def _cursor(text: str | None) -> str | None:
    found = None if text is None else core.read_id(text)
    if text is not None and found is None:
        message = "Use `next_cursor` of the page before."
        raise InvalidInputError(
            "The cursor is not one of ours; use `next_cursor` of the page before.",
            [{"field": "cursor", "message": message}],
        )
    return found


def _check_may_give(request: Request, scopes: Iterable[str]) -> None:
    missing = [scope for scope in scopes if scope not in request.caller.scopes]
    if missing:
        raise ForbiddenError(
            f"The key {request.caller.name} lacks {', '.join(missing)} and cannot give it; use one that has it."
        )


def _read_new(request: Request) -> tuple[str, tuple[str, ...], datetime | None]:
    body = request.json_object()
    refuse_unknown("field", body, _CREATE)
    return _name(body.get("name")), _scopes(body.get("scopes")), _expiry(body, request.now)


def _read_rotation(request: Request) -> tuple[timedelta, datetime | None]:
    body = request.json_object()
    refuse_unknown("field", body, _ROTATE)
    minutes = body.get("overlap_minutes")
    if minutes is None:
        minutes = 0
    # JSON's true is an int in Python.
    if not isinstance(minutes, int) or isinstance(minutes, bool) or not 0 <= minutes <= _LONGEST_OVERLAP:
        raise _wrong("overlap_minutes", f"Write a whole number from 0 to {_LONGEST_OVERLAP}, a week.")
    return timedelta(minutes=minutes), _expiry(body, request.now)


def _name(value: object) -> str:
    name = value.strip() if isinstance(value, str) else ""
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise _wrong("name", f"Say what the key is for, in 1 to {_LONGEST_NAME} printable characters.")
    return name


def _scopes(value: object) -> tuple[str, ...]:
    """Return the scopes asked for, each once, in the order of their declaration."""
    if not isinstance(value, list) or not value or not all(isinstance(scope, str) for scope in value):
        raise _wrong("scopes", f"Give a list of at least one of {', '.join(_SCOPES)}.")
    details = [{"field": "scopes", "message": _unknown(scope)} for scope in value if scope not in _SCOPES]
    if details:
        raise InvalidInputError(details[0]["message"], details)
    return tuple(scope for scope in _SCOPES if scope in value)


def _unknown(scope: str) -> str:
    near = nearest(scope, _SCOPES)
    hint = f"did you mean {near}?" if near else f"known are {', '.join(_SCOPES)}."
    return f"Unknown scope {scope[:60]!r}; {hint}"


def _expiry(body: Mapping[str, Any], now: datetime) -> datetime | None:
    text = body.get("expires_at")
    if text is None:
        return None
    try:
        instant = parse_instant(text) if isinstance(text, str) else None
    except PeriodError as error:
        raise _wrong("expires_at", str(error)) from error
    if instant is None or instant <= now:
        raise _wrong("expires_at", "Write an instant in the future, such as 2027-11-23T10:15:00Z.")
    return instant


def _wrong(field: str, message: str) -> InvalidInputError:
    return InvalidInputError(
        f"The field {field}: {message[0].lower()}{message[1:]}", [{"field": field, "message": message}]
    )
