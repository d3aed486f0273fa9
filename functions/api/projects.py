"""Project rules: which names belong to which project, what a change would move, and moving it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from functions.api import report_schemas as schemas
from functions.api.errors import refuse_unknown
from functions.api.lists import bare, is_flat
from functions.api.parameters import DRY_RUN, END, SHAPE, START, TZ, WAIT
from functions.api.prices import asked_of_the_past, span_of
from functions.api.routing import Answer, Body, Request, Result, Router, Scope
from functions.api.runs import start_run
from functions.api.schemas import COUNT, FLAG, INSTANT, INTEGER, MONEY, TEXT, array, schema
from shared.core.projects import Rule, fault, ordered
from shared.errors import InvalidInputError
from shared.store import projects as store
from shared.store.audit import Author
from shared.workflows import rules
from shared.workflows.reassign import preview

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from functions.runtime import App

router: Router[App] = Router("Projects")

_LONGEST = 200  # characters of a pattern or a project
_MOST_PRIORITY = 1000
_MOST_RULES = 1000
# Above the catch-all rule, as the rules that ship.
_PRIORITY = 10
_FIELDS = ("pattern", "project", "priority")
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_TEXT = {"type": "string", "minLength": 1, "maxLength": _LONGEST}
_GIVEN = {
    "pattern": {**_TEXT, "description": "A glob (*, ?, [abc]); upper and lower case do not matter"},
    "project": _TEXT,
    "priority": {"type": "integer", "minimum": -_MOST_PRIORITY, "maximum": _MOST_PRIORITY},
}
_RULE = schema({"id": INTEGER, "pattern": TEXT, "project": TEXT, "priority": INTEGER, "created_at": INSTANT})
_ONE = schema({"success": FLAG, "data": _RULE})
_SUMS = {"lines": COUNT, "requests": COUNT, "tokens": COUNT, "cost": MONEY}
_PREVIEW = {
    "rules": {**array(schema(_GIVEN, "priority")), "description": "A whole set, instead of a change"},
    "add": array(schema(_GIVEN, "priority")),
    "change": array(schema({"id": INTEGER, **_GIVEN}, *_GIVEN)),
    "remove": array(INTEGER),
}


@router.get(
    "/api/projects/rules",
    scope=Scope.USAGE_READ,
    summary="Project rules in the order they are tried",
    description="Higher priority first, then the longer text before the first wildcard, then the older. Each is tried "
    "against session label, agent, provider key name and workspace name; the first hit wins, and a project that came "
    "with the usage wins over all.",
    query=(SHAPE,),
    response=schema({"success": FLAG, "data": array(_RULE), "count": COUNT}),
)
def list_rules(request: Request, app: App) -> Result:
    """Answer every rule."""
    rows = app.database.run(store.listed)
    return bare(rows, request) if is_flat(request) else {"success": True, "data": rows, "count": len(rows)}


@router.post(
    "/api/projects/rules",
    scope=Scope.CONFIG_WRITE,
    summary="Add a project rule",
    description="It holds for what is written from now on; POST /admin/reassign applies it to the past.",
    body=Body(schema(_GIVEN, "priority"), {"pattern": "billing-*", "project": "Billing", "priority": 10}),
    response=_ONE,
    status=201,
    errors=(409,),
)
def add_rule(request: Request, app: App) -> Result:
    """Store a rule and answer with it."""
    rule = _rule(request.json_object())
    return Answer({"success": True, "data": rules.add(app.database, rule, _author(request))}, 201)


@router.put(
    "/api/projects/rules/{id}",
    scope=Scope.CONFIG_WRITE,
    summary="Change a project rule",
    description="What is left out stays.",
    body=Body(schema(_GIVEN, *_GIVEN), {"project": "Billing"}),
    response=_ONE,
    errors=(404, 409),
)
def put_rule(request: Request, app: App) -> Result:
    """Change a rule and answer with it."""
    rule_id, body = request.number("id"), request.json_object()
    refuse_unknown("field", body, _FIELDS)
    changes = {name: _field(name, body[name]) for name in _FIELDS if name in body}
    return {"success": True, "data": rules.change(app.database, rule_id, changes, _author(request))}


@router.delete(
    "/api/projects/rules/{id}",
    scope=Scope.CONFIG_WRITE,
    summary="Remove a project rule",
    description="What it matched stays where it is until POST /admin/reassign.",
    response=_ONE,
    errors=(404,),
)
def delete_rule(request: Request, app: App) -> Result:
    """Delete a rule and answer with what it was."""
    return {"success": True, "data": rules.remove(app.database, request.number("id"), _author(request))}


@router.post(
    "/api/projects/rules/preview",
    scope=Scope.USAGE_READ,
    summary="What other rules would move, from which project to which",
    description="Send a whole set as `rules`, or a change to those in force: `add`, `change` (by id) and `remove` "
    "(ids). Nothing at all asks what those in force would move. Nothing is changed.",
    query=(START, END, TZ),
    body=Body(schema(_PREVIEW, *_PREVIEW), {"add": [{"pattern": "billing-*", "project": "Billing"}], "remove": [3]}),
    response=schema({"success": FLAG, **_SUMS, "moves": array(schema({"from": TEXT, "to": TEXT, **_SUMS}))}),
    errors=(404,),
)
def preview_rules(request: Request, app: App) -> Result:
    """Answer the sums of every pair of projects."""
    body = request.json_object()
    refuse_unknown("field", body, _PREVIEW)
    start, end = span_of(request, app)
    stored = app.database.run(store.rules)
    wanted = ordered(_whole(body) if "rules" in body else _changed(stored, body))
    found = app.database.run(lambda c: preview(c, wanted, start or _FIRST, end or _LAST))
    return {"success": True, **found.as_json()}


@router.post(
    "/admin/reassign",
    scope=Scope.ADMIN,
    summary="Apply the project rules to the past, or say what that would move",
    description="Each UTC day is changed as a whole, and again changes nothing. Usage that came with a project keeps "
    "it. Without `start` and `end` everything.",
    query=(START, END, TZ, DRY_RUN, WAIT),
    response=schemas.RUN,
    also={202: schemas.RUN},
)
def reassign(request: Request, app: App) -> Result:
    """Start a re-mapping and answer with its run."""
    return start_run(request, app, "reassign", asked_of_the_past(request, app))


def _author(request: Request) -> Author:
    return Author(request.caller.name, request.now)


def _rule(body: Mapping[str, Any], at: str = "") -> Rule:
    refuse_unknown("field", body, _FIELDS)
    found = {name: _field(name, body.get(name), at) for name in _FIELDS}
    return Rule(**found)


def _field(name: str, value: object, at: str = "") -> Any:  # noqa: ANN401 - as the field is
    if name == "priority":
        if value is None:
            return _PRIORITY
        # JSON's true is an int in Python.
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _MOST_PRIORITY:
            raise _wrong(f"{at}priority", f"Write a whole number from {-_MOST_PRIORITY} to {_MOST_PRIORITY}.")
        return value
    if not isinstance(value, str) or not value.strip() or len(value) > _LONGEST or not value.isprintable():
        raise _wrong(f"{at}{name}", f"Write 1 to {_LONGEST} printable characters.")
    if name == "pattern" and (problem := fault(value)) is not None:
        raise _wrong(f"{at}pattern", problem)
    return value if name == "pattern" else value.strip()


def _whole(body: Mapping[str, Any]) -> list[Rule]:
    extra = [name for name in ("add", "change", "remove") if name in body]
    if extra:
        raise _wrong(extra[0], "Send either `rules`, the whole set, or a change of those in force.")
    return _unique([_numbered(_rule(row, f"rules.{at}."), at) for at, row in enumerate(_rows(body, "rules"))])


def _changed(stored: Sequence[Rule], body: Mapping[str, Any]) -> list[Rule]:
    found = {rule.id: rule for rule in stored}
    for at, rule_id in enumerate(_list(body, "remove")):
        del found[_known(found, rule_id, f"remove.{at}")]
    for at, row in enumerate(_rows(body, "change")):
        refuse_unknown("field", row, ("id", *_FIELDS))
        rule = found[_known(found, row.get("id"), f"change.{at}.id")]
        named = {name: _field(name, row[name], f"change.{at}.") for name in _FIELDS if name in row}
        found[rule.id] = Rule(**{name: named.get(name, getattr(rule, name)) for name in _FIELDS}, id=rule.id)
    newest = max(found, default=0)
    added = [_numbered(_rule(row, f"add.{at}."), newest + at) for at, row in enumerate(_rows(body, "add"))]
    return _unique([*found.values(), *added])


def _numbered(rule: Rule, number: int) -> Rule:
    """Return a rule that is not stored, with its age: later ones are newer."""
    return Rule(rule.pattern, rule.project, rule.priority, number + 1)


def _unique(found: list[Rule]) -> list[Rule]:
    seen = set()
    for rule in found:
        if rule.pattern.lower() in seen:
            raise _wrong("pattern", f"{rule.pattern!r} is in the set twice.")
        seen.add(rule.pattern.lower())
    return found


def _known(found: Mapping[int, Rule], rule_id: object, field: str) -> int:
    if not isinstance(rule_id, int) or isinstance(rule_id, bool):
        raise _wrong(field, "Name a rule by its id, a whole number.")
    if rule_id not in found:
        raise rules.no_rule(rule_id)
    return rule_id


def _rows(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    rows = _list(body, name)
    if not all(isinstance(row, dict) for row in rows):
        raise _wrong(name, "Send a list of objects.")
    return rows


def _list(body: Mapping[str, Any], name: str) -> list[Any]:
    value = body.get(name, [])
    if not isinstance(value, list) or len(value) > _MOST_RULES:
        raise _wrong(name, f"Send a list of at most {_MOST_RULES}.")
    return value


def _wrong(field: str, message: str) -> InvalidInputError:
    return InvalidInputError(
        f"The field {field}: {message[0].lower()}{message[1:]}", [{"field": field, "message": message}]
    )
