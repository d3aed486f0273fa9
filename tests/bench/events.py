"""Events as a team of agents sends them: 600 combinations of project, model and session type, in order of time."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.store.database import Database, connect
from shared.workflows.verify import verify

DAY = datetime(2026, 11, 23, tzinfo=UTC)
PROJECTS = (
    "peakpaws",
    "kanban",
    "trading",
    "cost-tracker",
    "context-vault",
    "atlas",
    "beacon",
    "comet",
    "delta",
    "echo",
)
MODELS = (
    "claude-opus-4-6", "claude-sonnet-4-5-20250929", "claude-haiku-4-5", "claude-opus-4-5", "claude-sonnet-4",
    "gpt-4o", "gpt-4o-mini", "gpt-5", "gpt-5-mini", "gpt-4.1", "o3", "o4-mini", "gemini-2.5-pro", "gemini-2.5-flash",
    "deepseek-chat", "mistral-large-latest", "codestral-latest", "sonar-pro", "gpt-4.1-mini", "claude-opus-4",
)  # fmt: skip
TYPES = ("main", "subagent", "cron")
_FULL = 500_000


class Stream:
    """Batches of JSON bytes; the same seed gives the same events."""

    def __init__(self, seed: int, count: int, batch: int, day: datetime = DAY) -> None:
        self._random = random.Random(seed)  # noqa: S311 - events, not secrets
        self._count, self._batch, self._day = count, batch, day

    def bodies(self) -> list[bytes]:
        """Every batch as the body of a request."""
        # A short run has the density of the full one, and so as many events in each cell of the roll-up.
        step = timedelta(days=1) / max(self._count, _FULL)
        rows = [self._row(self._day + step * number) for number in range(self._count)]
        return [json.dumps(rows[at : at + self._batch]).encode() for at in range(0, self._count, self._batch)]

    def _row(self, at: datetime) -> dict[str, Any]:
        pick = self._random
        project = pick.choice(PROJECTS)
        kind = pick.choice(TYPES)
        row = {
            "event_id": f"{pick.getrandbits(128):032x}",
            "recorded_at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "model": pick.choice(MODELS),
            "tokens_in": pick.randrange(20_000),
            "tokens_out": pick.randrange(4_000),
            "cache_read_tokens": pick.randrange(100_000),
            "agent": f"{project}-agent",
            "session_label": f"{project}-{kind}-{pick.randrange(8)}",
            "session_type": kind,
        }
        if pick.random() < 0.2:
            row["tags"] = {"customer": f"c{pick.randrange(200)}"}
        return row


def preload(dsn: str, count: int, same_day: int) -> None:
    """Store `count` events made by Postgres, `same_day` of them on `DAY` and the others in the year before."""
    with connect(dsn) as connection:
        connection.execute(
            """
            INSERT INTO ledger (
                source, event_id, event_key, payload_hash, recorded_at, collected_at, updated_at, provider, model,
                model_raw, input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
                reasoning_tokens, audio_input_tokens, audio_output_tokens, image_input_tokens, image_output_tokens,
                web_searches, requests, is_batch, cost, input_cost, output_cost, cache_read_cost, cache_write_5m_cost,
                cache_write_1h_cost, audio_cost, image_cost, web_search_cost, request_cost, project, agent,
                session_label, session_type, tags
            )
            SELECT 'event', md5('id' || n), md5('key' || n)::uuid, md5('payload' || n)::uuid, at, at, at, 'anthropic',
                model, model, n %% 20000, n %% 4000, n %% 100000, 0, 0, 0, 0, 0, 0, 0, 0, 1, false, cost, cost, 0, 0, 0,
                0, 0, 0, 0, 0, project, project || '-agent', project || '-' || kind || '-' || n %% 8, kind,
                CASE WHEN n %% 5 = 0 THEN jsonb_build_object('customer', 'c' || n %% 200) END
            FROM (
                SELECT n, (n %% 20000) * 0.000003 AS cost,
                    %(day)s::timestamptz + CASE WHEN n <= %(same_day)s THEN n * interval '1 day' / %(same_day)s
                        ELSE (n - %(count)s - 1) * interval '364 days' / %(count)s END AS at,
                    (%(models)s::text[])[1 + n %% 20] AS model, (%(projects)s::text[])[1 + n / 20 %% 10] AS project,
                    (%(kinds)s::text[])[1 + n / 200 %% 3] AS kind
                FROM generate_series(1, %(count)s) AS n
            ) AS made ORDER BY at
            """,
            {
                "day": DAY,
                "count": count,
                "same_day": same_day,
                "models": list(MODELS),
                "projects": list(PROJECTS),
                "kinds": list(TYPES),
            },
        )
        # What autovacuum does in time; without it the first queries would plan for an empty table.
        connection.execute("VACUUM (ANALYZE) ledger")
    database = Database(dsn)
    verify(database, repair=True)
    database.close()
