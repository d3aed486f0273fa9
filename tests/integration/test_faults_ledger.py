"""Backends killed, timeouts and collisions under every write of the ledger, by both ways: nothing lost or doubled."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from shared.store.database import Connection, Database
from tests.integration.ledger_writes import WRITES, prepared
from tests.integration.pooler import Fault, Moment, Relay


@pytest.fixture(scope="module")
def dsn(module_dsn: str) -> str:
    return module_dsn


@pytest.fixture(autouse=True)
def no_fault(relay: Relay) -> None:
    relay.fault = None


@pytest.fixture
def reader(dsn: str) -> Iterator[Database]:
    """Connections of its own: what is not committed is not seen."""
    found = Database(dsn)
    yield found
    found.close()


@pytest.fixture
def database(relayed_dsn: str) -> Iterator[Database]:
    found = Database(relayed_dsn, sleep=lambda _: None)
    yield found
    found.close()


@pytest.mark.parametrize("write", WRITES)
def test_a_killed_backend_is_not_noticed_in_the_figures(
    write: str, database: Database, reader: Database, relay: Relay, connection: Connection
) -> None:
    work, statement = WRITES[write]
    for moment in Moment:
        relay.fault = None
        world = prepared(database, reader, write, connection)
        relay.fault = Fault(statement, moment)
        work(world)
        assert relay.fault.struck == 1, moment
        world.check()


@pytest.fixture
def failing(connection: Connection) -> Iterator[Callable[[str], None]]:
    """Have the next change of the roll-up fail with this SQLSTATE, once."""
    connection.execute("CREATE SEQUENCE failures")

    def arm(sqlstate: str) -> None:
        connection.execute("DROP TRIGGER IF EXISTS fails ON rollup_quarter")
        connection.execute("ALTER SEQUENCE failures RESTART")
        connection.execute(
            f"""
            CREATE OR REPLACE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF nextval('failures') = 1 THEN RAISE EXCEPTION 'planted' USING ERRCODE = '{sqlstate}'; END IF;
                RETURN NULL;
            END
            $$
            """.encode()
        )
        connection.execute(
            "CREATE TRIGGER fails AFTER INSERT OR UPDATE OR DELETE ON rollup_quarter "
            "FOR EACH STATEMENT EXECUTE FUNCTION fail_once()"
        )

    yield arm
    connection.execute("DROP TRIGGER IF EXISTS fails ON rollup_quarter")
    connection.execute("DROP SEQUENCE failures")


# A price moves no figure until lines are re-priced.
MOVING = [write for write in WRITES if write not in {"a price", "its balance"}]


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "57014"])
@pytest.mark.parametrize("write", MOVING)
def test_a_collision_is_tried_again_and_a_timeout_leaves_nothing_behind(
    write: str, sqlstate: str, dsn: str, reader: Database, connection: Connection, failing: Callable[[str], None]
) -> None:
    work, _ = WRITES[write]
    database = Database(dsn, sleep=lambda _: None)
    world = prepared(database, reader, write, connection)
    failing(sqlstate)
    if sqlstate != "57014":
        work(world)
    else:
        with pytest.raises((psycopg.errors.QueryCanceled, AssertionError)):
            work(world)
        if write != "a repair":
            world.check()
        work(world)
    world.check()
    database.close()
