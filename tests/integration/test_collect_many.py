"""Many accounts with many rows: killed without a last word, and the next run leaves what one run leaves."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.store.database import Connection
from tests.bench.collecting import NOW, ROWS_AN_HOUR, check, served
from tests.integration.collecting import tables

ROOT = Path(__file__).parents[2]
# Four accounts at once and one that waits; 5 x 24 hours x 48 rows.
ACCOUNTS, DAYS = 5, 1
ROWS = ACCOUNTS * DAYS * 24 * ROWS_AN_HOUR


@pytest.fixture(scope="module")
def urls() -> Iterator[list[str]]:
    with served(ACCOUNTS) as found:
        yield found


def collect(dsn: str, urls: list[str], last: int = 0) -> int:
    script = [sys.executable, "-m", "tests.bench.collecting", "--child", dsn, str(DAYS), str(last), *urls]
    return subprocess.run(script, cwd=ROOT, timeout=120, check=False, stdout=subprocess.DEVNULL).returncode  # noqa: S603 - ours


def named(connection: Connection) -> dict[str, list[str]]:
    """What is stored, with accounts by their names: which one is made first depends on who comes first."""
    ids = {row["id"]: row["name"] for row in connection.execute("SELECT id, name FROM accounts")}
    found = tables(connection)
    for number, name in ids.items():
        known = f"('account_id', {number})"
        found = {
            table: [text.replace(known, f"('account', '{name}')") for text in rows] for table, rows in found.items()
        }
    return {table: sorted(rows) for table, rows in found.items()}


def test_a_kill_in_the_middle_of_many_accounts_is_not_seen_afterwards(
    dsn: str, connection: Connection, urls: list[str]
) -> None:
    assert collect(dsn, urls) == 0
    assert check(dsn, ACCOUNTS, DAYS) == ROWS == 5760
    undisturbed = named(connection)
    connection.execute("TRUNCATE accounts, rates, rollup_quarter, rollup_day, model_names RESTART IDENTITY CASCADE")
    # While the first accounts are read or merged, and while the last one is.
    for last in (3, 4):
        assert collect(dsn, urls, last) == -signal.SIGKILL
        stored = connection.execute("SELECT count(*) AS n, max(recorded_at) AS at FROM ledger").fetchone()
        assert stored is not None
        assert stored["n"] < ROWS
        assert stored["at"] is None or stored["at"] < NOW
    assert collect(dsn, urls) == 0
    assert check(dsn, ACCOUNTS, DAYS) == ROWS
    assert named(connection) == undisturbed
