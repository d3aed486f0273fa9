"""The outbox over a real Postgres and a real HTTP server: every payload once, whatever happens in between."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from infra.demo.vault import KEY, FakeVault
from shared.core.vault import Style
from shared.errors import InvalidInputError, NotFoundError
from shared.outbound.vault import Vault
from shared.store.database import Connection, Database
from shared.store.rollups import KEYS, MEASURES
from shared.workflows.push import WINDOW_DAYS, Delivery, Outbox, Pace, preview, push_day, push_due
from shared.workflows.summarise import summarise

UTC_ZONE = ZoneInfo("UTC")
# Ten minutes after the midnight that ended the 22nd.
NOW = datetime(2026, 11, 23, 0, 10, tzinfo=UTC)
TODAY = NOW.date()
YESTERDAY = TODAY - timedelta(days=1)
DAY = timedelta(days=1)


def use(
    connection: Connection,
    at: datetime | date,
    cost: str,
    model: str = "claude-opus-4-5",
    project: str = "PeakPaws",
) -> None:
    """Add usage of `cost` USD at noon of a date, or at an instant, to the fine roll-up, and have reports read that."""
    connection.execute("UPDATE rollup_state SET cut_until = '1900-01-01 00:00+00'")
    slot = at if isinstance(at, datetime) else datetime(at.year, at.month, at.day, 12, tzinfo=UTC)
    row: dict[str, Any] = {**dict.fromkeys(KEYS, "x"), **dict.fromkeys(("lines", *MEASURES), 0)}
    row |= {"slot": slot, "account_id": 0, "model": model, "project": project}
    row |= {"lines": 1, "requests": 1, "cost": Decimal(cost)}
    names = ", ".join(row)
    connection.execute(
        f"INSERT INTO rollup_quarter ({names}) VALUES ({', '.join(['%s'] * len(row))}) "  # noqa: S608 - our own columns
        f"ON CONFLICT (slot, {', '.join(KEYS)}) DO UPDATE SET cost = rollup_quarter.cost + excluded.cost, "
        "requests = rollup_quarter.requests + 1",
        list(row.values()),
    )


@dataclass
class Office:
    """A database with usage, a vault, and a clock that a test moves."""

    dsn: str
    connection: Connection
    fake: FakeVault
    now: datetime = NOW
    zone: ZoneInfo = UTC_ZONE
    style: Style = field(default_factory=lambda: Style("openclaw_default"))
    waits: list[float] = field(default_factory=list)
    seconds: float = 20.0

    def vault(self, kind: type[Vault] = Vault, **more: Any) -> Vault:  # noqa: ANN401 - whatever that kind takes
        http = httpx.Client(trust_env=False)
        known: dict[str, Any] = {"path": "/api/memories", "method": "POST", "header": "X-API-Key", "key": KEY}
        return kind(http=http, url=self.fake.url, **known, **more)

    def outbox(self, database: Database, vault: Vault | None = None) -> Outbox:
        pace = Pace(left=lambda: self.seconds, timeout=0.5, sleep=self.waits.append, random=lambda: 0.5)
        return Outbox(
            database=database,
            vault=vault or self.vault(),
            style=self.style,
            zone=self.zone,
            clock=lambda: self.now,
            pace=pace,
        )

    def act(self, work: Callable[[Outbox], Any], vault: Vault | None = None) -> Any:  # noqa: ANN401 - whatever it returns
        database = Database(self.dsn)
        try:
            return work(self.outbox(database, vault))
        finally:
            database.close()

    def push(self, scheduled: datetime | None = None) -> list[tuple[date, str]]:
        """A scheduled push of now, or of when it was due: `(date, status)` of each day it dealt with."""
        found: list[Delivery] = self.act(lambda outbox: push_due(outbox, scheduled or self.now))
        return [(delivery.date, delivery.status) for delivery in found]

    def deliver(self, scheduled: datetime | None = None) -> list[Delivery]:
        found: list[Delivery] = self.act(lambda outbox: push_due(outbox, scheduled or self.now))
        return found

    def push_day(self, day: date | None) -> Delivery:
        found: Delivery = self.act(lambda outbox: push_day(outbox, day))
        return found

    def row(self, day: date = YESTERDAY) -> dict[str, Any]:
        found = self.connection.execute("SELECT * FROM daily_summaries WHERE date = %s", [day]).fetchone()
        assert found is not None
        return found

    def days(self) -> list[date]:
        """The date of every message the vault kept, in order."""
        return [date.fromisoformat(memory.content["content"]["date"]) for memory in self.fake.memories]


@pytest.fixture
def fake() -> Iterator[FakeVault]:
    with FakeVault() as found:
        yield found


@pytest.fixture
def office(dsn: str, connection: Connection, fake: FakeVault) -> Office:
    use(connection, YESTERDAY, "1.25")
    return Office(dsn, connection, fake)


def test_the_day_that_ended_is_pushed_once(office: Office) -> None:
    assert office.push() == [(YESTERDAY, "pushed")]
    row = office.row()
    assert row["synced_to_cv"] is True
    assert row["synced_at"] == NOW
    assert office.fake.sent_keys() == [f"ai-cost-2026-11-22-{row['payload_hash']}"]
    assert (row["attempts"], row["last_error"], row["leased_by"]) == (1, None, None)
    assert office.push() == [(YESTERDAY, "unchanged")]
    assert len(office.fake.requests) == 1


def test_a_restated_day_of_the_last_35_is_pushed_again_and_an_older_one_is_not(office: Office) -> None:
    oldest, too_old = TODAY - WINDOW_DAYS * DAY, TODAY - (WINDOW_DAYS + 1) * DAY
    for day in (too_old, oldest):
        use(office.connection, day, "2")
        office.push_day(day)
    office.push()
    office.fake.memories.clear()
    for day in (too_old, oldest, YESTERDAY):
        use(office.connection, day, "0.5")
    assert office.push() == [(oldest, "pushed"), (YESTERDAY, "pushed")]
    assert [memory.content["content"]["total_cost"] for memory in office.fake.memories] == [2.5, 1.75]
    assert office.row(too_old)["total_cost"] == Decimal("2.5")
    assert office.push() == [(YESTERDAY, "unchanged")]


def test_a_change_below_the_printed_digits_is_none(office: Office) -> None:
    office.push()
    use(office.connection, YESTERDAY, "0.00001")
    assert office.push() == [(YESTERDAY, "unchanged")]
    assert office.row()["total_cost"] == Decimal("1.25001")


def test_figures_that_return_to_an_earlier_state_are_sent_under_their_earlier_key(office: Office) -> None:
    office.push()
    use(office.connection, YESTERDAY, "1")
    office.push()
    use(office.connection, YESTERDAY, "-1")
    assert office.push() == [(YESTERDAY, "pushed")]
    first, second, third = office.fake.sent_keys()
    assert first == third != second


def test_history_before_the_first_push_stays_home(office: Office) -> None:
    for days in range(2, 50):
        use(office.connection, TODAY - days * DAY, "1")
    assert office.push() == [(YESTERDAY, "pushed")]
    assert office.connection.execute("SELECT count(*) AS n FROM daily_summaries").fetchone() == {"n": 49}


def test_days_that_no_push_ran_on_are_caught_up_oldest_first(office: Office) -> None:
    office.push()
    office.now += 4 * DAY
    assert office.push() == [(TODAY + days * DAY, "pushed") for days in range(4)]
    assert office.days() == [YESTERDAY + days * DAY for days in range(5)]


def test_days_that_get_their_usage_only_after_their_push_are_due_all_the_same(
    dsn: str, connection: Connection, fake: FakeVault
) -> None:
    office = Office(dsn, connection, fake)
    for _ in range(3):
        assert office.push() == []
        office.now += DAY
    for days in range(-3, 2):  # the first two lie before the first push
        use(connection, YESTERDAY + days * DAY, "1")
    assert office.push() == [(YESTERDAY + days * DAY, "pushed") for days in range(4)]
    assert office.push() == [(TODAY + 2 * DAY, "unchanged")]


def test_a_late_event_of_a_day_before_the_first_push_is_for_that_day_alone(office: Office) -> None:
    for days in range(1, 4):
        use(office.connection, YESTERDAY - days * DAY, "1")
    office.push()
    assert office.push(NOW - 2 * DAY) == [(YESTERDAY - 2 * DAY, "pushed")]
    assert office.push() == [(YESTERDAY, "unchanged")]


def test_after_a_long_absence_the_last_35_days_are_caught_up(office: Office) -> None:
    office.push()
    office.now += 60 * DAY
    today = office.now.date()
    assert [day for day, _ in office.push()] == [today - days * DAY for days in range(WINDOW_DAYS, 0, -1)]


def test_a_late_retry_of_the_schedule_works_on_its_own_day(office: Office) -> None:
    office.now += 5 * timedelta(hours=24)
    assert office.push(NOW) == [(YESTERDAY, "pushed")]
    assert office.days() == [YESTERDAY]


def test_a_clock_that_is_behind_the_schedule_pushes_no_open_day(office: Office) -> None:
    assert office.push(NOW + 3 * DAY) == [(YESTERDAY, "pushed")]


def test_other_settings_make_another_payload(office: Office) -> None:
    office.push()
    office.style = Style("openclaw_default", names="short")
    assert office.push() == [(YESTERDAY, "pushed")]
    assert office.fake.memories[-1].content["content"]["by_model"] == {"opus": Decimal("1.25")}


def test_without_a_vault_summaries_are_written_all_the_same(office: Office, database: Database) -> None:
    outbox = replace(office.outbox(database), vault=None)
    assert [delivery.status for delivery in push_due(outbox, NOW)] == ["not_configured"]
    one = push_day(outbox, None)
    assert (one.status, one.date, one.payload["content"]["total_cost"]) == (
        "not_configured",
        YESTERDAY,
        Decimal("1.25"),
    )
    assert office.row()["synced_to_cv"] is False
    assert office.fake.requests == []


def test_one_day_by_hand(office: Office) -> None:
    use(office.connection, TODAY - 60 * DAY, "3")
    delivery = office.push_day(TODAY - 60 * DAY)
    assert (delivery.status, delivery.attempts, delivery.http_status) == ("pushed", 1, 201)
    assert office.push_day(TODAY - 60 * DAY).status == "unchanged"
    assert office.days() == [TODAY - 60 * DAY]


def test_open_days_and_days_before_all_usage_are_refused(office: Office) -> None:
    with pytest.raises(InvalidInputError, match="2026-11-23 is not over yet in UTC"):
        office.push_day(TODAY)
    with pytest.raises(NotFoundError, match="no usage is known up to that day"):
        office.push_day(YESTERDAY - DAY)
    with pytest.raises(NotFoundError):
        office.act(lambda outbox: preview(outbox, YESTERDAY - DAY))


def test_a_preview_changes_nothing(office: Office) -> None:
    found = office.act(lambda outbox: preview(outbox, None))
    assert (found.status, found.payload["content"]["total_cost"]) == ("dry_run", Decimal("1.25"))
    assert office.connection.execute("SELECT count(*) AS n FROM daily_summaries").fetchone() == {"n": 0}
    assert office.fake.requests == []


def test_nothing_known_nothing_pushed(database: Database, dsn: str, connection: Connection, fake: FakeVault) -> None:
    office = Office(dsn, connection, fake)
    assert office.push() == []
    assert summarise(database, TODAY, UTC_ZONE) == 0
    assert fake.requests == []
