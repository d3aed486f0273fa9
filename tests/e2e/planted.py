"""Everything that can be said, said aloud: every route and job, in good days and bad, with planted secrets.

`python -m tests.e2e.planted DSN` prints responses, errors, reprs and the whole database; logs and metrics go to stdout
by themselves. The test that starts it looks for the secrets in all of it.
"""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from functions import jobs, metrics, runtime
from functions.api import main
from infra.demo import faults
from infra.demo.anthropic import FakeAnthropic, Path
from infra.demo.faults import Fault
from infra.demo.vault import FakeVault
from infra.local.transport import HandlerTransport
from shared.config import Settings
from shared.store.database import connect

PROVIDER = "sk-ant-admin01-PLANTEDprovider0123456789"
API = "PLANTEDapikey0123456789abcdef"
PEPPER = "PLANTEDpepper0123456789abcdef"
PASSWORD = "PLANTEDdsnpassword0123456789"
VAULT = "PLANTEDvaultkey0123456789abc"
SECRETS = (PROVIDER, API, PEPPER, PASSWORD, VAULT)


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
        Fault(path=Path.USAGE, status=500),
        Fault(path=Path.USAGE, text=f"<html>{PROVIDER}"),
        Fault(path=Path.USAGE, transform=faults.counts_as_text),
        Fault(path=Path.USAGE, cut=True),
        Fault(path=Path.USAGE, status=400, payload={"error": {"type": "x", "message": f"bad key {PROVIDER}"}}),
    ):
        with struck(fake, fault):
            ask(client, "POST", "/admin/collect", json=days, params={"wait": "20"})
    for fault in (Fault(status=500, times=None), Fault(status=401), Fault(cut=True), Fault(text=VAULT)):
        with struck(vault, fault):
            ask(client, "POST", "/admin/sync-cv", json={"date": "2026-11-18"}, timeout=60)


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
    with FakeAnthropic(admin_key=PROVIDER) as fake, vault:
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
        app = runtime.build(Settings.load(environment), httpx.Client(trust_env=False), dispatch=runtime.in_a_thread)
        say(repr(app))
        say(repr(app.sources(60)))
        client = client_of(app)
        ask(client, "POST", "/admin/collect", json={}, params={"wait": "28"})
        ask(client, "POST", "/admin/sync-cv", json={})
        every_route(client)
        bad_days(client, fake, vault)
        metrics.emit("test", dict.fromkeys(metrics.EVERY, 1.0))
        out_of_reach(environment)
    with connect(dsn) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        for row in tables:
            for line in connection.execute(f'SELECT * FROM "{row["table_name"]}"'):  # noqa: S608 - names of our own tables
                say(f"TABLE {row['table_name']} {line!r}")


if __name__ == "__main__":
    main_(sys.argv[1])
