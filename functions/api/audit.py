"""Why a number is what it is: the arithmetic behind a day, and our figures against the provider's bill."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from functions.api import report_schemas as schemas
from functions.api.encoding import Exact
from functions.api.parameters import DATE, END, FILTERS, START, TZ
from functions.api.questions import ask
from functions.api.routing import Request, Result, Router, Scope
from shared.core import periods
from shared.core.attribution import counted_sources
from shared.core.pricing import Rates, charges
from shared.core.reconciliation import Day, settle, table
from shared.core.totals import Totals
from shared.core.usage import Usage
from shared.core.windows import floor
from shared.store import explain as explain_store
from shared.store import quarantine, reports
from shared.store import reconciliation as bills

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from functions.api.questions import Question
    from functions.runtime import App
    from shared.store.database import Connection

router: Router[App] = Router("Audit")

_BY_ACCOUNT = tuple(param for param in FILTERS if param.name in {"account", "provider"})
_UTC = ZoneInfo("UTC")


@router.get(
    "/costs/explain",
    scope=Scope.USAGE_READ,
    summary="The arithmetic behind a day: tokens x price = cost, and where each price comes from",
    query=(DATE, TZ, *FILTERS),
    response=schemas.EXPLAIN,
)
def explain(request: Request, app: App) -> Result:
    """Answer every multiplication that made the day's total, with all digits."""
    return app.database.run(lambda connection: _explain(request, app, connection))


@router.get(
    "/costs/reconciliation",
    scope=Scope.USAGE_READ,
    summary="Estimate against bill per account and UTC day, with the likely reason for a difference",
    description="Days are UTC here, because the providers' bills are.",
    query=(START, END, *_BY_ACCOUNT),
    response=schemas.RECONCILIATION,
)
def reconciliation(request: Request, app: App) -> Result:
    """Answer one row per account and UTC day, newest first."""
    return app.database.run(lambda connection: _reconciliation(request, app, connection))


def _explain(request: Request, app: App, connection: Connection) -> dict[str, Any]:
    question = ask(request, app, connection)
    day = request.query.get("date", date) or question.today
    period = periods.day(day, question.zone)
    rows = explain_store.lines(connection, period.start, period.end, question.filters)
    whole = reports.sums(connection, [period.start, period.end], ("source",), question.filters)
    totals = next((row.totals for row in whole if row.dimension is None), Totals())
    priced = [row for row in rows if not row["is_unpriced"] and row["source"] != "attribution"]
    return {
        "date": day,
        "tz": question.zone.key,
        "total_cost": Exact(totals.cost),
        "lines": [_line(row) for row in priced],
        "unpriced": [_unpriced(row) for row in rows if row["is_unpriced"] and row["source"] != "attribution"],
        "balanced": [
            {"model": row["model"], "cost": _exact(row["cost"])} for row in rows if row["source"] == "attribution"
        ],
        "coverage": question.coverage(
            connection, (period.start, period.end), totals, counted_sources(_by_source(whole))
        ),
    }


def _line(row: dict[str, Any]) -> dict[str, Any]:
    rates = None if row["detail"] is None else Rates.from_json(row["detail"])
    made_of = [] if rates is None else list(charges(_usage(row), rates))
    return {
        "provider": row["provider"],
        "model": row["model"],
        "model_raw": row["model_raw"],
        "service_tier": row["service_tier"],
        "batch": row["is_batch"],
        "speed": row["speed"],
        "inference_geo": row["inference_geo"],
        "context_window": row["context_window"],
        "source": row["source"],
        "records": row["lines"],
        "price": None
        if rates is None
        else {
            "source": rates.source,
            "version": rates.version,
            "since": rates.since,
            "model": rates.model,
            "adjustments": list(rates.adjustments),
        },
        "classes": [
            {
                "class": charge.name,
                "quantity": charge.count,
                "price": _exact(charge.price),
                "per": charge.per,
                "cost": _exact(charge.cost),
            }
            for charge in made_of
        ],
        "cost": _exact(row["cost"]),
        "reported_cost": _exact(row["reported_cost"]),
        "note": _note(row, rates),
    }


def _note(row: dict[str, Any], rates: Rates | None) -> str:
    if rates is not None:
        return "tokens x price"
    if row["source"] == "api" and _usage(row) != Usage():
        if row["request_type"] is not None:
            return "counted only; what it costs is on the bill, as lines of their own"
        return "as charged by the provider, whose report has tokens and money"
    return "as billed by the provider; no token explains it"


def _usage(row: dict[str, Any]) -> Usage:
    counts = {name: int(row[f"{name}_tokens"]) for name in _TOKEN_FIELDS}
    return Usage(**counts, web_searches=int(row["web_searches"]), requests=int(row["requests"]))


_TOKEN_FIELDS = (
    "input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning", "audio_input", "audio_output",
    "image_input", "image_output",
)  # fmt: skip


def _unpriced(row: dict[str, Any]) -> dict[str, Any]:
    usage = _usage(row)
    return {
        "model": row["model"],
        "model_raw": row["model_raw"],
        "requests": usage.requests,
        "tokens": usage.total_tokens,
    }


def _reconciliation(request: Request, app: App, connection: Connection) -> dict[str, Any]:
    question = ask(request, app, connection, _UTC, _BY_ACCOUNT)
    asked = periods.resolve_range(
        request.query.get("start", date), request.query.get("end", date), today=question.today
    )
    span = periods.span(asked, question.zone)
    # Some bills are written while their day goes on; what such a day costs is not known before it is over.
    days = _days(connection, question, span.start, span.end, floor(request.now, timedelta(days=1)))
    settle(days)
    figures, rows = table(days)
    whole = reports.sums(connection, [span.start, span.end], ("source",), question.filters)
    totals = next((row.totals for row in whole if row.dimension is None), Totals())
    return {
        "start": asked.start,
        "end": asked.end,
        **figures,
        "data": rows,
        "coverage": question.coverage(connection, (span.start, span.end), totals, counted_sources(_by_source(whole))),
    }


def _days(
    connection: Connection, question: Question, start: datetime, end: datetime, billed_until: datetime
) -> list[Day]:
    ids = [account.id for account in question.accounts]
    names = {account.id: account.name for account in question.accounts}
    providers = {account.id: account.provider for account in question.accounts}
    found: dict[tuple[int, date], Day] = {}
    for row in bills.estimated(connection, start, end, ids):
        found[row["account_id"], row["date"]] = Day(
            account=names[row["account_id"]],
            date=row["date"],
            estimated=row["cost"],
            logged=row["logged"],
            unattributed=row["unattributed"],
            unpriced=row["unpriced_models"],
            unpriced_tokens=int(row["unpriced_tokens"]),
            tiers=set(row["tiers"]),
            provider=providers[row["account_id"]],
        )
    for row in bills.billed(connection, start, min(end, billed_until), ids):
        key = row["account_id"], row["date"]
        day = found.setdefault(key, Day(names[key[0]], row["date"], provider=providers[key[0]]))
        day.billed, day.charges = row["amount"], set(row["charges"])
    for row in quarantine.by_day(connection, start, end, ids):
        key = row["account_id"], row["date"]
        found.setdefault(key, Day(names[key[0]], row["date"])).quarantined = row["rows"]
    return list(found.values())


def _by_source(rows: list[reports.Sums]) -> dict[str, Totals]:
    return {str(row.key): row.totals for row in rows if row.dimension == "source"}


def _exact(amount: Decimal | None) -> Exact | None:
    return None if amount is None else Exact(amount)
