"""What Claude Code did: one UTC day per question, one record per person or key, people by their address."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

from infra.demo.cast import OPUS_NEW, SONNET
from infra.demo.dataset import Dataset, Json, stamp
from infra.demo.query import Query, detailed, refuse
from infra.demo.server import Request

ORGANISATION_ID = "6f1d2c0e-7a54-4f7b-9b1e-2d8c5a0f4e11"
DEFAULT_LIMIT, MAX_LIMIT = 20, 1000
PEOPLE = ("mira@peak-and-pine.example", "jonas@peak-and-pine.example")
REVIEWS = "cost-tracker-main"
FIRST_WEEKEND_DAY = 5


def report(request: Request, dataset: Dataset, now: datetime) -> Json:
    """Answer `GET /v1/organizations/usage_report/claude_code` as of `now` (aware UTC)."""
    query = Query(request, ("starting_at", "limit", "page"))
    limit = query.whole("limit", DEFAULT_LIMIT, MAX_LIMIT)
    text = query.text("starting_at")
    if text is None:
        raise refuse("starting_at: Field required")
    try:
        day = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
    except ValueError as exc:
        raise refuse("starting_at: Input should be a date such as 2026-11-20") from exc
    first = int(query.place() or 0)
    found = detailed(dataset).claude_code(day) if day < now else []
    more = len(found) > first + limit
    return {
        "data": list(found[first : first + limit]),
        "has_more": more,
        "next_page": query.token_of(str(first + limit)) if more else None,
    }


def records(day: datetime, dice: Sequence[int]) -> list[Json]:
    """Return a day of the synthetic team, by 32 numbers from 0 to 255."""
    found = [_record(day, {"type": "api_actor", "api_key_name": REVIEWS}, "api", SONNET, dice[:8])]
    if day.weekday() < FIRST_WEEKEND_DAY:
        for place, address in enumerate(PEOPLE, start=1):
            person = {"type": "user_actor", "email_address": address}
            found.append(_record(day, person, "subscription", OPUS_NEW, dice[8 * place : 8 * place + 8]))
    return found


def _record(day: datetime, actor: Json, customer: str, model: str, dice: Sequence[int]) -> Json:
    sessions, added, removed, commits, requested, accepted, read, written = dice
    return {
        "actor": actor,
        "date": stamp(day),
        "organization_id": ORGANISATION_ID,
        "customer_type": customer,
        "subscription_type": "team" if customer == "subscription" else None,
        "terminal_type": "vscode" if customer == "subscription" else "ci",
        "core_metrics": {
            "num_sessions": 1 + sessions % 9,
            "lines_of_code": {"added": added * 3, "removed": removed},
            "commits_by_claude_code": commits % 6,
            "pull_requests_by_claude_code": requested % 2,
        },
        "tool_actions": {"edit_tool": {"accepted": accepted, "rejected": accepted // 9}},
        "model_breakdown": [
            {
                "model": model,
                "tokens": {
                    "input": 900 + added,
                    "output": 4_000 + written * 10,
                    "cache_read": read * 1_000,
                    "cache_creation": 2_000,
                },
                "estimated_cost": {"amount": 20 + written, "currency": "USD"},
            }
        ],
    }
