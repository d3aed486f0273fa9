"""Project rules over the past: names as they are today, explicit projects kept, whole days, every sum still right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import inf
from typing import TYPE_CHECKING, Any

import pytest

from infra.demo.anthropic import FakeAnthropic
from infra.demo.dataset import ApiKey, CostRow, FixedDataset, UsageRow, Workspace
from shared.core.projects import Rule, ordered
from shared.errors import ConflictError, NotFoundError
from shared.store import projects
from shared.store.audit import Author
from shared.workflows import rules
from shared.workflows.reassign import Order, Reassigned, preview, reassign
from tests.integration.collecting import NOW, provider, run, tables
from tests.integration.repricing import again, survive
from tests.integration.stored_lines import AT, ledger, line, no_drift, store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.store.database import Connection, Database

AUTHOR = Author("somebody", NOW, 9)
DAY = timedelta(days=1)
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


def moved(database: Database, **options: Any) -> Reassigned:  # noqa: ANN401 - what `Order` takes
    progress = options.pop("progress", lambda _: None)
    return reassign(database, Order(AUTHOR, **options), lambda: inf, progress)


def of(connection: Connection, ids: list[int]) -> list[str]:
    return [row["project"] for row in ledger(connection, ids)]


def add(database: Database, pattern: str, project: str, priority: int = 10) -> dict[str, Any]:
    return rules.add(database, Rule(pattern, project, priority), AUTHOR)


def test_lines_go_where_the_rules_in_force_send_their_names(database: Database, connection: Connection) -> None:
    ids = store(
        connection,
        [
            line(session_label="Billing-nightly"),
            line(agent="billing-bot", session_label=""),
            line(session_label="billing-x", project_given=True),
            line(session_label="billing-x", source="manual", cost="1"),
            line(session_label="billing-x", source="import", at=AT - 30 * DAY),
            line(session_label="billing-x", voided_at=str(NOW), void_reason="a mistake"),
            line(session_label="other"),
            line(session_label=None),
        ],
    )
    again(database)
    add(database, "billing-*", "Billing")
    found = moved(database).as_json()
    assert of(connection, ids) == [
        "Billing",
        "Billing",
        "General",
        "General",
        "Billing",
        "General",
        "General",
        "General",
    ]
    assert (found["lines"], found["requests"], found["tokens"], found["cost"]) == (3, 3, 4500, Decimal("0.0315"))
    assert found["moves"] == [
        {"from": "General", "to": "Billing", "lines": 3, "requests": 3, "tokens": 4500, "cost": Decimal("0.0315")}
    ]
    rows = connection.execute("SELECT DISTINCT project FROM rollup_quarter ORDER BY 1").fetchall()
    assert [row["project"] for row in rows] == ["Billing", "General"]
    assert no_drift(database)
    before = tables(connection)
    assert moved(database).moves.sums == {}
    assert tables(connection) == before


def test_rules_that_go_send_lines_back(database: Database, connection: Connection) -> None:
    ids = store(connection, [line(session_label="peakpaws-main", project="PeakPaws")])
    assert moved(database).moves.sums == {}
    for rule in database.run(projects.listed):
        rules.remove(database, rule["id"], AUTHOR)
    moved(database)
    assert of(connection, ids) == ["General"]
    assert no_drift(database)


def test_a_dry_run_and_a_preview_say_the_same_and_change_nothing(database: Database, connection: Connection) -> None:
    store(connection, [line(session_label="billing-a", at=AT - n * DAY) for n in range(3)])
    add(database, "billing-*", "Billing")
    before = tables(connection)
    dry = moved(database, dry_run=True).as_json()
    in_force = database.run(projects.rules)
    assert database.run(lambda c: preview(c, in_force, START, END)).as_json() == {
        name: dry[name] for name in ("lines", "requests", "tokens", "cost", "moves")
    }
    assert dry["lines"] == 3
    assert tables(connection) == before
    assert connection.execute("SELECT 1 FROM audit_log WHERE action = 'reassign'").fetchall() == []


def test_a_preview_takes_any_rules_and_a_span(database: Database, connection: Connection) -> None:
    store(connection, [line(session_label=f"team-{n}", at=AT - n * DAY) for n in range(4)])
    wanted = ordered([Rule("team-*", "Team", 1, 1), Rule("team-0", "Zero", 1, 2)])
    sums = database.run(lambda c: preview(c, wanted, AT - DAY, AT + timedelta(microseconds=1))).as_json()
    assert [(move["from"], move["to"], move["lines"]) for move in sums["moves"]] == [
        ("General", "Team", 1),
        ("General", "Zero", 1),
    ]


@pytest.fixture
def data() -> FixedDataset:
    at = datetime(2026, 11, 19, 14, tzinfo=UTC)
    return FixedDataset(
        usage_rows=[
            UsageRow(at, "claude-sonnet-4-5", output_tokens=500, api_key_id="apikey_a", workspace_id="wrkspc_1"),
            UsageRow(at, "claude-sonnet-4-5", output_tokens=500, api_key_id="apikey_b"),
        ],
        cost_rows=[
            CostRow(at, Decimal(5), "Code Execution Usage", cost_type="code_execution", workspace_id="wrkspc_1")
        ],
        keys=[ApiKey("apikey_a", "first"), ApiKey("apikey_b", "second")],
        workspaces=[Workspace("wrkspc_1", "Production")],
    )


@pytest.fixture
def fake(data: FixedDataset) -> Iterator[FakeAnthropic]:
    with FakeAnthropic(data, clock=lambda: NOW) as server:
        yield server


def test_polled_lines_go_by_the_names_of_key_and_workspace_as_they_are_now(
    database: Database, connection: Connection, fake: FakeAnthropic, data: FixedDataset
) -> None:
    def by_project() -> list[tuple[str, Decimal]]:
        rows = connection.execute("SELECT project, sum(cost) AS usd FROM ledger GROUP BY 1 ORDER BY 1")
        return [(row["project"], row["usd"]) for row in rows]

    run(database, provider(fake))
    assert by_project() == [("General", Decimal("0.065"))]
    add(database, "produ*", "Live")
    add(database, "renamed", "Second", 20)
    moved(database)
    # The key of the first bucket is in the workspace, and so is the bill's own charge.
    assert by_project() == [("General", Decimal("0.0075")), ("Live", Decimal("0.0575"))]
    data.keys = [ApiKey("apikey_a", "first"), ApiKey("apikey_b", "renamed", status="archived")]
    run(database, provider(fake))
    assert moved(database).as_json()["lines"] == 1
    assert by_project() == [("Live", Decimal("0.0575")), ("Second", Decimal("0.0075"))]
    assert no_drift(database)
    # Collecting again agrees with the rules.
    before = tables(connection)["ledger"]
    run(database, provider(fake))
    assert tables(connection)["ledger"] == before


def test_killed_in_every_transaction_and_run_again_is_as_if_undisturbed(
    database: Database, connection: Connection, dsn: str
) -> None:
    store(connection, [line(session_label="billing", at=AT - n * DAY) for n in range(3)])
    rule = add(database, "billing", "Billing")
    moved(database)
    undisturbed = tables(connection)
    rules.change(database, rule["id"], {"project": "Elsewhere"}, AUTHOR)
    moved(database)
    rules.change(database, rule["id"], {"project": "Billing"}, AUTHOR)
    assert survive(dsn, moved) > 6
    assert moved(database).moves.sums == {}
    assert tables(connection) == undisturbed
    assert no_drift(database)


def test_who_moved_what_is_kept(database: Database, connection: Connection) -> None:
    store(connection, [line(session_label="billing")])
    rule = add(database, "billing", "Billing")
    moved(database)
    rules.change(database, rule["id"], {"priority": 10}, AUTHOR)  # what it has already
    rules.change(database, rule["id"], {"priority": 11}, AUTHOR)
    rules.remove(database, rule["id"], AUTHOR)
    rows = connection.execute("SELECT actor, action, detail FROM audit_log ORDER BY id").fetchall()
    assert [row["action"] for row in rows] == ["rule added", "reassign", "rule changed", "rule removed"]
    assert {row["actor"] for row in rows} == {"somebody"}
    assert rows[1]["detail"]["moves"][0]["to"] == "Billing"
    assert (rows[2]["detail"]["before"]["priority"], rows[2]["detail"]["after"]["priority"]) == (10, 11)


def test_two_rules_with_one_pattern_are_refused(database: Database) -> None:
    first = add(database, "Billing-*", "Billing")
    with pytest.raises(ConflictError, match=f"The rule {first['id']} has the pattern 'Billing-\\*'"):
        add(database, "billing-*", "Elsewhere")
    other = add(database, "other", "Other")
    with pytest.raises(ConflictError):
        rules.change(database, other["id"], {"pattern": "BILLING-*"}, AUTHOR)
    assert rules.change(database, first["id"], {"pattern": "billing-*"}, AUTHOR)["pattern"] == "billing-*"
    with pytest.raises(NotFoundError, match="no project rule 99999"):
        rules.remove(database, 99_999, AUTHOR)


def test_a_lost_commit_adds_and_removes_once(database: Database, connection: Connection) -> None:
    # The second try of the same work finds what the first one left.
    def twice(work: Any) -> Any:  # noqa: ANN401 - whatever the work returns
        def both(connection: Connection) -> Any:  # noqa: ANN401 - the same
            work(connection)
            return work(connection)

        return both

    class Twice:
        def run(self, work: Any) -> Any:  # noqa: ANN401 - as `Database.run`
            return database.run(twice(work))

    unlucky: Any = Twice()
    added = rules.add(unlucky, Rule("once", "Once", 5), AUTHOR)
    assert [row["id"] for row in database.run(projects.listed) if row["pattern"] == "once"] == [added["id"]]
    assert rules.remove(unlucky, added["id"], AUTHOR)["id"] == added["id"]
    assert connection.execute("SELECT count(*) AS n FROM audit_log").fetchone() == {"n": 2}
