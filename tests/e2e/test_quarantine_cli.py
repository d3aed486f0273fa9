"""`cost-tracker quarantine`: what is held, shown and decided about."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from infra.demo.anthropic import ADMIN_KEY, FakeAnthropic
from infra.demo.dataset import FixedDataset, UsageRow
from tests.e2e.commands import Cli
from tests.integration.collecting import NOW, provider, run
from tests.integration.migrating import url_of

if TYPE_CHECKING:
    from pathlib import Path

    from shared.store.database import Database

DAY = timedelta(days=1)
USUAL = [UsageRow(NOW - day * DAY, "claude-sonnet-4-5", uncached_input_tokens=1_000_000) for day in range(1, 10)]
ABSURD = [replace(USUAL[0], at=NOW, uncached_input_tokens=tokens * 10**9, model=model) for tokens, model in (
    (2, "claude-sonnet-4-5"), (4, "claude-nobody-knows"),
)]  # fmt: skip


@pytest.fixture
def cli(
    database: Database, dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Cli:
    """The command on this machine's own tracker, with two rows in quarantine."""
    data = FixedDataset(list(USUAL))
    with FakeAnthropic(data, clock=lambda: NOW + DAY) as fake:
        run(database, provider(fake), now=NOW - DAY)
        data.usage_rows.extend(ABSURD)
        run(database, provider(fake))
    environ = {
        "DATABASE_URL": url_of(dsn),
        "COST_TRACKER_HOME": str(tmp_path / "home"),
        "ANTHROPIC_ADMIN_KEY": ADMIN_KEY,
    }
    return Cli(capsys, monkeypatch, environ)


def test_rows_are_shown_released_and_dropped(cli: Cli) -> None:
    shown = cli("quarantine")
    assert shown.code == 0
    for text in ("claude-sonnet-4-5", "$6,000.00", "$3.00", "no price", "4,000,000,000"):
        assert text in shown.out, text
    ids = {row["model"]: str(row["id"]) for row in cli.json("quarantine")}
    said = "Held back: 2 rows look absurd ($6,000.00); `cost-tracker quarantine` shows them."
    assert said in cli("report", "--start-date", "2026-11-19", "--end-date", "2026-11-20").out
    assert said in cli("report", "--start-date", "2026-11-20", "--end-date", "2026-11-20").err
    released = cli("quarantine", "release", ids["claude-sonnet-4-5"], "--reason", "the migration")
    assert released.out.strip().endswith("claude-sonnet-4-5 of anthropic, $6,000.00: released")
    [dropped] = cli.json("quarantine", "drop", ids["claude-nobody-knows"])
    assert dropped["state"] == "dropped"
    empty = cli("quarantine")
    assert (empty.code, empty.err.strip()) == (3, "Nothing is held back.")
    assert [row["reason"] for row in cli.json("quarantine", "--state", "released")] == ["the migration"]
    unknown = cli("quarantine", "drop", "999")
    assert (unknown.code, unknown.out) == (1, "")
    assert "There is no row 999 in quarantine" in unknown.err
