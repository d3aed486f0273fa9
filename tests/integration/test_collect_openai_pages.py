"""OpenAI's pages in any order, and pages that repeat what an earlier one had."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from shared.store.database import Connection, Database
from tests.integration.collecting import run
from tests.integration.collecting_openai import DAY, HOUR, NOW, bill, connect, total

DAYS = [NOW.replace(hour=0, minute=0) - number * DAY for number in range(4)]


def answering(order: list[list[datetime]]) -> httpx.MockTransport:
    """Serve the costs in pages of these days, and every other report without usage."""

    def bucket(start: datetime, width: timedelta, results: list[Any]) -> dict[str, Any]:
        bounds = {"start_time": int(start.timestamp()), "end_time": int((start + width).timestamp())}
        return {**bounds, "results": results}

    def handler(request: httpx.Request) -> httpx.Response:
        path, asked = request.url.path, request.url.params
        if path.endswith("/projects"):
            return httpx.Response(200, json={"data": [{"id": "proj_a", "name": "Shop"}], "has_more": False})
        if path.endswith("/api_keys"):
            return httpx.Response(200, json={"data": [], "has_more": False})
        if not path.endswith("/costs"):
            start = datetime.fromtimestamp(int(asked["start_time"]), UTC)
            empty = bucket(start, HOUR if asked["bucket_width"] == "1h" else DAY, [])
            return httpx.Response(200, json={"data": [empty], "has_more": False})
        number = int(asked.get("page", "0"))
        row = bill().wire()
        more = number + 1 < len(order)
        return httpx.Response(
            200,
            json={
                "data": [bucket(day, DAY, [row]) for day in order[number]],
                "has_more": more,
                "next_page": str(number + 1) if more else None,
            },
        )

    return httpx.MockTransport(handler)


@pytest.mark.parametrize(
    "order", [[DAYS[:2], DAYS[2:]], [DAYS[2:], DAYS[:2]], [[DAYS[1], DAYS[0]], [DAYS[3], DAYS[2]]]]
)
def test_pages_come_in_any_order(database: Database, connection: Connection, order: list[list[datetime]]) -> None:
    provider = connect(httpx.Client(transport=answering(order)), "https://api.openai.com/v1")
    [report] = run(database, provider, now=NOW, backfill=4 * DAY)
    assert report.status == "succeeded", report.error
    assert total(connection)[0] == Decimal("0.12")


def test_pages_that_repeat_days_are_refused(database: Database, connection: Connection) -> None:
    provider = connect(httpx.Client(transport=answering([DAYS[:2], DAYS[:2]])), "https://api.openai.com/v1")
    [report] = run(database, provider, now=NOW, backfill=4 * DAY)
    assert report.status == "failed"
    assert "intervals of the page before" in str(report.error)
    assert connection.execute("SELECT count(*) AS n FROM ledger").fetchone() == {"n": 0}
