"""Every report and every export of many random events equals their sums by hand, to the last digit.

A few thousand events by default; `make proof` sends two million.
"""

import csv
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from functions import runtime
from functions.api import main
from infra.local import postgres
from infra.local.transport import HandlerTransport
from shared.config import Settings
from shared.core import jsontext
from shared.store.database import connect
from shared.store.migrate import migrate
from tests.proof import facts, sums
from tests.proof.facts import DATED, DATED_PRICES, DATED_PROVIDER, Fact
from tests.proof.sums import Sums

COUNT = int(os.environ.get("PROOF_EVENTS", "10000"))
BATCH = 5000
NOW = datetime(2026, 11, 19, 12, tzinfo=UTC)
KEY = "a-key-of-the-tests"
# The first is TIMEZONE, its clocks go back on 2026-10-25; the others have no roll-up of their own.
ZONES = tuple(map(ZoneInfo, ("Europe/Berlin", "UTC", "Asia/Kathmandu")))
START, END = date(2026, 10, 11), date(2026, 11, 17)
FILTERS = {
    "project=Own&project=PeakPaws": lambda fact: fact.keys["project"] in {"Own", "PeakPaws"},
    "model=claude-sonnet-4-5-20250929&agent=builder":
        lambda fact: fact.keys["model"] == "claude-sonnet-4-5" and fact.keys["agent"] == "builder",
    "session_label=kanban-7&category=unassigned":
        lambda fact: fact.keys["session_label"] == "kanban-7" and fact.keys["category"] == "unassigned",
    "tag=team:a&user=ada": lambda fact: fact.tags.get("team") == "a" and fact.keys["user"] == "ada",
}  # fmt: skip
PATHS = {"session_type": "by-session-type", "session_label": "by-session"}


@dataclass
class Proof:
    """The tracker with all events, their sums by hand, and what each line must say."""

    http: httpx.Client
    dsn: str
    whole: Sums
    filtered: dict[str, Sums]
    lines: dict[int, tuple[int | None, int, int]]

    def get(self, path: str, query: str = "") -> Any:  # noqa: ANN401 - decoded JSON
        response = self.http.get(f"{path}?{query}")
        assert response.status_code == 200, response.text
        return jsontext.loads(response.content)


