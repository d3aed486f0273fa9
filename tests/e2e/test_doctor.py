"""The doctor says of each part whether it is well and what to do next, and never shows a secret."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from cost_tracker.checks import Finding, here, there
from cost_tracker.client import Client
from infra.demo.anthropic import ADMIN_KEY, FakeAnthropic
from shared.config import Settings
from shared.providers.registry import REGISTRY
from tests.e2e.conftest import API_KEY, Service

SECRETS = ("hunter2", ADMIN_KEY, "vault-secret")


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeAnthropic]:
    with FakeAnthropic() as server:
        yield server


def url_of(dsn: str) -> str:
    parts = dict(part.split("=", 1) for part in dsn.split())
    return f"postgresql://postgres@/{parts['dbname']}?host={parts['host']}"


def examine(tmp_path: Path, **settings: str) -> dict[str, Finding]:
    found = list(here(Settings.load({"COST_TRACKER_HOME": str(tmp_path), **settings})))
    assert not any(secret in repr(finding) for finding in found for secret in SECRETS)
    assert all(finding.advice or finding.what for finding in found)
    return {finding.part: finding for finding in found}


def test_a_healthy_tracker(tmp_path: Path, dsn: str, fake: FakeAnthropic) -> None:
    found = examine(
        tmp_path,
        DATABASE_URL=url_of(dsn),
        API_KEY="hunter2",
        KEY_PEPPER="hunter2",
        ANTHROPIC_ADMIN_KEY=ADMIN_KEY,
        ANTHROPIC_BASE_URL=fake.url,
        CONTEXT_VAULT_URL=fake.url,
        CONTEXT_VAULT_API_KEY="vault-secret",
    )
    assert {part: finding.state for part, finding in found.items()} == {
        "database": "ok",
        "migrations": "ok",
        "clock": "ok",
        "pooler": "ok",
        "API_KEY": "ok",
        "KEY_PEPPER": "ok",
        **dict.fromkeys(REGISTRY, "off"),
        "anthropic": "ok",
        "vault": "ok",
    }
    assert "(demo)" in found["anthropic"].what


def test_nothing_set_up_yet_is_no_failure(tmp_path: Path) -> None:
    found = examine(tmp_path)
    assert {finding.state for finding in found.values()} == {"off"}
    assert "cost-tracker init" in found["database"].advice
    assert list(tmp_path.iterdir()) == []


def test_a_database_without_its_schema(tmp_path: Path, blank_dsn: str) -> None:
    found = examine(tmp_path, DATABASE_URL=url_of(blank_dsn))
    assert (found["database"].state, found["migrations"].state) == ("ok", "failed")
    assert "cost-tracker init" in found["migrations"].advice


def test_a_database_that_is_away(tmp_path: Path) -> None:
    found = examine(tmp_path, DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/x")
    assert found["database"].state == "failed"


POOLED, DIRECT = "postgresql://u@127.0.0.1:6432/x", "postgresql://u@127.0.0.1:1/x"


@pytest.mark.parametrize(
    ("urls", "state"),
    [
        ({"DATABASE_URL": POOLED}, "failed"),
        ({"DATABASE_URL": POOLED, "DATABASE_URL_DIRECT": DIRECT}, "ok"),
        ({"DATABASE_URL": POOLED, "DATABASE_URL_DIRECT": POOLED}, "failed"),
        ({"DATABASE_URL": DIRECT}, "ok"),
    ],
)
def test_migrations_do_not_go_through_a_pooler(tmp_path: Path, urls: dict[str, str], state: str) -> None:
    assert examine(tmp_path, **urls)["pooler"].state == state


def test_a_refused_key_says_which_one_is_needed(tmp_path: Path, fake: FakeAnthropic) -> None:
    found = examine(tmp_path, ANTHROPIC_ADMIN_KEY="sk-ant-admin01-hunter2", ANTHROPIC_BASE_URL=fake.url)
    assert found["anthropic"].state == "failed"
    assert "Admin key" in found["anthropic"].what


def test_a_key_file_that_others_can_read(tmp_path: Path) -> None:
    path = tmp_path / "api-key"
    path.write_text("hunter2")
    path.chmod(0o644)
    assert examine(tmp_path)["API_KEY"].advice == f"Run: chmod 600 {path}"


def test_a_deployed_tracker(serve: Callable[..., Service]) -> None:
    service = serve()
    with Client(str(service.http.base_url), API_KEY) as client:
        assert [finding.state for finding in there(client)] == ["ok", "ok", "off"]
    with Client(str(service.http.base_url), "wrong") as client:
        assert [finding.state for finding in there(client)] == ["ok", "failed"]
    with Client(str(httpx.URL("http://127.0.0.1:1")), API_KEY) as client:
        assert [finding.state for finding in there(client)] == ["failed"]
