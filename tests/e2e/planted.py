"""Everything that can be said, said aloud: every route and job, in good days and bad, with planted secrets.

`python -m tests.e2e.planted DSN` prints responses, errors, reprs and the whole database; logs and metrics go to stdout
by themselves. The test that starts it looks for the secrets in all of it.
"""

import base64
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from functions import jobs, metrics, runtime
from functions.api import main
from infra.demo import faults
from infra.demo.anthropic import FakeAnthropic
from infra.demo.anthropic import Path as Route
from infra.demo.faults import Fault
from infra.demo.vault import FakeVault
from infra.local.sealer import NAME, KeyFileSealer
from infra.local.transport import HandlerTransport
from shared.config import Settings
from shared.store.database import Connection, connect

PROVIDER = "sk-ant-admin01-PLANTEDprovider0123456789"
API = "PLANTEDapikey0123456789abcdef"
PEPPER = "PLANTEDpepper0123456789abcdef"
PASSWORD = "PLANTEDdsnpassword0123456789"
VAULT = "PLANTEDvaultkey0123456789abc"
STORED = "sk-ant-admin01-PLANTEDstored0123456789"
ROTATED = "sk-ant-admin01-PLANTEDrotated0123456789"
WRONG = "sk-ant-api03-PLANTEDwrong0123456789"
SEALER = base64.b64encode(b"PLANTEDcredentialkey0123456789ab").decode()
SECRETS = (PROVIDER, API, PEPPER, PASSWORD, VAULT, STORED, ROTATED, WRONG, SEALER)


