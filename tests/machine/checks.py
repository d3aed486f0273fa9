"""What has to hold of a ledger after every step."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from functions import runtime
from functions.api import main
from infra.local.transport import HandlerTransport
from shared.config import Settings
from shared.core import jsontext, periods
from shared.core.money import display, total
from shared.store import accounts, drift, export, reports
from shared.store.database import Connection, Database
from shared.store.reports import DIMENSIONS, Filters
from tests.machine import balances
from tests.machine.model import BEGIN, Figures, Model, figures_of

# One on the hour, and two whose days begin inside an hour of UTC.
ZONES = tuple(ZoneInfo(name) for name in ("UTC", "Asia/Kathmandu", "America/St_Johns"))
_DATES = tuple(BEGIN.date() + timedelta(days=day) for day in range(-10, 9))
_SPAN = (BEGIN - timedelta(days=20), BEGIN + timedelta(days=40))
# Every breakdown of the API: with `range` six at once, of each day, then each on its own.
_REPORTS = (
    "range", "by-session", "range", "by-source", "range", "by-token-class", "by-account", "range", "by-user",
    "by-model", "by-project", "by-session-type", "by-provider", "by-agent", "by-category",
)  # fmt: skip
_KEY = "a-key-of-the-machine"


class Checks:
    """Compares a stored ledger with its model."""

    def __init__(self, database: Database, model: Model) -> None:
        self._database, self._model = database, model
        self._turn = 0

    def check(self) -> None:
        """Compare all that is stored with all that the model says.

        I1: the roll-up is what the ledger adds up to (`drift`), and both are the model's figures, by slot, model and
        project. I2: inside the coverage those are the report's alone, whatever was sent. I3, I4: whether a rule sent
        something again or was killed on the way, the model knows it once. I5: read on a connection of its own, every
        event that was acknowledged is there. I6: so are voided ones, every earlier word of buckets and manual entries,
        and every price. I7: what has no price is counted by the model, too. I8: every breakdown of every day adds up
        to the day, exactly as stored and, by a report of the API at each step, as printed. I10: the export adds up to
        the same by model and project. I11: days of a zone, another at each step, take what begins in them.
        """
        self._turn += 1
        self._database.run(self._check)
        self._ask(_REPORTS[self._turn % len(_REPORTS)])

    def digest(self) -> str:
        """Everything that a dry run has to leave as it is, as one text."""
        return self._database.run(_digest)

    def _check(self, connection: Connection) -> None:
        self._read_coverage(connection)
        expected = balances.by_project(self._model)
        assert drift.find(connection, *_SPAN) == []
        stored = _stored(connection)
        assert stored == expected
        assert _without_projects(stored) == {
            key: (figures.input, figures.output, figures.requests, figures.cost)
            for key, figures in self._model.totals().items()
        }
        self._check_history(connection)
        self._check_days(connection, expected)
        self._check_export(connection, expected)

    def _read_coverage(self, connection: Connection) -> None:
        """The coverage is the collector's; what is checked of it is that it only grows."""
        [account] = accounts.everyone(connection)
        before, after = self._model.coverage, (account.covered_from, account.complete_until)
        if before[0] is not None and before[1] is not None:
            assert after[0] is not None
            assert after[1] is not None
            assert (after[0] <= before[0], after[1] >= before[1]) == (True, True)
        self._model.coverage = after

    def _check_history(self, connection: Connection) -> None:
        model = self._model
        kept = connection.execute(
            """
            SELECT (SELECT count(*) FROM ledger WHERE source = 'manual') AS manual,
                (SELECT count(*) FROM bucket_versions) AS bucket_versions,
                (SELECT count(*) FROM manual_versions) AS manual_versions
            """
        ).fetchone()
        assert kept == {
            "manual": len(model.manual), "bucket_versions": model.bucket_versions,
            "manual_versions": model.manual_versions,
        }  # fmt: skip
        sent = connection.execute(
            """
            SELECT event_id, id, recorded_at, input_tokens, output_tokens, reported_cost, voided_at IS NOT NULL
                AS is_voided
            FROM ledger WHERE source = 'event'
            """
        )
        assert {row["event_id"]: tuple(row.values())[1:] for row in sent} == {
            event.event_id: (event.line_id, event.at, *event.tokens, event.said, event.is_voided)
            for event in model.events.values()
        }
        set_ = connection.execute("SELECT model, since, input_per_1m, output_per_1m FROM price_overrides")
        assert {tuple(row.values()) for row in set_} == {
            (price.model, price.since, price.input, price.output) for price in model.prices[1:]
        }

    def _check_days(self, connection: Connection, expected: Mapping[Any, Figures]) -> None:
        zone = ZONES[self._turn % len(ZONES)]
        bounds = [periods.midnight(day, zone) for day in _DATES]
        by_period: dict[int, dict[str | None, list[Decimal]]] = {}
        # Labels are not in the roll-up, so they would have everything else read from the ledger.
        for names in (tuple(name for name in DIMENSIONS if name != "session_label"), ("session_label",)):
            for row in reports.sums(connection, bounds, names, Filters()):
                by_period.setdefault(row.period, {}).setdefault(row.dimension, []).append(row.totals.cost)
        for index, (start, end) in enumerate(pairwise(bounds)):
            whole = total(figures.cost for key, figures in expected.items() if start <= key[0] < end)
            sums = by_period.get(index, {None: [Decimal(0)]})
            wholes = {name: total(parts if name else parts[:1]) for name, parts in sums.items()}
            assert wholes == dict.fromkeys(wholes, whole)

    def _check_export(self, connection: Connection, expected: Mapping[Any, Figures]) -> None:
        text = b"".join(export.stream(connection, "jsonl", _SPAN, Filters()))
        found: dict[tuple[str, str], list[Decimal]] = defaultdict(list)
        for line in text.splitlines():
            row = jsontext.loads(line)
            found[row["model"], row["project"]].append(Decimal(str(row["cost_usd"] or 0)))
        wanted: dict[tuple[str, str], list[Decimal]] = defaultdict(list)
        for (_, model, project), figures in expected.items():
            wanted[model, project].append(figures.cost)
        assert _summed(found) == _summed(wanted)

    def _ask(self, report: str) -> None:
        """Ask the API for a report of all days: its parts add up to its total as printed, which is the model's."""
        zone = ZONES[self._turn % len(ZONES)]
        query = {"start": str(_DATES[0]), "end": str(_DATES[-1]), "tz": zone.key}
        answer = _api(self._database).get(f"/costs/{report}", params=query)
        assert answer.status_code == 200, answer.text
        said = jsontext.loads(answer.content)
        expected = total(figures.cost for figures in self._model.totals().values())
        assert said["total_cost"] == display(expected)
        if report != "range":
            assert total(_money(row["cost"]) for row in said["data"]) == said["total_cost"]
            return
        assert total(_money(day["total_cost"]) for day in said["periods"]) == said["total_cost"]
        for day in said["periods"]:
            parts = [list(value.values()) for name, value in day.items() if name.startswith("by_")]
            assert {total(map(_money, costs)) for costs in parts} == {_money(day["total_cost"])}


