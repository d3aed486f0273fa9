"""The Python client: what notebooks and agents call, in process and over HTTP, and the example of the manual."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cost_tracker.client import ApiError, Client
from infra.local.tracker import Tracker
from shared.config import Settings
from tests.e2e.commands import local, served

if TYPE_CHECKING:
    from collections.abc import Iterator

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.fixture
def environ(postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    found = local(postgres_dsn, tmp_path / "home")
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return found


@pytest.fixture(params=["in process", "over http"])
def client(request: pytest.FixtureRequest, environ: dict[str, str]) -> Iterator[Client]:
    if request.param == "in process":
        with Client() as found:
            yield found
        return
    with served(environ) as service, Client(service.url, service.tracker.key) as found:
        yield found


def test_log_price_and_ask(client: Client) -> None:
    made = client.log_usage("sonnet", 1500, 750, category="planning", metadata={"took": 1.5}, tags={"team": "web"})
    assert (made["status"], made["data"]["cost_usd"]) == ("created", Decimal("0.01575"))
    assert made["data"]["metadata"] == {"took": Decimal("1.5")}
    assert client.log_usage("nobody-knows-this", output_tokens=3)["warnings"]
    assert client.calculate_cost("sonnet", 1500, 750) == {
        "model": "claude-3-5-sonnet", "total_cost": Decimal("0.01575"), "input_cost": Decimal("0.0045"),
        "output_cost": Decimal("0.01125"), "cache_cost": 0, "priced_by": made["data"]["priced_by"],
    }  # fmt: skip
    cached = client.calculate_cost("claude-opus-4-6", 0, 0, cache_read_tokens=1_000_000, at=datetime.now(UTC))
    assert cached["cache_cost"] == cached["total_cost"] > 0
    assert client.calculate_cost("nobody-knows-this", 1)["total_cost"] is None
    assert [client.normalize_model_name(name) for name in ("sonnet", "openai/gpt-4o", " who? ")] == [
        "claude-3-5-sonnet", "gpt-4o", "who?",
    ]  # fmt: skip
    with pytest.raises(ApiError, match="tokens_in"):
        client.log_usage("sonnet", -1)


def test_every_report(client: Client) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    client.log_usage("sonnet", 1500, 750, project="Paws", at=yesterday, event_id="e-1")
    assert client.log_usage("sonnet", 1500, 750, project="Paws", at=yesterday, event_id="e-1")["status"] == "duplicate"
    client.log_manual("perplexity", 12.5, yesterday.date(), project="Office")
    whole = Decimal("12.51575")
    assert client.daily(yesterday.date())["total_cost"] == whole
    assert client.daily()["total_cost"] == 0
    assert client.range(yesterday.date(), group_by="week")["total_cost"] == whole
    assert client.summary("weekly", project="Paws")["total_cost"] == Decimal("0.01575")
    found = client.by("session_type", start=yesterday.date(), project=["Paws", "Office"])
    assert (found["dimension"], found["total_cost"]) == ("session_type", whole)
    assert [row["event_id"] for row in client.each("/api/usage")] in (["e-1", None], [None, "e-1"])


def test_in_process_it_is_never_the_demo(environ: dict[str, str]) -> None:
    with Tracker.open(Settings.load(environ), demo=True) as demo:
        assert demo.is_demo
    with Client() as costs:
        assert "demo" not in costs.daily()["coverage"]
        costs.log_usage("sonnet", 1, 1)
    # Once there is real usage, no command shows invented figures any more.
    with Tracker.open(Settings.load(environ)) as tracker:
        assert not tracker.is_demo


@pytest.mark.usefixtures("environ")
def test_the_example_of_the_manual_runs() -> None:
    [example] = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    found: dict[str, Any] = {}
    exec(compile(example, "README.md", "exec"), found)  # noqa: S102 - our own manual
    assert found["record"]["cost_usd"] == Decimal("0.01575")
    assert found["by_project"][0]["key"] == "PeakPaws"
