"""Bad days of the vault and of ourselves: it fails, hangs and refuses; we are started twice, killed and frozen."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pytest

from infra.demo.faults import Fault
from infra.demo.vault import FakeVault
from shared.outbound.vault import Sent, Vault
from shared.store.database import Connection, Database
from shared.workflows.push import LEASE, WINDOW_DAYS, push_day, push_due
from shared.workflows.summarise import summarise
from tests.integration.test_push import DAY, NOW, TODAY, YESTERDAY, Office, use


@pytest.fixture
def fake() -> Iterator[FakeVault]:
    with FakeVault() as found:
        yield found


@pytest.fixture
def office(dsn: str, connection: Connection, fake: FakeVault) -> Office:
    use(connection, YESTERDAY, "1.25")
    return Office(dsn, connection, fake)


def test_two_pushes_at_once_send_once(office: Office) -> None:
    for _ in range(8):
        office.fake.requests.clear()
        use(office.connection, YESTERDAY, "1")
        barrier = threading.Barrier(4)

        def both(_: int, barrier: threading.Barrier = barrier) -> list[tuple[date, str]]:
            barrier.wait()
            return office.push()

        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(both, range(4)))
        assert len(office.fake.requests) == 1
        assert sum(result == [(YESTERDAY, "pushed")] for result in found) == 1
    assert len(office.fake.memories) == 8


def test_a_push_that_finds_another_sending_leaves_the_day_to_it(office: Office) -> None:
    office.fake.faults.append(Fault(hang=1))
    slow = replace(office, seconds=30.0)
    with ThreadPoolExecutor(1) as pool:
        patient = pool.submit(_patiently, slow)
        while office.fake.faults:  # until it has struck
            threading.Event().wait(0.01)
        (meanwhile,) = office.deliver()
        assert (meanwhile.status, meanwhile.attempts) == ("busy", 0)
        assert patient.result() == [(YESTERDAY, "pushed")]
    assert len(office.fake.requests) == 1


def _patiently(office: Office) -> list[tuple[date, str]]:
    database = Database(office.dsn)
    outbox = office.outbox(database)
    found = push_due(replace(outbox, pace=replace(outbox.pace, timeout=10)), NOW)
    database.close()
    return [(delivery.date, delivery.status) for delivery in found]


@pytest.mark.parametrize(
    ("fault", "requests", "memories"),
    [
        (Fault(status=500), 2, 1),
        (Fault(status=503, times=3), 4, 1),
        (Fault(status=429), 2, 1),
        (Fault(hang=0.8), 2, 1),
        (Fault(cut=True), 1, 1),
        (Fault(status=500, cut=True), 2, 1),
    ],
)
def test_a_vault_that_fails_for_a_while(office: Office, fault: Fault, requests: int, memories: int) -> None:
    office.fake.faults.append(fault)
    (delivery,) = office.deliver()
    assert (delivery.status, delivery.attempts, delivery.error) == ("pushed", requests, None)
    assert office.push() == [(YESTERDAY, "unchanged")]
    _settle(office, requests)
    assert len(office.fake.memories) == memories
    assert len(set(office.fake.sent_keys())) == 1


def _settle(office: Office, requests: int) -> None:
    """A request that hung is recorded when it is let go."""
    for _ in range(100):
        if len(office.fake.requests) >= requests:
            return
        threading.Event().wait(0.02)
    raise AssertionError(office.fake.requests)


def test_what_failed_is_due_until_it_succeeds(office: Office) -> None:
    office.fake.faults.append(Fault(status=500, times=8))
    (first,) = office.deliver()
    assert (first.status, first.http_status, first.attempts) == ("failed", 500, 4)
    assert office.row()["last_error"] == "Context Vault answered with status 500 (The vault says 500)."
    assert office.row()["synced_to_cv"] is False
    (second,) = office.deliver()
    assert (second.status, office.row()["attempts"]) == ("failed", 8)
    office.now += DAY
    assert office.push() == [(YESTERDAY, "pushed"), (TODAY, "pushed")]
    assert (office.row()["last_error"], office.row()["attempts"]) == (None, 9)
    assert office.days() == [YESTERDAY, TODAY]


def test_retries_wait_longer_each_time_and_as_long_as_they_are_asked_to(office: Office) -> None:
    office.fake.faults += [Fault(status=500), Fault(status=429, headers={"retry-after": "7"}), Fault(status=500)]
    assert office.push() == [(YESTERDAY, "pushed")]
    assert office.waits == [0.5, 7, 2]


def test_a_retry_after_beyond_the_budget_leaves_the_day_for_the_next_push(office: Office) -> None:
    office.fake.faults.append(Fault(status=429, headers={"retry-after": "3600"}))
    (delivery,) = office.deliver()
    assert (delivery.status, delivery.attempts, office.waits) == ("failed", 1, [])
    assert office.push() == [(YESTERDAY, "pushed")]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_a_refusal_is_not_repeated_and_its_sentence_is_kept(office: Office, status: int) -> None:
    office.fake.faults.append(Fault(status=status))
    (delivery,) = office.deliver()
    assert (delivery.status, delivery.http_status, delivery.attempts) == ("failed", status, 1)
    assert f"(The vault says {status})" in office.row()["last_error"]
    assert office.push() == [(YESTERDAY, "pushed")]


def test_no_time_no_request(office: Office) -> None:
    office.seconds = 0.0
    (delivery,) = office.deliver()
    assert (delivery.status, delivery.error) == ("failed", "No time was left to send it; the next push does.")
    assert office.fake.requests == []


def test_one_day_that_fails_does_not_hold_the_others_up(office: Office) -> None:
    office.push()
    for days in range(3):
        use(office.connection, YESTERDAY + days * DAY, "1")
    office.now += 2 * DAY
    # The oldest comes first, and fails until all tries are used up.
    office.fake.faults += [Fault(status=500), Fault(status=500, skip=2, times=3)]
    found = office.push()
    assert found == [(YESTERDAY, "failed"), (TODAY, "pushed"), (TODAY + DAY, "pushed")]
    assert office.push() == [(YESTERDAY, "pushed"), (TODAY + DAY, "unchanged")]


def test_a_vault_that_hangs_leaves_every_day_its_share_of_the_time(office: Office) -> None:
    office.push()
    for days in range(1, 4):
        use(office.connection, YESTERDAY + days * DAY, "1")
    office.now += 3 * DAY
    office.seconds = 0.6
    office.fake.faults.append(Fault(hang=0.4))
    assert [status for _, status in office.push()] == ["pushed"] * 3


@pytest.mark.parametrize("fault", [Fault(status=422, times=None), Fault(status=500, times=None), None])
def test_a_change_that_is_not_sent_on_its_last_day_of_the_window_stays_due(office: Office, fault: Fault | None) -> None:
    office.push()
    use(office.connection, YESTERDAY, "1")
    office.now += (WINDOW_DAYS - 1) * DAY
    if fault is None:
        office.seconds = 0.0
    else:
        office.fake.faults.append(fault)
    assert office.push()[0] == (YESTERDAY, "failed")
    office.now += DAY
    office.seconds = 20.0
    office.fake.faults.clear()
    assert office.push()[0] == (YESTERDAY, "pushed")
    assert YESTERDAY not in [day for day, _ in office.push()]


def test_an_old_day_by_hand_that_got_no_time_is_sent_by_the_next_push(office: Office) -> None:
    old = TODAY - 60 * DAY
    use(office.connection, old, "1")
    office.push_day(old)
    use(office.connection, old, "1")
    office.seconds = 0.0
    assert office.push_day(old).status == "failed"
    office.seconds = 20.0
    assert office.push() == [(old, "pushed"), (YESTERDAY, "pushed")]


class _Lost(Vault):
    """The vault takes the message, and its answer never arrives."""

    def send(self, body: str, idempotency_key: str, seconds: float) -> Sent:
        assert super().send(body, idempotency_key, seconds).error is None
        return Sent(None, "Context Vault broke the connection.")


@pytest.mark.parametrize("by_hand", [False, True])
def test_after_a_lost_answer_even_the_acknowledged_payload_is_sent_again(office: Office, *, by_hand: bool) -> None:
    office.push()
    acknowledged = office.row()["payload_hash"]
    use(office.connection, YESTERDAY, "2")
    office.act(lambda outbox: push_due(outbox, NOW), office.vault(_Lost))
    assert (office.row()["synced_to_cv"], office.row()["payload_hash"]) == (False, acknowledged)
    use(office.connection, YESTERDAY, "-2")
    assert (office.push_day(None).status if by_hand else office.push()[0][1]) == "pushed"
    first, second, third = office.fake.sent_keys()
    assert first == third != second
    assert office.push() == [(YESTERDAY, "unchanged")]


def test_an_answer_lost_on_figures_that_changed_during_the_push_is_in_doubt_as_well(
    office: Office, database: Database
) -> None:
    office.push()
    # Owed, so it is sent first; meanwhile the day behind it, which was unchanged, changes.
    use(office.connection, YESTERDAY - DAY, "1")
    office.act(lambda outbox: push_day(outbox, YESTERDAY - DAY), office.vault(_Lost))

    class Changing(_Lost):
        def send(self, body: str, idempotency_key: str, seconds: float) -> Sent:
            if str(YESTERDAY - DAY) in idempotency_key:
                use(office.connection, YESTERDAY, "2")
                summarise(database, TODAY, office.zone)
            return super().send(body, idempotency_key, seconds)

    office.act(lambda outbox: push_due(outbox, NOW), office.vault(Changing))
    use(office.connection, YESTERDAY, "-2")
    assert office.push() == [(YESTERDAY - DAY, "pushed"), (YESTERDAY, "pushed")]


class _KilledError(BaseException):
    """The process ends here."""


@dataclass(frozen=True)
class _Mortal(Vault):
    def send(self, body: str, idempotency_key: str, seconds: float) -> Sent:
        super().send(body, idempotency_key, seconds)
        raise _KilledError


def test_a_kill_between_sending_and_noting_sends_again_under_the_same_key(office: Office) -> None:
    mortal = office.vault(_Mortal)
    with pytest.raises(_KilledError):
        office.act(lambda outbox: push_due(outbox, NOW), mortal)
    assert office.row()["synced_to_cv"] is False
    # Until the claim of the dead runs out nobody knows that it is dead.
    assert office.push() == [(YESTERDAY, "busy")]
    office.now += LEASE
    assert office.push() == [(YESTERDAY, "pushed")]
    assert len(office.fake.requests) == 2
    assert len(set(office.fake.sent_keys())) == 1
    assert len(office.fake.memories) == 1


@dataclass(frozen=True)
class _Frozen(Vault):
    """Sleeps between sending and noting, while something else happens."""

    meanwhile: Callable[[], object] = lambda: None

    def send(self, body: str, idempotency_key: str, seconds: float) -> Sent:
        sent = super().send(body, idempotency_key, seconds)
        self.meanwhile()
        return sent


def test_a_process_that_wakes_up_late_does_not_overwrite_newer_word(office: Office) -> None:
    def meanwhile() -> None:
        office.now += LEASE
        use(office.connection, YESTERDAY, "5")
        assert office.push() == [(YESTERDAY, "pushed")]

    frozen = office.vault(_Frozen, meanwhile=meanwhile)
    office.act(lambda outbox: push_due(outbox, NOW), frozen)
    assert [memory.content["content"]["total_cost"] for memory in office.fake.memories] == [1.25, 6.25]
    assert office.row()["payload_hash"] == office.fake.memories[-1].key.rpartition("-")[2]
    assert office.push() == [(YESTERDAY, "unchanged")]


def test_no_transaction_is_open_while_the_vault_is_asked(office: Office) -> None:
    seen: list[Any] = []

    def look() -> None:
        seen.append(
            office.connection.execute(
                "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() "
                "AND state LIKE 'idle in transaction%'"
            ).fetchone()
        )

    watched = office.vault(_Frozen, meanwhile=look)
    office.act(lambda outbox: push_due(outbox, NOW), watched)
    assert seen == [{"n": 0}]
