"""Keys over HTTP and a real Postgres: made, listed, used, rotated, revoked; time passes when a test says so."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import pytest

from functions import runtime
from functions.api import main
from infra.local.transport import HandlerTransport
from shared.config import Settings
from shared.core import keys
from shared.store.database import Connection, Database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from functions.runtime import App

PEPPER = "pepper-of-the-tests"
BOOTSTRAP = "bootstrap-of-the-tests"
READ, WRITE, ADMIN = "usage:read", "usage:write", "admin"


class Counting(Database):
    """The real database, counting how often it is asked."""

    asked = 0

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        self.asked += 1
        with super().transaction() as connection:
            yield connection


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def passes(self, **time: float) -> None:
        self.now += timedelta(**time)


@dataclass(frozen=True)
class Process:
    """One process that answers the API; `asks` sends a request with a key and returns its status."""

    app: App
    http: httpx.Client
    database: Counting
    clock: Clock

    def asks(self, key: str, path: str = "/costs/daily") -> int:
        return self.http.get(path, headers={"X-API-Key": key}).status_code

    def makes(self, *scopes: str, by: str = BOOTSTRAP, **more: object) -> Any:  # noqa: ANN401 - decoded JSON
        body = {"name": "N8N", "scopes": scopes, **more}
        response = self.http.post("/admin/keys", headers={"X-API-Key": by}, json=body)
        assert response.status_code == 201, response.text
        return response.json()["data"]

    def rotates(self, key_id: str, **body: object) -> httpx.Response:
        return self.http.post(f"/admin/keys/{key_id}/rotate", headers={"X-API-Key": BOOTSTRAP}, json=body)

    def revokes(self, key_id: str) -> httpx.Response:
        return self.http.delete(f"/admin/keys/{key_id}", headers={"X-API-Key": BOOTSTRAP})

    def lists(self, **params: str) -> Any:  # noqa: ANN401 - decoded JSON
        response = self.http.get("/admin/keys", headers={"X-API-Key": BOOTSTRAP}, params=params)
        assert response.status_code == 200, response.text
        return response.json()


def start(database: Counting, clock: Clock) -> Process:
    settings = {"DATABASE_URL": "postgresql://unused@127.0.0.1/x", "API_KEY": BOOTSTRAP, "KEY_PEPPER": PEPPER}
    built = runtime.build(Settings.load(settings), httpx.Client(), clock=clock, dispatch=lambda _app, _run: None)
    app = replace(built, database=database)
    http = httpx.Client(transport=HandlerTransport(main.build(lambda: app)), base_url="http://api.test")
    return Process(app, http, database, clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def process(dsn: str, clock: Clock) -> Iterator[Process]:
    database = Counting(dsn)
    yield start(database, clock)
    database.close()


def test_a_key_opens_what_its_scopes_say_and_nothing_else(process: Process) -> None:
    made = process.makes(READ)
    assert len(made["key"]) == keys.LENGTH
    assert made["key"].startswith(keys.PREFIX + made["id"])
    assert process.asks(made["key"]) == 200
    assert process.http.get("/costs/daily", headers={"Authorization": f"Bearer {made['key']}"}).status_code == 200
    refused = process.http.get("/admin/runs", headers={"X-API-Key": made["key"]})
    assert refused.status_code == 403
    assert "N8N" in refused.json()["error"]["message"]
    assert made["key"] not in refused.text


def test_a_key_is_shown_once_and_kept_nowhere(
    process: Process, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    made = process.makes(WRITE, READ)
    secret = keys.read(made["key"], PEPPER)
    assert secret is not None
    process.asks(made["key"])
    listed = process.lists()
    assert listed["data"] == [
        {
            "id": made["id"],
            "name": "N8N",
            "scopes": [WRITE, READ],
            "hint": f"act_...{made['id'][-4:]}",
            "status": "active",
            "created_at": "2026-11-20T10:30:00Z",
            "last_used_at": "2026-11-20T10:30:00Z",
            "expires_at": None,
            "revoked_at": None,
            "rotated_from": None,
        }
    ]
    (row,) = connection.execute("SELECT * FROM keys").fetchall()
    assert row["digest"] == keys.digest(secret, PEPPER)
    kept = f"{listed} {row} {caplog.text} {process.app!r} {vars(process.app.keyring)}"
    for planted in (made["key"], secret.secret, PEPPER, BOOTSTRAP):
        assert planted not in kept


def test_a_key_that_was_not_stored_is_unknown(process: Process) -> None:
    elsewhere = keys.write(keys.mint(bytes(keys.ENTROPY_BYTES)), PEPPER)
    assert process.asks(elsewhere) == 401
    assert process.database.asked == 1


def test_a_row_whose_digest_is_another_key_s_opens_nothing(process: Process, connection: Connection) -> None:
    made, other = process.makes(READ), process.makes(READ)
    connection.execute(
        "UPDATE keys SET digest = (SELECT digest FROM keys WHERE id = %s) WHERE id = %s", [other["id"], made["id"]]
    )
    assert (process.asks(made["key"]), process.asks(other["key"])) == (401, 200)


def test_the_list_has_pages_and_a_flat_shape(process: Process, clock: Clock) -> None:
    made = []
    for number in range(5):
        made.append(process.makes(READ, name=f"key {number}")["id"])
        clock.passes(seconds=number % 2)  # some were made at the same instant
    first = process.lists(limit="2")
    seen = [row["id"] for row in first["data"]]
    following, page = first["next"], first
    while following:
        page = process.http.get(following, headers={"X-API-Key": BOOTSTRAP}).json()
        seen += [row["id"] for row in page["data"]]
        following = page["next"]
    assert (first["count"], first["has_more"], page["has_more"]) == (2, True, False)
    assert sorted(seen) == sorted(made)
    assert seen == [row["id"] for row in process.lists()["data"]]
    assert [row["created_at"] for row in process.lists()["data"]] == sorted(
        (row["created_at"] for row in process.lists()["data"]), reverse=True
    )
    assert process.lists(offset="4")["count"] == 1
    flat = process.http.get("/admin/keys?shape=flat&limit=4", headers={"X-API-Key": BOOTSTRAP})
    assert [row["scopes"] for row in flat.json()] == [READ] * 4
    assert 'rel="next"' in flat.headers["link"]
    wrong = process.http.get("/admin/keys?cursor=1", headers={"X-API-Key": BOOTSTRAP})
    assert "next_cursor" in wrong.json()["error"]["message"]


def test_revoking_is_final_kept_and_no_error_again(process: Process, clock: Clock) -> None:
    made = process.makes(READ)
    assert process.asks(made["key"]) == 200
    first = process.revokes(made["id"])
    assert first.status_code == 200
    assert process.asks(made["key"]) == 401
    clock.passes(hours=1)
    again = process.revokes(f"act_{made['id']}")
    assert again.json()["data"] == first.json()["data"]
    assert again.json()["data"]["revoked_at"] == "2026-11-20T10:30:00Z"
    assert process.lists()["data"][0]["status"] == "revoked"


@pytest.mark.parametrize("key_id", ["0000000000zz", "1", "act_", "a%252Fb", "%2500"])
def test_an_id_that_no_key_has_is_404(process: Process, key_id: str) -> None:
    for response in (process.revokes(key_id), process.rotates(key_id)):
        assert response.status_code == (400 if key_id == "%2500" else 404)


def test_a_whole_key_given_as_its_id_is_not_repeated(process: Process) -> None:
    made = process.makes(READ)
    for response in (process.revokes(made["key"]), process.rotates(made["key"])):
        assert response.status_code == 404
        assert made["key"][16:] not in response.text


def test_a_key_ends_when_it_expires(process: Process, clock: Clock) -> None:
    made = process.makes(READ, expires_at="2026-11-20T11:30:20+01:00")
    assert made["expires_at"] == "2026-11-20T10:30:20Z"
    clock.passes(seconds=19.999999)
    assert process.asks(made["key"]) == 200
    clock.passes(seconds=0.000001)  # what is remembered of it ends at the same instant
    assert process.asks(made["key"]) == 401
    assert process.lists()["data"][0]["status"] == "expired"
    assert process.rotates(made["id"]).status_code == 409


def test_a_key_gives_no_more_than_it_has(process: Process) -> None:
    wide = process.makes(READ, ADMIN)
    admin = process.makes(ADMIN, by=wide["key"])["key"]
    refused = process.http.post(
        "/admin/keys", headers={"X-API-Key": admin}, json={"name": "more", "scopes": [ADMIN, READ]}
    )
    assert refused.status_code == 403
    assert READ in refused.json()["error"]["message"]
    rotated = process.http.post(f"/admin/keys/{wide['id']}/rotate", headers={"X-API-Key": admin})
    assert rotated.status_code == 403
    assert process.asks(wide["key"]) == 200
    assert process.lists()["count"] == 2


def test_a_scope_of_a_newer_version_opens_nothing(process: Process, connection: Connection) -> None:
    made = process.makes(READ)
    connection.execute("UPDATE keys SET scopes = '{public,everything}'")
    assert process.asks(made["key"]) == 403


def test_two_keys_cannot_share_an_id(connection: Connection, process: Process) -> None:
    process.makes(READ)
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("INSERT INTO keys SELECT * FROM keys")
