"""A password that was changed: asked for once more where the address comes from, else an error of its own."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from shared.store.connection import is_password_refused
from shared.store.database import Connection, Database, PasswordRefusedError, connect
from tests.integration.conftest import WAYS, Api, Cluster, in_front_of, part, unavailable

OLD, NEW = "correct-horse", "battery-staple"


@pytest.fixture(scope="module")
def guarded(cluster: Cluster) -> Cluster:
    """A cluster that asks `tracker` for its password, which is the new one."""
    with connect(cluster.dsn) as admin:
        admin.execute(f"CREATE ROLE tracker LOGIN PASSWORD '{NEW}'")
    rules = cluster.data / "pg_hba.conf"
    rules.write_text("local all tracker scram-sha-256\n" + rules.read_text())
    cluster.control("reload")
    return cluster


@pytest.fixture(params=(*WAYS, "pgbouncer, md5"))
def address(request: pytest.FixtureRequest, guarded: Cluster) -> Iterator[Callable[[str], str]]:
    """From a password to an address, direct or through a PgBouncer that checks it itself."""
    host = part(guarded.dsn, "host")
    if request.param == "direct":
        yield lambda password: f"postgresql://tracker:{password}@/cost_tracker?host={host}"
        return
    users = guarded.data.parent / "users.txt"
    users.write_text(f'"tracker" "{NEW}"\n')
    users.chmod(0o644)
    method = "md5" if "md5" in request.param else "scram-sha-256"
    settings = (f"auth_type = {method}", f"auth_file = {users}")
    for pooler in in_front_of(host, 5432, guarded.dsn, *settings):
        yield on_port(pooler.port)


def on_port(port: int) -> Callable[[str], str]:
    return lambda password: f"postgresql://tracker:{password}@127.0.0.1:{port}/cost_tracker"


def one(connection: Connection) -> int:
    row = connection.execute("SELECT 1 AS n").fetchone()
    return int(row["n"]) if row else 0


def test_the_driver_says_it_so_that_we_can_tell(address: Callable[[str], str]) -> None:
    with pytest.raises(psycopg.OperationalError) as caught:
        connect(address(OLD))
    assert is_password_refused(caught.value)
    with pytest.raises(psycopg.OperationalError) as caught:
        connect(address(NEW).replace("cost_tracker", "nowhere"))
    assert not is_password_refused(caught.value)


def test_a_rotated_password_is_asked_for_once_and_kept(address: Callable[[str], str]) -> None:
    asked: list[str] = []

    def dsn() -> str:
        asked.append(address(NEW if asked else OLD))
        return asked[-1]

    slept: list[float] = []
    database = Database(dsn, sleep=slept.append)
    assert database.run(one) == 1
    database.close()
    assert database.run(one) == 1
    assert len(asked) == 2
    assert slept == []
    database.close()


@pytest.mark.parametrize("is_fixed", [True, False])
def test_a_password_that_stays_wrong_is_its_own_error(address: Callable[[str], str], *, is_fixed: bool) -> None:
    asked: list[int] = []

    def dsn() -> str:
        asked.append(1)
        return address(f"{OLD}{len(asked)}")

    slept: list[float] = []
    database = Database(address(OLD) if is_fixed else dsn, sleep=slept.append)
    with pytest.raises(PasswordRefusedError) as caught:
        database.run(one)
    assert len(asked) == (0 if is_fixed else 2)
    assert slept == []
    assert OLD not in str(caught.value)


def test_over_http_it_is_a_503_without_the_password(address: Callable[[str], str], serve: Callable[..., Api]) -> None:
    api = serve(address(OLD))
    answer = api.http.get("/costs/range", params={"start": "2026-11-01", "end": "2026-11-20"})
    unavailable(answer)
    assert OLD not in answer.text
    unavailable(api.http.get("/health/ready"))
