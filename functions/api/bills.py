"""What providers say themselves: their bills by key, product and the like, and what Claude Code did."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from functions.api.accounts import find
from functions.api.parameters import END, FILTERS, START
from functions.api.query import Param
from functions.api.questions import ask
from functions.api.routing import Request, Result, Router, Scope
from functions.api.schemas import COUNT, DATE, FLAG, MONEY, TEXT, TEXT_OR_NULL, array, schema
from shared.core import periods
from shared.core.money import apportion, total
from shared.store import bills

if TYPE_CHECKING:
    from functions.runtime import App
    from shared.core.periods import Period
    from shared.store.database import Connection

router: Router[App] = Router("Bills")

_BY_ACCOUNT = tuple(param for param in FILTERS if param.name in {"account", "provider"})
_UTC = ZoneInfo("UTC")
_BY = Param("by", "The part of the bill.", choices=tuple(bills.PARTS), default="key", example="key")
_WHO = ("key_name", "customer_type", "subscription_type")
_BILLED = schema(
    {
        "start": DATE,
        "end": DATE,
        "by": TEXT,
        "billed": MONEY,
        "data": array(
            schema(
                {
                    "account": TEXT,
                    "id": {**TEXT_OR_NULL, "description": "As the provider says; null where it does not"},
                    "name": {**TEXT_OR_NULL, "description": "What a key or workspace is called"},
                    "billed": MONEY,
                }
            )
        ),
    }
)
_MODEL = schema(
    {
        "model": TEXT,
        "input_tokens": COUNT,
        "output_tokens": COUNT,
        "cache_read_tokens": COUNT,
        "cache_creation_tokens": COUNT,
        "estimated_cost": {**MONEY, "description": "The provider's estimate, USD; in no total"},
    }
)
_CLAUDE_CODE = schema(
    {
        "success": FLAG,
        "start": DATE,
        "end": DATE,
        "data": array(
            schema(
                {
                    "key_name": {**TEXT_OR_NULL, "description": "The API key; null for people, who are one row"},
                    "customer_type": {**TEXT, "description": "api or subscription"},
                    "subscription_type": TEXT_OR_NULL,
                    "sessions": COUNT,
                    "lines_added": COUNT,
                    "lines_removed": COUNT,
                    "commits": COUNT,
                    "pull_requests": COUNT,
                    "models": array(_MODEL),
                }
            )
        ),
    }
)


@router.get(
    "/costs/billed",
    scope=Scope.USAGE_READ,
    summary="What providers billed by key, workspace, product, model or charge, dearest first",
    description="Bills and not estimates, in the UTC days that they are written for. Which parts there are depends on "
    "the provider: Anthropic's bill knows keys and products in its analytics reports only.",
    query=(_BY, START, END, *_BY_ACCOUNT),
    response=_BILLED,
)
def billed(request: Request, app: App) -> Result:
    """Answer one row per account and part."""
    part = request.query.need("by", str)

    def read(connection: Connection) -> dict[str, Any]:
        question = ask(request, app, connection, _UTC, _BY_ACCOUNT)
        asked, span = _range(request, question.today)
        names = {account.id: account.name for account in question.accounts}
        rows = bills.billed_by(connection, part, span.start, span.end, list(names))
        printed = apportion({index: row["amount"] for index, row in enumerate(rows)})
        data = [
            {"account": names[row["account_id"]], "id": row["id"], "name": row["name"], "billed": printed[index]}
            for index, row in enumerate(rows)
        ]
        return {**asked, "by": part, "billed": total(printed.values()), "data": data}

    return app.database.run(read)


@router.get(
    "/api/accounts/{id}/claude-code",
    scope=Scope.USAGE_READ,
    summary="What Claude Code did, by key and kind of customer",
    description="Sessions, lines, commits and pull requests of UTC days, where the account's option `reports` has "
    "+claude-code. The costs are the provider's estimates: usage by API is counted elsewhere and subscriptions are not "
    "billed by the token, so they are in no total.",
    query=(START, END),
    response=_CLAUDE_CODE,
    errors=(404,),
)
def claude_code(request: Request, app: App) -> Result:
    """Answer one row per key and kind of customer, most sessions first."""
    account = find(app, request.number("id"))

    def read(connection: Connection) -> dict[str, Any]:
        asked, span = _range(request, request.now.date())
        rows = bills.claude_code(connection, account["id"], span.start, span.end)
        models = bills.claude_code_models(connection, account["id"], span.start, span.end)
        data = [
            {
                **row,
                "models": [
                    {name: value for name, value in model.items() if name not in _WHO}
                    for model in models
                    if all(model[name] == row[name] for name in _WHO)
                ],
            }
            for row in rows
        ]
        return {"success": True, **asked, "data": data}

    return app.database.run(read)


def _range(request: Request, today: date) -> tuple[dict[str, date], Period]:
    asked = periods.resolve_range(request.query.get("start", date), request.query.get("end", date), today=today)
    return {"start": asked.start, "end": asked.end}, periods.span(asked, _UTC)
