"""A database that is not there: three tries, inside the time, then a sentence without a word of the address."""

import re
import socket
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.errors import CostTrackerError, DatabaseUnavailableError, SettingError
from shared.store import database
from shared.store.database import Connection, Database, connect

SECRET = "h0rse-battery"
AWAY = {
    "refused": (f"postgresql://u:{SECRET}@127.0.0.1:1/x", "(connection refused)"),
    "no such host": (f"postgresql://u:{SECRET}@nowhere.invalid/x", "(its host name is unknown)"),
    "an @ that was not encoded": (f"postgresql://u:a@{SECRET}@nowhere.invalid/x", "(its host name is unknown)"),
    "no such socket": (f"postgresql://u:{SECRET}@/x?host=/nowhere", "(nothing listens there)"),
}
MALFORMED = {
    "no scheme": f"u:{SECRET}@127.0.0.1/x",
    "an unknown option": f"postgresql://u:{SECRET}@127.0.0.1/x?{SECRET}=1",
    "a timeout that is a word": f"postgresql://u:p@127.0.0.1/x?connect_timeout={SECRET}",
}


def everything_said(error: BaseException) -> str:
    """What a log would show of an error, its causes included."""
    return "".join(traceback.format_exception(error)) + repr(error)


def nothing(_: Connection) -> None:
    raise AssertionError("there is no connection to work on")


def failure(away: Database) -> CostTrackerError:
    with pytest.raises(CostTrackerError) as caught:
        away.run(nothing)
    return caught.value


@pytest.mark.parametrize("kind", AWAY)
def test_three_tries_then_a_sentence_that_keeps_the_address_to_itself(kind: str) -> None:
    dsn, reason = AWAY[kind]
    slept: list[float] = []
    error = failure(Database(dsn, sleep=slept.append))
    assert type(error) is DatabaseUnavailableError
    assert str(error) == f"The database did not answer {reason}; try again in a few seconds."
    assert SECRET not in everything_said(error)
    first, second = slept
    assert 0 <= first <= 0.25
    assert 0 <= second <= 1


def test_the_jitter_is_full() -> None:
    slept: list[float] = []
    away = Database(AWAY["no such socket"][0], sleep=slept.append)
    for _ in range(40):
        failure(away)
    assert min(slept[::2]) < 0.08
    assert max(slept[::2]) > 0.17
    assert max(slept[1::2]) > 0.7


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_address_is_a_setting_to_correct_and_not_tried_again(kind: str) -> None:
    slept: list[float] = []
    error = failure(Database(MALFORMED[kind], sleep=slept.append))
    assert isinstance(error, SettingError)
    assert "DATABASE_URL" in str(error)
    assert SECRET not in everything_said(error)
    assert slept == []


def test_without_time_there_is_no_other_try_and_afterwards_there_is() -> None:
    slept: list[float] = []
    away = Database(AWAY["no such socket"][0], sleep=slept.append)
    with away.within(lambda: 1.0):
        failure(away)
    assert slept == []
    with away.within(lambda: 60.0):
        failure(away)
    failure(away)
    assert len(slept) == 4


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_server_that_never_answers_takes_no_longer_than_the_time_that_remains(silent_port: int) -> None:
    away = Database(f"postgresql://u:{SECRET}@127.0.0.1:{silent_port}/x?sslmode=disable")
    end = time.monotonic() + 3
    with away.within(lambda: end - time.monotonic()):
        error = failure(away)
    assert "(no answer in time)" in str(error)
    assert time.monotonic() < end


def test_the_address_is_asked_for_when_it_is_needed_and_not_before() -> None:
    asked: list[int] = []

    def dsn() -> str:
        asked.append(1)
        return AWAY["refused"][0]

    away = Database(dsn, sleep=lambda _: None)
    assert not asked
    failure(away)
    failure(away)
    assert len(asked) == 1  # an address that is merely not answered is not asked for again
    assert SECRET not in repr(away)


def test_an_address_that_cannot_be_found_says_why() -> None:
    def dsn() -> str:
        raise SettingError("The parameter is missing.")

    with pytest.raises(SettingError, match=r"^The parameter is missing\.$"):
        Database(dsn).run(nothing)


def test_connecting_by_hand_keeps_the_address_out_of_a_malformed_one_too() -> None:
    with pytest.raises(SettingError) as caught:
        connect(MALFORMED["no scheme"])
    assert SECRET not in everything_said(caught.value)


# What belongs to a session is not the pooler's to give: it may hand the next transaction to another backend.
_SESSION = re.compile(
    r"(?i:pg_(try_)?advisory_lock|\btemp(orary)?\s+table(?![\s\S]{0,400}on commit drop)|\blisten\s|\bwith\s+hold"
    r"|\bdiscard\s)|\"SET (?!LOCAL)"
)


@pytest.mark.parametrize(
    "text",
    ["SELECT pg_advisory_lock(1)", "CREATE TEMP TABLE t ()", "LISTEN runs", '"SET statement_timeout = 1"'],
)
def test_the_search_for_session_state_can_fail(text: str) -> None:
    assert _SESSION.search(text)


@pytest.mark.parametrize(
    "allowed",
    [
        "pg_advisory_xact_lock(1)",
        "CREATE TEMP TABLE t (a integer) ON COMMIT DROP",
        '"SET LOCAL x = 1"',
        "UPDATE t SET a = 1",
    ],
)
def test_what_ends_with_the_transaction_is_allowed(allowed: str) -> None:
    assert not _SESSION.search(allowed)


def test_nothing_relies_on_a_session() -> None:
    shared = Path(database.__file__).parents[1]
    sources = [*(shared / "store").rglob("*.py"), *(shared / "workflows").rglob("*.py")]
    assert len(sources) > 10
    assert [path.name for path in sources if _SESSION.search(path.read_text())] == []