@pytest.fixture(scope="module")
def proof(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    name = "proof"
    postgres.create_database(postgres_dsn, name)
    dsn = make_conninfo(postgres_dsn, dbname=name)
    with connect(dsn) as connection:
        migrate(connection)
    settings = Settings.load({
        "DATABASE_URL": f"postgresql://postgres@/{name}?host={conninfo_to_dict(dsn)['host']}", "API_KEY": KEY,
        "TIMEZONE": ZONES[0].key, "COST_TRACKER_HOME": str(tmp_path_factory.mktemp("home")),
    })  # fmt: skip
    app = runtime.build(settings, httpx.Client(), clock=lambda: NOW, dispatch=runtime.in_a_thread)
    http = httpx.Client(
        transport=HandlerTransport(main.build(lambda: app)), base_url="http://proof", headers={"X-API-Key": KEY},
        follow_redirects=True,
    )  # fmt: skip
    for since, inputs, outputs in DATED_PRICES:
        body = {
            "input_per_1m": Decimal(inputs), "output_per_1m": Decimal(outputs), "since": since.isoformat(),
            "provider": DATED_PROVIDER,
        }  # fmt: skip
        assert http.put(f"/api/models/{DATED}/price", content=jsontext.dumps(body)).status_code == 201
    found = Proof(http, dsn, Sums(), {query: Sums(passes) for query, passes in FILTERS.items()}, {})
    _send(found)
    yield found
    http.close()
    app.database.close()
    app.http.close()
    with psycopg.connect(postgres_dsn, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _send(proof: Proof) -> None:
    """Send everything in batches, some of it again, and void some; add up what is left."""
    held: list[tuple[dict[str, Any], Fact]] = []
    batch: list[dict[str, Any]] = []
    for row, fact in facts.events(7, COUNT):
        batch.append(row)
        held.append((row, fact))
        if len(batch) == BATCH or fact.number == COUNT - 1:
            answer = proof.http.post("/api/usage", content=jsontext.dumps(batch)).json()
            expected = {"created": len(held), "duplicates": len(batch) - len(held), "rejected": 0}
            assert {name: answer[name] for name in expected} == expected, str(answer)[:2000]
            voided = answer["results"][-1]
            assert proof.http.post(f"/api/usage/{voided['id']}/void", json={"reason": "wrong"}).status_code == 200
            for _, kept in held[:-1]:
                proof.whole.add(kept)
                for some in proof.filtered.values():
                    some.add(kept)
                cost = None if kept.cost is None else sums.units(kept.cost)
                proof.lines[kept.number] = (cost, kept.tokens[0], kept.tokens[1])
            # The first of this batch come again with the next one.
            batch, held = [row for row, _ in held[:50]], []


def midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def days(zone: ZoneInfo) -> Iterator[tuple[date, datetime, datetime]]:
    day = START
    while day <= END:
        yield day, midnight(day, zone), midnight(day + timedelta(days=1), zone)
        day += timedelta(days=1)


def assert_shape(answer: dict[str, Any], found: dict[tuple[str, str] | None, sums.Sum]) -> None:
    """Compare a daily shape: counters, tokens, and every breakdown against the printed total."""
    whole, shown = found[None], sums.whole(answer["total_cost"])
    assert (answer["requests"], answer["tokens"]) == (whole[1], sums.tokens(whole))
    for dimension in ("model", "session_type", "project", "provider", "agent", "category"):
        exact = {key: cell[0] for key, cell in sums.by(found, dimension).items()}
        sums.assert_apportioned(answer[f"by_{dimension}"], exact, shown)


@pytest.mark.parametrize("zone", ZONES, ids=str)
@pytest.mark.parametrize("query", ["", *FILTERS])
def test_ranges(proof: Proof, zone: ZoneInfo, query: str) -> None:
    some = proof.filtered[query] if query else proof.whole
    answer = proof.get("/costs/range", f"start={START}&end={END}&tz={zone.key}&{query}")
    whole = some.between(midnight(START, zone), midnight(END + timedelta(days=1), zone))[None]
    assert sums.whole(answer["total_cost"]) == sums.printed(whole[0])
    periods = {period["date"]: period for period in answer["periods"]}
    exact = {}
    for day, start, end in days(zone):
        found = some.between(start, end)
        assert_shape(periods[day.isoformat()], found)
        exact[day.isoformat()] = found[None][0]
    shown = {day: period["total_cost"] for day, period in periods.items()}
    sums.assert_apportioned(shown, exact, sums.printed(whole[0]))
    assert [answer["coverage"][name] for name in ("unpriced_requests", "unpriced_tokens")] == whole[2:4]


@pytest.mark.parametrize("zone", ZONES, ids=str)
@pytest.mark.parametrize("query", ["", *FILTERS])
@pytest.mark.parametrize("dimension", facts.DIMENSIONS)
def test_breakdowns(proof: Proof, zone: ZoneInfo, query: str, dimension: str) -> None:
    some = proof.filtered[query] if query else proof.whole
    path = PATHS.get(dimension, f"by-{dimension}")
    answer = proof.get(f"/costs/{path}", f"start={START}&end={END}&tz={zone.key}&{query}")
    found = some.between(midnight(START, zone), midnight(END + timedelta(days=1), zone))
    exact = sums.by(found, dimension)
    rows = {row["key"]: row for row in answer["data"]}
    total = sums.printed(found[None][0])
    assert sums.whole(answer["total_cost"]) == total
    costs = {key: row["cost"] for key, row in rows.items()}
    sums.assert_apportioned(costs, {key: cell[0] for key, cell in exact.items()}, total)
    for key, cell in exact.items():
        row = rows[key]
        assert [row["requests"], row["unpriced_requests"], row["unpriced_tokens"]] == cell[1:4]
        assert row["tokens"] == sums.tokens(cell)


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_days_hours_and_summaries(proof: Proof, zone: ZoneInfo) -> None:
    for day, start, end in list(days(zone))[12:17]:  # clocks change in between
        found = proof.whole.between(start, end)
        answer = proof.get("/costs/daily", f"date={day}&tz={zone.key}")
        assert sums.whole(answer["total_cost"]) == sums.printed(found[None][0])
        assert_shape(answer, found)
        explained = proof.get("/costs/explain", f"date={day}&tz={zone.key}")
        assert sums.units(explained["total_cost"]) == found[None][0]
        hours = proof.get("/costs/range", f"start={day}&end={day}&tz={zone.key}&group_by=hour")["periods"]
        for hour in hours:
            cut = proof.whole.between(*(datetime.fromisoformat(hour[name]) for name in ("start", "end")))
            assert_shape(hour, cut)
    for name, before in (("weekly", 6), ("monthly", 29)):
        today = NOW.astimezone(zone).date()
        start, end = midnight(today - timedelta(days=before), zone), midnight(today + timedelta(days=1), zone)
        answer = proof.get(f"/costs/summary/{name}", f"tz={zone.key}")
        found = proof.whole.between(start, end)
        assert sums.whole(answer["total_cost"]) == sums.printed(found[None][0])
        assert_shape(answer, found)
    summary = proof.get("/api/usage/summary", f"group_by=day&start={START}&end={END}&tz={zone.key}")["data"]
    by_day = {row["period"]: row for row in summary}
    for day, start, end in days(zone):
        found, row = proof.whole.between(start, end), by_day[day.isoformat()]
        assert sums.whole(row["total_cost"]) == sums.printed(found[None][0])
        for dimension in ("model", "project", "agent"):
            exact = sums.by(found, dimension)
            shown = row[f"by_{dimension}"]
            costs = {key: part["cost"] for key, part in shown.items()}
            sums.assert_apportioned(costs, {key: cell[0] for key, cell in exact.items()}, sums.printed(found[None][0]))
            for key, cell in exact.items():
                counts = [shown[key][name] for name in ("requests", "tokens_in", "tokens_out")]
                assert counts == [cell[1], cell[4], cell[5]]


def rows_of(form: str, path: Path) -> Iterator[dict[str, Any]]:
    if form == "csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.DictReader(file)
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            if (text := line.strip().strip(",")) not in {"[", "]", ""}:
                yield jsontext.loads(text)


@pytest.mark.parametrize("form", ["csv", "json", "jsonl"])
def test_exports(proof: Proof, form: str, tmp_path: Path) -> None:
    path = tmp_path / f"usage.{form}"
    with proof.http.stream("GET", f"/api/usage/export?format={form}") as response, path.open("wb") as file:
        assert response.status_code == 200
        for piece in response.iter_bytes():
            file.write(piece)
    missing = set(proof.lines)
    for row in rows_of(form, path):
        number = int(row["event_id"][1:])
        missing.remove(number)
        cost = None if row["cost_usd"] in {None, ""} else sums.units(Decimal(row["cost_usd"]))
        assert (cost, int(row["input_tokens"]), int(row["output_tokens"])) == proof.lines[number], row
    assert not missing


def test_focus(proof: Proof, tmp_path: Path) -> None:
    path = tmp_path / "focus.csv"
    with (
        proof.http.stream("GET", f"/api/usage/export?format=focus&start={START}&end={END}") as response,
        path.open("wb") as file,
    ):
        assert response.status_code == 200
        for piece in response.iter_bytes():
            file.write(piece)
    columns = {"model": "x_Model", "project": "x_Project", "session_type": "x_SessionType", "agent": "x_Agent"}
    costs: defaultdict[tuple[str, ...], int] = defaultdict(int)
    counts: defaultdict[str, int] = defaultdict(int)
    for row in rows_of("csv", path):
        day, cost = row["ChargePeriodStart"][:10], sums.units(Decimal(row["BilledCost"]))
        counts[day] += int(Decimal(row["x_TokenCount"] or 0))
        for dimension, column in columns.items():
            costs[day, dimension, row[column] or "unassigned"] += cost
        if row["ListUnitPrice"]:
            product = Fraction(row["ListUnitPrice"]) * Fraction(row["PricingQuantity"])
            assert product == Fraction(row["ListCost"]) == Fraction(row["EffectiveCost"]), row
    for day, start, end in days(ZoneInfo("UTC")):
        found = proof.whole.between(start, end)
        for dimension in columns:
            exact = {(day.isoformat(), dimension, key): cell[0] for key, cell in sums.by(found, dimension).items()}
            assert {key: cost for key, cost in exact.items() if cost != costs.pop(key, 0)} == {}
        assert counts.pop(day.isoformat(), 0) == sum(found[None][4:])
    assert not any(costs.values())
    assert not counts


def test_nothing_has_drifted(proof: Proof) -> None:
    run = proof.http.post("/admin/verify?wait=28").json()
    while run["status"] == "running":
        run = proof.get(f"/admin/runs/{run['id']}")
    assert run["status"] == "succeeded"
    assert run["result"]["drift"] == []
