"""What things cost: by day, over a range, and by each dimension."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from functions.api import report_schemas as schemas
from functions.api.lists import bare, is_flat
from functions.api.parameters import DATE, FILTERS, RANGE, SHAPE, TZ
from functions.api.query import Param
from functions.api.questions import Question, Slice, ask, breakdowns
from functions.api.routing import Answer, Request, Result, Router, Scope
from shared.core import periods
from shared.core.attribution import counted_sources
from shared.core.report import BREAKDOWNS, change_percent, figures, ranked, series
from shared.core.totals import Totals
from shared.core.totals import total as sum_of
from shared.store import reports

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from functions.runtime import App
    from shared.core.periods import DateRange, Period
    from shared.store.database import Connection

router: Router[App] = Router("Reports")

GROUP_BY = Param("group_by", "Length of a period.", choices=("hour", "day", "week", "month"), default="day")
LIMIT = Param("limit", "Rows before the rest becomes one.", "integer", default="50", minimum=1, maximum=1000)

# Path suffix -> dimension of the store; the token classes are split from the sums themselves.
_DIMENSIONS = {
    "by-model": "model",
    "by-session-type": "session_type",
    "by-project": "project",
    "by-provider": "provider",
    "by-agent": "agent",
    "by-category": "category",
    "by-account": "account",
    "by-user": "user",
    "by-session": "session_label",
    "by-source": "source",
    "by-token-class": "token_class",
}


@router.get(
    "/costs/daily",
    scope=Scope.USAGE_READ,
    summary="What one day cost",
    query=(DATE, TZ, *FILTERS),
    response=schemas.DAILY,
)
def daily(request: Request, app: App) -> Result:
    """Answer one local day with its breakdowns."""
    return app.database.run(lambda connection: _daily(request, app, connection))


@router.get(
    "/costs/range",
    scope=Scope.USAGE_READ,
    summary="What a range of days cost, period by period",
    query=(*RANGE, GROUP_BY, SHAPE, *FILTERS),
    response=schemas.RANGE,
)
def range_(request: Request, app: App) -> Result:
    """Answer every period of the range, empty ones included."""
    chosen: dict[str, periods.GroupBy] = {"hour": "hour", "day": "day", "week": "week", "month": "month"}
    group_by = chosen[request.query.need("group_by", str)]
    return app.database.run(lambda connection: _range_report(request, app, connection, group_by))


def _daily(request: Request, app: App, connection: Connection) -> dict[str, Any]:
    question = ask(request, app, connection)
    day = request.query.get("date", date) or question.today
    return {"date": day, **_figures(connection, question, periods.day(day, question.zone))}


def _declare_summary(name: str, window: Callable[[date], DateRange], days_before: int) -> None:
    def summary(request: Request, app: App) -> Result:
        return app.database.run(lambda connection: _summary(request, app, connection, window))

    summary.__name__ = f"summary_{name}"
    router.get(
        f"/costs/summary/{name}",
        scope=Scope.USAGE_READ,
        summary=f"Today and the {days_before} days before, with the change to the span before that",
        query=(TZ, *FILTERS),
        response=schemas.SUMMARY,
    )(summary)


_declare_summary("weekly", periods.weekly, 6)
_declare_summary("monthly", periods.monthly, 29)


def _declare_breakdown(path: str, dimension: str) -> None:
    def breakdown(request: Request, app: App) -> Result:
        return app.database.run(lambda connection: _breakdown(request, app, connection, dimension))

    breakdown.__name__ = path.replace("-", "_")
    router.get(
        f"/costs/{path}",
        scope=Scope.USAGE_READ,
        summary=f"What a range of days cost, by {dimension.replace('_', ' ')}",
        query=(*RANGE, LIMIT, SHAPE, *FILTERS),
        response=schemas.BREAKDOWN,
    )(breakdown)


for _path, _dimension in _DIMENSIONS.items():
    _declare_breakdown(_path, _dimension)


def _summary(request: Request, app: App, connection: Connection, window: Callable[[date], DateRange]) -> dict[str, Any]:
    question = ask(request, app, connection)
    asked = window(question.today)
    before = asked.previous
    now = _figures(connection, question, periods.span(asked, question.zone))
    then = _figures(connection, question, periods.span(before, question.zone))["total_cost"]
    return {
        "start": asked.start,
        "end": asked.end,
        "days": asked.days,
        **now,
        "previous": {"start": before.start, "end": before.end, "total_cost": then},
        "change_pct": change_percent(now["total_cost"], then),
    }


def _breakdown(request: Request, app: App, connection: Connection, dimension: str) -> Result:
    question = ask(request, app, connection)
    asked = _range(request, question, "day")
    span = periods.span(asked, question.zone)
    wanted = ("source",) if dimension in {"token_class", "source"} else (dimension, "source")
    totals, parts = _sums(connection, question, span, wanted)
    keyed = totals.by_token_class() if dimension == "token_class" else parts[dimension]
    total, data = ranked(keyed, request.query.need("limit", int))
    if is_flat(request):
        return _flat(data, request)
    return {
        "start": asked.start,
        "end": asked.end,
        "dimension": dimension,
        "total_cost": total,
        "data": data,
        "coverage": question.coverage(connection, (span.start, span.end), totals, counted_sources(parts["source"])),
    }


def _range_report(request: Request, app: App, connection: Connection, group_by: periods.GroupBy) -> Result:
    question = ask(request, app, connection)
    asked = _range(request, question, group_by)
    cut = periods.periods(asked.start, asked.end, group_by, question.zone)
    # A zone may have skipped the only date that was asked for, so there may be no period at all.
    bounds = [periods.span(asked, question.zone).start, *(period.end for period in cut)]
    wanted = (*BREAKDOWNS, "source")
    rows = reports.sums(connection, bounds, wanted, question.filters, BREAKDOWNS) if cut else []
    found = breakdowns(question, rows, wanted)
    answered = [found.get(index, Slice()) for index in range(len(cut))]
    total, entries = series(
        [
            (_heading(period), sums.totals, {name: sums.parts.get(name, {}) for name in BREAKDOWNS})
            for period, sums in zip(cut, answered, strict=True)
        ]
    )
    if is_flat(request):
        return _flat(entries, request)
    sources = {source for sums in answered for source in counted_sources(sums.parts.get("source", {}))}
    return {
        "start": asked.start,
        "end": asked.end,
        "group_by": group_by,
        "tz": question.zone.key,
        "total_cost": total,
        "periods": entries,
        "coverage": question.coverage(
            connection, (bounds[0], bounds[-1]), sum_of(sums.totals for sums in answered), sorted(sources)
        ),
    }


def _figures(connection: Connection, question: Question, period: Period) -> dict[str, Any]:
    """Return the daily shape of one period, coverage included."""
    totals, parts = _sums(connection, question, period, (*BREAKDOWNS, "source"), BREAKDOWNS)
    sources = counted_sources(parts.pop("source"))
    covered = question.coverage(connection, (period.start, period.end), totals, sources)
    return {**figures(totals, parts), "coverage": covered}


def _sums(
    connection: Connection, question: Question, period: Period, wanted: Sequence[str], only_costs: Sequence[str] = ()
) -> tuple[Totals, dict[str, dict[str, Totals]]]:
    rows = reports.sums(connection, [period.start, period.end], wanted, question.filters, only_costs)
    found = breakdowns(question, rows, wanted).get(0, Slice())
    return found.totals, {name: found.parts.get(name, {}) for name in wanted}


def _heading(period: Period) -> dict[str, Any]:
    hour = {} if period.hour is None else {"hour": period.hour}
    return {"date": period.date, **hour, "start": period.start, "end": period.end}


def _range(request: Request, question: Question, group_by: periods.GroupBy) -> DateRange:
    return periods.resolve_range(
        request.query.get("start", date), request.query.get("end", date), today=question.today, group_by=group_by
    )


def _flat(entries: Sequence[dict[str, Any]], request: Request) -> Answer:
    """Answer the bare array of scalars, tokens as columns of their own: what spreadsheets and N8N can read."""
    return bare(
        [
            {
                **{name: value for name, value in entry.items() if not isinstance(value, dict)},
                **{
                    name if name == "web_searches" else f"{name}_tokens": count
                    for name, count in entry["tokens"].items()
                },
            }
            for entry in entries
        ],
        request,
    )
