"""The demo organisation, collected once by the real collector and served over real HTTP."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from psycopg.conninfo import make_conninfo

from functions import runtime
from functions.api import main
from functions.runtime import App
from infra.demo.anthropic import ADMIN_KEY, FakeAnthropic
from infra.local import postgres
from infra.local.gateway import Gateway
from shared.config import Settings
from shared.core import jsontext
from shared.store.database import connect
from shared.store.migrate import migrate

NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
API_KEY = "a-key-of-the-tests"


@dataclass(frozen=True)
class Service:
    """A served tracker: `get` and `post` answer decoded JSON and expect success."""

    http: httpx.Client
    fake: FakeAnthropic
    dsn: str
    app: App

    def get(self, path: str, **params: str | list[str]) -> Any:  # noqa: ANN401 - decoded JSON
        response = self.http.get(path, params=params or None)
        assert response.status_code == 200, response.text
        return jsontext.loads(response.content)

    def post(self, path: str, body: dict[str, str] | None = None, **params: str) -> Any:  # noqa: ANN401 - decoded JSON
        response = self.http.post(path, params=params, json=body)
        assert response.status_code == 200, response.text
        return jsontext.loads(response.content)


@pytest.fixture(scope="module")
def serve(postgres_dsn: str) -> Iterator[Callable[..., Service]]:
    closers: list[Callable[[], object]] = []

    def start(**settings: str) -> Service:
        name = f"served_{uuid.uuid4().hex[:12]}"
        postgres.create_database(postgres_dsn, name)
        dsn = make_conninfo(postgres_dsn, dbname=name)
        with connect(dsn) as connection:
            migrate(connection)
        fake = FakeAnthropic(clock=lambda: NOW).start()
        closers.append(fake.stop)
        environment = {
            "DATABASE_URL": f"postgresql://postgres@/{name}?host={httpx.URL(postgres_dsn).params['host']}",
            "API_KEY": API_KEY,
            "ANTHROPIC_ADMIN_KEY": ADMIN_KEY,
            "ANTHROPIC_BASE_URL": fake.url,
            **settings,
        }
        app = runtime.build(
            Settings.load(environment),
            httpx.Client(trust_env=False),
            clock=lambda: NOW,
            dispatch=runtime.in_a_thread,
            is_demo=True,
        )
        gateway = Gateway(main.build(lambda: app), at_worker_end=app.database.close)
        gateway.start()
        closers.append(gateway.stop)
        http = httpx.Client(base_url=gateway.url, headers={"X-API-Key": API_KEY}, timeout=60, trust_env=False)
        closers.append(http.close)
        return Service(http, fake, dsn, app)

    yield start
    for close in reversed(closers):
        close()


@pytest.fixture(scope="module")
def demo(serve: Callable[..., Service]) -> Service:
    """The whole demo organisation, as collected on 2026-11-20 at 10:30 UTC."""
    service = serve()
    run = service.post("/admin/collect", wait="28")
    assert run["status"] == "succeeded", run
    return service