@cache
def _api(database: Database) -> httpx.Client:
    settings = Settings.load({"DATABASE_URL": "postgresql://unused", "API_KEY": _KEY})
    built = runtime.build(settings, httpx.Client(trust_env=False), clock=lambda: _SPAN[1], dispatch=runtime.in_a_thread)
    app = replace(built, database=database)
    transport = HandlerTransport(main.build(lambda: app))
    return httpx.Client(transport=transport, base_url="http://local", headers={"X-API-Key": _KEY})


def _stored(connection: Connection) -> dict[tuple[datetime, str, str], Figures]:
    return figures_of(
        connection.execute(
            """
            SELECT slot, model, project, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
                sum(requests) AS requests, sum(cost) AS cost, sum(unpriced_tokens) AS unpriced_tokens,
                sum(unpriced_requests) AS unpriced_requests
            FROM rollup_quarter GROUP BY slot, model, project
            """
        )
    )


def _without_projects(stored: Mapping[tuple[datetime, str, str], Figures]) -> dict[Any, tuple[Any, ...]]:
    """What I2 speaks of, by slot and model, without what is zero."""
    found: dict[Any, Figures] = defaultdict(Figures)
    for (slot, model, _), figures in stored.items():
        found[slot, model].add((figures.input, figures.output), figures.requests, figures.cost)
    return {
        key: (figures.input, figures.output, figures.requests, figures.cost)
        for key, figures in found.items()
        if figures != Figures()
    }


def _summed(costs: Mapping[tuple[str, str], list[Decimal]]) -> dict[tuple[str, str], Decimal]:
    return {key: whole for key, parts in costs.items() if (whole := total(parts))}


def _money(value: object) -> Decimal:
    return Decimal(str(value))


def _digest(connection: Connection) -> str:
    tables = ("ledger", "rollup_quarter", "rates", "model_names", "audit_log", "summary_changes")
    texts = ", ".join(f"(SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM {table} AS t)" for table in tables)  # noqa: S608 - the line above
    row = connection.execute(f"SELECT concat_ws(' ', {texts}) AS digest".encode()).fetchone()
    assert row is not None
    return str(row["digest"])
