"""Events beside OpenAI's several reports and its bill: whatever they log, the report stays the total."""

from datetime import timedelta
from typing import Any

import pytest

from infra.demo.openai.data import CostRow, FixedDataset, UsageRow
from infra.demo.openai.fake import FakeOpenAI
from shared.store.database import Connection, Database
from shared.workflows.attribute import rebuild
from shared.workflows.ingest import Options, ingest
from shared.workflows.pricing import load_book
from shared.workflows.verify import verify
from tests.integration.collecting import CATALOGUE
from tests.integration.collecting_openai import AT, DAY, KEYS, NOW, PROJECTS, bill, chat, collected, search

EVENTS: list[dict[str, Any]] = [
    {"model": "gpt-5-mini", "tokens_in": 700, "tokens_out": 90},
    {"model": "gpt-5-mini", "tokens_in": 300, "tokens_out": 9, "recorded_at": AT + timedelta(hours=3)},
    {"model": "whisper-1", "cost": "0.25"},
    {"model": "whisper-1", "cost": "0.25", "recorded_at": AT - timedelta(hours=9)},
    {"model": "text-embedding-3-small", "tokens_in": 5_000, "tokens_out": 0},
    {"model": "dall-e-3", "cost": "0.08"},
]


@pytest.fixture
def data() -> FixedDataset:
    words = {"project_id": "proj_a", "api_key_id": "key_a"}
    counted = {"seconds": 600, "num_model_requests": 2}
    return FixedDataset(
        usage_rows=[
            chat(),
            search(),
            UsageRow(AT, "audio_transcriptions", counted, {**words, "model": "whisper-1"}),
            UsageRow(AT, "images", {"images": 2, "num_model_requests": 2}, {**words, "model": "dall-e-3"}),
        ],
        cost_rows=[
            bill(),
            bill(amount="0.06", line="whisper-1, audio"),
            bill(amount="0.08", line="dall-e-3, standard"),
            CostRow(AT, bill().amount, "Vector storage", "proj_a"),
        ],
        projects=PROJECTS,
        keys=KEYS,
    )


def log(database: Database, event: dict[str, Any]) -> None:
    at = event.get("recorded_at", AT + timedelta(minutes=20))
    row = {"account": "anthropic", "provider": "openai"} | event | {"recorded_at": at.isoformat()}
    report = ingest(database, lambda c: load_book(c, CATALOGUE), [row], NOW, options=Options(touched=rebuild))
    assert [outcome.status for outcome in report.outcomes] == ["created"], report.outcomes


def sums(connection: Connection, *sources: str) -> list[dict[str, Any]]:
    return connection.execute(
        """
        SELECT date_bin('1 day', slot, '2000-01-01 00:00+00') AS day, sum(cost) AS cost, sum(requests) AS requests,
            sum(input_tokens) AS input, sum(output_tokens) AS output, sum(web_searches) AS searches
        FROM rollup_quarter WHERE source = ANY(%s) GROUP BY 1 ORDER BY 1
        """,
        [list(sources)],
    ).fetchall()


@pytest.mark.parametrize("is_first", [True, False], ids=["logged first", "polled first"])
def test_the_report_stays_the_total(
    database: Database, connection: Connection, data: FixedDataset, *, is_first: bool
) -> None:
    with FakeOpenAI(data, clock=lambda: NOW) as fake:
        if not is_first:
            collected(database, fake)
        else:
            # The account is there before its first figures are.
            fake.dataset = FixedDataset(projects=PROJECTS)
            collected(database, fake, now=NOW - 9 * DAY)
            fake.dataset = data
        for event in EVENTS:
            log(database, event)
        collected(database, fake)
    assert sums(connection, "api", "event", "attribution") == sums(connection, "api")
    assert connection.execute("SELECT count(*) AS n FROM ledger WHERE source = 'attribution'").fetchone() != {"n": 0}
    assert verify(database, repair=False)["drift"] == []
