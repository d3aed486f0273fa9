"""Usage records read back: a page, one, and sums per period."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from functions.api import record_schemas as schemas
from functions.api.encoding import Exact
from functions.api.lists import page_of
from functions.api.parameters import FILTERS, PAGE, RANGE, SHAPE
from functions.api.query import Param
from functions.api.questions import Question, Slice, ask, breakdowns
from functions.api.routing import Request, Result, Router, Scope
from shared.core import jsontext, periods
from shared.core.money import apportion, display
from shared.errors import InvalidInputError, NotFoundError
from shared.store import records, reports

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    from functions.runtime import App
    from shared.core.totals import Totals
    from shared.store.database import Connection

router: Router[App] = Router("Usage")

_FREE_FORM = ("tags", "metadata", "raw_data")
_GROUP_BY = Param("group_by", "Length of a period.", choices=("day", "week", "month"), default="day")
# The longest range of a summary, and what it covers where no start is given.
_LONGEST = {"day": 400, "week": 400 * 7, "month": 400 * 31}
_DIMENSIONS = ("model", "project", "agent")
_CURSOR = re.compile(r"(\d{8}T\d{6}\.\d{6}Z)-(\d{1,19})", re.ASCII)
_BIGINT = 2**63


@router.get(
    "/api/usage",
    scope=Scope.USAGE_READ,
    summary="Usage records, newest first",
    description="Without a range every record. Voided events are left out; `GET /api/usage/{id}` shows them.",
    query=(*RANGE, *PAGE, SHAPE, *FILTERS),
    response=schemas.PAGE,
)
def list_usage(request: Request, app: App) -> Result:
    """Answer a page of records; the cursor is the place of the last one, so rows that arrive do not move it."""
    limit = request.query.need("limit", int)
    after = _place(request.query.get("cursor", str))
    offset = request.query.get("offset", int) or 0

    def read(connection: Connection) -> list[dict[str, Any]]:
        question = ask(request, app, connection)
        return records.page(connection, bounds(request, question.zone), question.filters, after, limit + 1, offset)

    rows = [shown(row) for row in app.database.run(read)]
    return page_of(request, rows, limit, _cursor, _flat)


@router.get("/api/usage/{id}", scope=Scope.USAGE_READ, summary="One usage record", response=schemas.ONE, errors=(404,))
def get_usage(request: Request, app: App) -> Result:
    """Answer one record, voided or not."""
    line_id = request.number("id")
    found = app.database.run(lambda connection: records.get(connection, line_id))
    if found is None:
        raise NotFoundError(f"There is no usage record {line_id}; GET /api/usage lists them.")
    return {"success": True, **one(found)}


@router.get(
    "/api/usage/summary",
    scope=Scope.USAGE_READ,
    summary="Usage per day, week or month, newest first",
    description="Periods without usage are left out; `period` is the first day. `tokens_in` is uncached input.",
    query=(*RANGE, _GROUP_BY, *FILTERS),
    response=schemas.SUMMARY,
)
def usage_summary(request: Request, app: App) -> Result:
    """Answer sums per period, by model, project and agent."""
    return app.database.run(lambda connection: _summary(request, app, connection))


def one(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return `data`, the record, and where it was voided `voided`."""
    found: dict[str, Any] = {"data": shown(row)}
    if row["voided_at"] is not None:
        found["voided"] = {"at": row["voided_at"], "reason": row["void_reason"]}
    return found


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contract's record; numbers of other people's JSON keep their digits."""
    return {name: _exact(row[name]) if name in _FREE_FORM else row[name] for name in records.COLUMNS}


def bounds(request: Request, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the range of a list or export as UTC instants; what is left out is unlimited."""
    start, end = periods.open_range(request.query.get("start", date), request.query.get("end", date))
    first = datetime(periods.FIRST_DATE.year, 1, 1, tzinfo=UTC) - timedelta(days=1)
    last = datetime(periods.LAST_DATE.year + 1, 1, 2, tzinfo=UTC)
    return (
        first if start is None else periods.midnight(start, zone),
        last if end is None else periods.midnight(end + timedelta(days=1), zone),
    )


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record of scalars: free-form parts as JSON text."""
    return {
        name: row[name] if name not in _FREE_FORM or row[name] is None else jsontext.dumps(row[name])
        for name in records.COLUMNS
    }


def _exact(value: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    if isinstance(value, Decimal):
        return Exact(value)
    if isinstance(value, dict):
        return {key: _exact(item) for key, item in value.items()}
    return [_exact(item) for item in value] if isinstance(value, list) else value


def _cursor(row: Mapping[str, Any]) -> str:
    at: datetime = row["recorded_at"]
    return f"{at.strftime('%Y%m%dT%H%M%S.%fZ')}-{row['id']}"


def _place(cursor: str | None) -> records.Place | None:
    if cursor is None:
        return None
    match = _CURSOR.fullmatch(cursor)
    try:
        at = datetime.strptime(match[1], "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC) if match else None
    except ValueError:
        at = None
    if match is None or at is None or int(match[2]) >= _BIGINT:
        raise InvalidInputError(
            "The cursor is not one of ours; use `next_cursor` of the page before.",
            [{"field": "cursor", "message": "Use `next_cursor` of the page before."}],
        )
    return at, int(match[2])


def _summary(request: Request, app: App, connection: Connection) -> dict[str, Any]:
    question = ask(request, app, connection)
    chosen: dict[str, periods.GroupBy] = {"day": "day", "week": "week", "month": "month"}
    group_by = chosen[request.query.need("group_by", str)]
    asked = _range(request, question, group_by)
    cut = periods.periods(asked.start, asked.end, group_by, question.zone)
    limits = [cut[0].start, *(period.end for period in cut)]
    found = breakdowns(question, reports.sums(connection, limits, _DIMENSIONS, question.filters), _DIMENSIONS)
    return {"success": True, "data": [_entry(cut[index], found[index]) for index in sorted(found, reverse=True)]}


def _range(request: Request, question: Question, group_by: periods.GroupBy) -> periods.DateRange:
    longest = _LONGEST[group_by]
    start, end = request.query.get("start", date), request.query.get("end", date)
    if start is None:
        last = end or question.today
        start = max(periods.FIRST_DATE, last - timedelta(days=longest - 1))
    return periods.resolve_range(start, end, today=question.today, group_by=group_by, longest=longest)


def _entry(period: periods.Period, slice_: Slice) -> dict[str, Any]:
    whole = slice_.totals
    return {
        "period": period.date,
        "total_cost": display(whole.cost),
        "total_requests": whole.requests,
        "total_tokens_in": whole.tokens["input"],
        "total_tokens_out": whole.tokens["output"],
        **{f"by_{name}": _parts(slice_.parts[name], whole) for name in _DIMENSIONS},
    }


def _parts(parts: Mapping[str, Totals], whole: Totals) -> dict[str, dict[str, Any]]:
    printed = apportion({key: part.cost for key, part in parts.items()}, whole.cost)
    return {
        key: {
            "cost": printed[key],
            "requests": parts[key].requests,
            "tokens_in": parts[key].tokens["input"],
            "tokens_out": parts[key].tokens["output"],
        }
        for key in sorted(parts, key=lambda key: (-parts[key].cost, key))
    }
