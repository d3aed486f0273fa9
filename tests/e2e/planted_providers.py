"""Every provider of the registry, its credential planted: against one that repeats all it hears, fails, or answers.

`python -m tests.e2e.planted_providers DSN` prints as `tests.e2e.planted` does. Who comes to the registry comes here.
"""

import base64
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import httpx

from functions import runtime
from infra.local.sealer import NAME, KeyFileSealer
from shared.config import Settings
from shared.store.database import connect
from tests.e2e.planted import API, SEALER, ask, client_of, dump, say
from tests.fixtures.providers.recording import Recording
from tests.fixtures.providers.registered import RECORDED

KEPT = "PLANTEDeverywhere0123456789kept"
ROTATED = "PLANTEDeverywhere0123456789next"
SECRETS = (KEPT, ROTATED, base64.b64encode(KEPT.encode()).decode(), SEALER)
PATIENCE = {"retry-after": "86400"}

Answer = Callable[[httpx.Request], httpx.Response]


def heard(request: httpx.Request) -> str:
    """All that a request said: what a careless proxy or a helpful error page gives back."""
    return " ".join((str(request.url), *request.headers.values(), request.content.decode()))


def refused(status: int) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        said = f"bad key {heard(request)}"
        body = {"error": {"message": said, "type": "x", "code": said}, "message": said, "Message": said, "__type": said}
        return httpx.Response(status, json=body, headers={**PATIENCE, "www-authenticate": said})

    return answer


def redirected(request: httpx.Request) -> httpx.Response:
    return httpx.Response(302, headers={"location": f"https://elsewhere.test/?key={heard(request)}"})


def broken(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError(heard(request))


def nonsense(request: httpx.Request) -> httpx.Response:
    said = heard(request)
    return httpx.Response(200, json={"data": [{"id": {said: said}, said: said}], "has_more": said, "next_page": said})


def page(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, text=f"<html>{heard(request)}")


HOSTILE: dict[str, Answer] = {
    **{f"status {status}": refused(status) for status in (400, 401, 403, 404, 429, 500)},
    "redirect": redirected,
    "broken": broken,
    "nonsense": nonsense,
    "page": page,
}
# Collected with too: each costs a run.
COLLECTED = ("status 400", "status 500", "nonsense")


class Wire:
    """What all providers of an app reach; `answer` is who answers."""

    def __init__(self, recording: Recording) -> None:
        self._recorded = recording.whole().handler
        self.answer: Answer = self.recorded

    def recorded(self, request: httpx.Request) -> httpx.Response:
        try:
            found = self._recorded(request)
        except (KeyError, AssertionError):
            return httpx.Response(404, json={})
        assert isinstance(found, httpx.Response)
        return found

    def __call__(self, request: httpx.Request) -> httpx.Response:
        return self.answer(request)


def collected(client: httpx.Client, path: str) -> None:
    ask(client, "POST", f"{path}/sync", params={"wait": "25"})


def life(name: str, settings: Settings, home: Path) -> None:
    """A credential's life with one provider: stored unseen, refused in every way, taken, replaced."""
    recording = Recording(name)
    contract, wire = recording.load("contract.json"), Wire(recording)
    ends = [datetime.fromisoformat(notes["end"]) for notes in contract["streams"].values()]
    now = max(ends, default=datetime.fromisoformat("2026-03-04T00:00:00+00:00")) + timedelta(hours=12)
    http = httpx.Client(transport=httpx.MockTransport(wire))
    app = runtime.build(
        settings, http, clock=lambda: now, dispatch=runtime.in_a_thread, sealer=KeyFileSealer(home)
    )  # fmt: skip
    client = client_of(app)
    begins, options = contract.get("key_begins", ""), contract.get("options", {})
    body = {"name": f"planted {name}", "provider": recording.provider, "options": options}
    for answer in (refused(401), nonsense):
        wire.answer = answer
        ask(client, "POST", "/api/accounts/test", json={
            "provider": recording.provider, "credential": begins + KEPT, "options": options
        })  # fmt: skip
    wire.answer = refused(500)
    ask(client, "POST", "/api/accounts", json={**body, "credential": begins + KEPT})
    [path] = [f"/api/accounts/{row['id']}" for row in client.get("/api/accounts").json()["data"]]
    for mode, hostile in HOSTILE.items():
        say(f"MODE {name} {mode}")
        wire.answer = hostile
        ask(client, "POST", f"{path}/test")
        if mode in COLLECTED:
            collected(client, path)
    say(f"MODE {name} recorded")
    wire.answer = wire.recorded
    ask(client, "POST", f"{path}/test")
    ask(client, "PUT", path, json={"credential": begins + ROTATED})
    collected(client, path)
    sources = app.sources(60)
    say(f"{sources!r} {[getattr(source.provider, '__dict__', {}) for source in sources]!r}")
    for shown in ("/api/accounts", "/api/usage/export", "/costs/reconciliation", "/admin/runs"):
        ask(client, "GET", shown)
    app.database.close()


def main_(dsn: str) -> None:
    name, host = (dict(part.split("=", 1) for part in dsn.split())[key] for key in ("dbname", "host"))
    environment = {
        "DATABASE_URL": f"postgresql://postgres@/{name}?host={host}",
        "API_KEY": API,
        "KEY_PEPPER": "a-pepper-of-the-tests",
        "COLLECTION_BACKFILL_DAYS": "3",
        "LOG_LEVEL": "DEBUG",
    }
    with tempfile.TemporaryDirectory() as folder, connect(dsn) as connection:
        home = Path(folder)
        (home / NAME).touch(mode=0o600)
        (home / NAME).write_text(SEALER)
        for recorded in RECORDED:
            life(recorded, Settings.load(environment), home)
            dump(connection)
            connection.execute("TRUNCATE accounts CASCADE")


if __name__ == "__main__":
    main_(sys.argv[1])