def say(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def struck(server: FakeAnthropic | FakeVault, *some: Fault) -> Iterator[None]:
    server.faults.extend(some)
    yield
    server.faults.clear()


def ask(client: httpx.Client, method: str, path: str, **more: object) -> None:
    response = client.request(method, path, **more)  # type: ignore[arg-type] # whatever httpx takes
    say(f"ANSWER {method} {path} {response.status_code} {dict(response.headers)} {response.text[:20_000]}")


def every_route(client: httpx.Client) -> None:
    for router in main.ROUTERS:
        for route in router.routes:
            path = route.path.replace("{id}", "1")
            for body in (None, {"nonsense": API}, [VAULT]):
                ask(client, route.method, path, json=body)
            ask(client, route.method, path, params={"nonsense": PROVIDER, "wait": "5"})
            ask(client, route.method, path, headers={"X-API-Key": f"{API}x"})
    ask(client, "POST", "/admin/keys", json={"name": "n8n", "scopes": ["usage:read"]})
    ask(client, "GET", "/nowhere")


def bad_days(client: httpx.Client, fake: FakeAnthropic, vault: FakeVault) -> None:
    days = {"start": "2026-11-18", "end": "2026-11-19"}
    for fault in (
        Fault(status=401, times=None),
        Fault(status=403, times=None),
        Fault(path=Route.USAGE, status=500),
        Fault(path=Route.USAGE, text=f"<html>{PROVIDER}"),
        Fault(path=Route.USAGE, transform=faults.counts_as_text),
        Fault(path=Route.USAGE, cut=True),
        Fault(path=Route.USAGE, status=400, payload={"error": {"type": "x", "message": f"bad key {PROVIDER}"}}),
    ):
        with struck(fake, fault):
            ask(client, "POST", "/admin/collect", json=days, params={"wait": "20"})
    for fault in (Fault(status=500, times=None), Fault(status=401), Fault(cut=True), Fault(text=VAULT)):
        with struck(vault, fault):
            ask(client, "POST", "/admin/sync-cv", json={"date": "2026-11-18"}, timeout=60)


def stored_accounts(client: httpx.Client, app: runtime.App, fake: FakeAnthropic, home: Path) -> None:
    """A credential's whole life: refused, stored, tried, collected with, refused later, replaced, its key lost."""
    options = {"base_url": fake.url}
    body = {"name": "stored", "provider": "anthropic", "options": options}
    for credential in (WRONG, f"{STORED} ", f"{STORED}\n{STORED}", [STORED], {"key": STORED}):
        ask(client, "POST", "/api/accounts", json={**body, "credential": credential})
        tried = {"provider": "anthropic", "credential": credential, "options": options}
        ask(client, "POST", "/api/accounts/test", json=tried)
    ask(client, "POST", "/api/accounts", json={**body, "credential": STORED, "nonsense": STORED})
    with struck(fake, Fault(status=401, payload={"error": {"type": "x", "message": f"bad key {STORED}"}}, times=None)):
        ask(client, "POST", "/api/accounts", json={**body, "credential": STORED})
    fake.admin_key = STORED
    with struck(fake, Fault(cut=True, times=None)):
        ask(client, "POST", "/api/accounts", json={**body, "credential": STORED})
    [path] = [
        f"/api/accounts/{row['id']}"
        for row in client.get("/api/accounts").json()["data"]
        if row["name"] == "stored"
    ]  # fmt: skip
    for admin_key in (STORED, ROTATED):
        fake.admin_key = admin_key
        for ending in ("test", "sync"):
            ask(client, "POST", f"{path}/{ending}", params={"wait": "20"} if ending == "sync" else {})
        say(repr(app.sources(60)))
    ask(client, "PUT", path, json={"credential": ROTATED})
    ask(client, "PUT", path, json={"credential": ROTATED, "monthly_limit": "x"})
    ask(client, "GET", "/api/services")
    key_file = home / NAME
    key_file.write_bytes(b"nonsense")
    ask(client, "POST", f"{path}/test")
    key_file.unlink()
    ask(client, "POST", f"{path}/test")
    ask(client, "POST", f"{path}/sync", params={"wait": "20"})
    key_file.write_text(SEALER)
    key_file.chmod(0o600)
    ask(client, "GET", "/api/usage/export")


def dump(connection: Connection) -> None:
    """Print every row of every table."""
    tables = connection.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    for row in tables.fetchall():
        for line in connection.execute(f'SELECT * FROM "{row["table_name"]}"'):  # noqa: S608 - names of our own tables
            say(f"TABLE {row['table_name']} {line!r}")


def out_of_reach(environment: dict[str, str]) -> None:
    """A database that is away, in every entry."""
    away = {**environment, "DATABASE_URL": f"postgresql://planted:{PASSWORD}@127.0.0.1:1/x?connect_timeout=1"}
    app = runtime.build(Settings.load(away), httpx.Client(trust_env=False), dispatch=runtime.in_a_thread)
    say(repr(app))
    say(repr(app.settings))
    client = client_of(app)
    for path in ("/costs/daily", "/health/ready", "/admin/runs"):
        ask(client, "GET", path)
    for attempt in (lambda: jobs.work(app, 1, lambda: 60.0), lambda: metrics.polled(app)):
        try:
            attempt()
        except Exception:  # noqa: BLE001 - whatever it is, its text is what we look at
            say(traceback.format_exc())


def client_of(app: runtime.App) -> httpx.Client:
    transport = HandlerTransport(main.build(lambda: app))
    return httpx.Client(transport=transport, base_url="http://planted", headers={"X-API-Key": API}, timeout=60)


def main_(dsn: str) -> None:
    name, host = (dict(part.split("=", 1) for part in dsn.split())[key] for key in ("dbname", "host"))
    vault = FakeVault(key=VAULT)
    theirs = {"id": "another-organisation", "name": "Another", "type": "organization"}
    with FakeAnthropic(admin_key=PROVIDER) as fake, FakeAnthropic(organisation=theirs) as other, vault:
        environment = {
            # Postgres trusts its socket, whatever the password is.
            "DATABASE_URL": f"postgresql://postgres:{PASSWORD}@/{name}?host={host}",
            "API_KEY": API,
            "KEY_PEPPER": PEPPER,
            "ANTHROPIC_ADMIN_KEY": PROVIDER,
            "ANTHROPIC_BASE_URL": fake.url,
            "CONTEXT_VAULT_URL": vault.url,
            "CONTEXT_VAULT_API_KEY": VAULT,
            "COLLECTION_BACKFILL_DAYS": "5",
            "LOG_LEVEL": "DEBUG",
        }
        home = Path(tempfile.mkdtemp())
        (home / NAME).touch(mode=0o600)
        (home / NAME).write_text(SEALER)
        app = runtime.build(
            Settings.load(environment),
            httpx.Client(trust_env=False),
            dispatch=runtime.in_a_thread,
            sealer=KeyFileSealer(home),
        )
        say(repr(app))
        say(repr(app.sources(60)))
        client = client_of(app)
        ask(client, "POST", "/admin/collect", json={}, params={"wait": "28"})
        ask(client, "POST", "/admin/sync-cv", json={})
        stored_accounts(client, app, other, home)
        every_route(client)
        bad_days(client, fake, vault)
        shutil.rmtree(home)
        metrics.emit("test", dict.fromkeys(metrics.EVERY, 1.0))
        out_of_reach(environment)
    with connect(dsn) as connection:
        dump(connection)


if __name__ == "__main__":
    main_(sys.argv[1])
