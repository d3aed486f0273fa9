"""Imports that are stopped, followed, cut into runs and shuffled, over a real ledger."""

from __future__ import annotations

import random
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from cost_tracker.client import Client
from cost_tracker.imports.files import Target
from cost_tracker.imports.state import State
from cost_tracker.imports.units import Terms
from cost_tracker.imports.watch import watch
from cost_tracker.imports.work import Report, Silent, find_new, run
from tests.e2e.commands import local
from tests.fixtures.claude_lines import answer, progress, usage, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def client(postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    for name, value in local(postgres_dsn, tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    with Client() as found:
        yield found


def import_(client: Client, state: State, path: Path, progress: Silent | None = None) -> Report:
    terms = Terms()
    return run(client, state, find_new(state, [Target(path, None)], terms), terms, progress=progress)


def figures(client: Client) -> dict[str, Any]:
    found = client.get("/costs/range", start="2026-11-01", end="2026-11-30", group_by="month")["periods"][0]
    return {name: found[name] for name in ("total_cost", "requests", "tokens", "by_session_type", "by_model")}


class Stops(Silent):
    """Ctrl-C after the first batch."""

    def __init__(self) -> None:
        self._is_sending = False

    def begin(self, what: str, whole: int) -> None:
        assert whole
        self._is_sending = what == "sending"

    def advance(self, done: int) -> None:
        if self._is_sending and done:
            raise KeyboardInterrupt


def test_stopped_after_a_batch_the_next_run_sends_the_rest(client: Client, tmp_path: Path) -> None:
    write(tmp_path / "logs" / "a.jsonl", *(answer(f"m{number}", "r", usage(100, 1)) for number in range(6000)))
    with closing(State(tmp_path / "state.sqlite")) as state:
        with pytest.raises(KeyboardInterrupt):
            import_(client, state, tmp_path / "logs", Stops())
        assert figures(client)["requests"] == 5000
        report = import_(client, state, tmp_path / "logs")
        assert report.sent
        assert (report.sent.created, report.dropped["imported before"]) == (1000, 5000)
    assert figures(client)["requests"] == 6000
    # Without any memory of it.
    with closing(State(None)) as state:
        report = import_(client, state, tmp_path / "logs")
        assert report.sent
        assert (report.sent.created, report.sent.already) == (0, 6000)
    assert figures(client)["requests"] == 6000


def test_following_waits_for_lines_to_settle(client: Client, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "a.jsonl"
    first = answer("a", "r", usage(10, 1), at="2026-11-20T11:59:00.000Z")
    young = answer("b", "r", usage(10, 1), at="2026-11-20T11:59:55.000Z")
    write(log, first, young)
    clock = [NOW]
    seen: list[int] = []

    def sleep(_seconds: float) -> None:
        seen.append(figures(client)["requests"])
        if len(seen) == 1:
            # Its last block, while it waits.
            grown = answer("b", "r", usage(10, 90), at="2026-11-20T11:59:58.000Z")
            write(log, first, young, grown)
        if len(seen) == 3:
            raise KeyboardInterrupt
        clock[0] = datetime(2026, 11, 20, 12, 0, 10 * len(seen) + 10, tzinfo=UTC)

    with closing(State(None)) as state:
        watch(client, state, [Target(tmp_path / "logs", None)], Terms(), now=lambda: clock[0], sleep=sleep)
    found = figures(client)
    assert seen[0] == 1
    assert (found["requests"], found["tokens"]["output"]) == (2, 91)
    assert [record["event_id"] for record in client.get("/api/usage")["data"]] == [
        "claude-code:b:r", "claude-code:a:r",
    ]  # fmt: skip


def sessions() -> dict[str, list[dict[str, Any]]]:
    """Files of a few sessions: streamed, wrapped, replayed, forked."""
    files: dict[str, list[dict[str, Any]]] = {}
    for number in range(4):
        parent, side = [], []
        for turn in range(5):
            name, counts = f"m{number}-{turn}", (100 * number + turn, 7 * turn)
            parent += [
                answer(name, f"r-{name}", usage(counts[0], tokens_out))
                for tokens_out in (1, counts[1] + 2, counts[1] + 40)
            ]
            helper = answer(f"h-{name}", f"rh-{name}", usage(5, turn + 1), isSidechain=True, agentId="x")
            side += [helper, answer(name, f"replay-{name}", usage(counts[0], counts[1] + 40), isSidechain=True)]
            parent.append(progress(helper))
        files[f"s{number}.jsonl"] = parent
        files[f"s{number}/subagents/agent-x.jsonl"] = side
        files[f"fork{number}.jsonl"] = parent[:9]
    return files


@pytest.mark.parametrize("seed", range(4))
def test_any_cut_and_order_give_one_ledger(client: Client, tmp_path: Path, seed: int) -> None:
    files = sessions()
    pick = random.Random(seed)  # noqa: S311 - an order, not a secret
    done = dict.fromkeys(files, 0)
    with closing(State(tmp_path / "state.sqlite")) as state:
        while any(done[name] < len(files[name]) for name in files):
            for name in pick.sample(list(files), pick.randrange(1, len(files))):
                done[name] = min(len(files[name]), done[name] + pick.randrange(1, 12))
                write(tmp_path / "logs" / name, *files[name][: done[name]])
            if pick.random() < 0.3:
                state.forget()
            import_(client, state, tmp_path / "logs")
        import_(client, state, tmp_path / "logs")
    expected_in = sum(100 * number + turn for number in range(4) for turn in range(5)) + 20 * 5
    expected_out = sum(7 * turn + 40 for turn in range(5)) * 4 + sum(turn + 1 for turn in range(5)) * 4
    found = figures(client)
    assert (found["requests"], found["tokens"]["input"], found["tokens"]["output"]) == (40, expected_in, expected_out)
    assert found["total_cost"] == (expected_in * Decimal(3) + expected_out * Decimal(15)) / 1_000_000
    helpers = (20 * 5 * Decimal(3) + sum(turn + 1 for turn in range(5)) * 4 * Decimal(15)) / 1_000_000
    assert found["by_session_type"] == {"main": found["total_cost"] - helpers, "subagent": helpers}
