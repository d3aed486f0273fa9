"""What people see of long work: how much, how fast, how long still, and what Ctrl-C leaves."""

from __future__ import annotations

import io
from datetime import date
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from rich.console import Console

from cost_tracker.caller import ApiError
from cost_tracker.client import Client
from cost_tracker.progress import Days, bars, over_days

if TYPE_CHECKING:
    from rich.progress import Progress


def seen(progress: Progress) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(progress.make_tasks_table(progress.tasks))
    return str(console.file.getvalue())  # type: ignore[attr-defined] # it is the StringIO above


def test_a_bar_has_amount_rate_and_time_left() -> None:
    now = 0.0
    progress = bars("pages")
    progress.get_time = lambda: now
    task = progress.add_task("anthropic [bold]usage", total=100, amount=0)
    for now in (1.0, 2.0, 3.0, 4.0):
        progress.update(task, completed=int(now * 10), amount=int(now * 3))
    line = seen(progress)
    assert "anthropic [bold]usage" in line, "names are no markup"
    assert "40%" in line
    assert "12 pages, 3.0/s" in line
    assert "0:00:06" in line


def test_the_days_of_a_run_move_its_bar() -> None:
    progress = bars("days")
    bar = Days(progress, "reprice", date(2026, 11, 1), date(2026, 11, 10))
    bar({"status": "running", "result": {"progress": {"day": "2026-11-05"}}})
    assert "50%" in seen(progress)
    bar({"status": "running", "result": None})
    bar({"status": "succeeded", "result": {"progress": {"day": "2026-11-09"}}})
    assert "50%" in seen(progress)


def tracker(answers: dict[str, Any]) -> Client:
    def respond(request: httpx.Request) -> httpx.Response:
        answer = answers[request.url.path]
        if isinstance(answer, BaseException):
            raise answer
        return httpx.Response(answer.get("code", 200), json=answer)

    return Client(http=httpx.Client(transport=httpx.MockTransport(respond), base_url="http://tracker"))


SUMMARY = "/api/usage/summary"
DONE = {"id": 1, "status": "succeeded", "result": {}}


@pytest.mark.parametrize(
    "months", [{"data": [{"period": "2026-11-01"}, {"period": "2026-03-01"}]}, {"data": []}, {"code": 403}]
)
def test_a_key_that_may_not_read_can_still_reprice(months: dict[str, Any]) -> None:
    run = over_days(tracker({SUMMARY: months, "/admin/reprice": DONE}), "/admin/reprice", "reprice", dry_run=True)
    assert run == DONE


def test_a_refusal_is_not_swallowed() -> None:
    with pytest.raises(ApiError):
        over_days(tracker({SUMMARY: {"data": []}, "/admin/reprice": {"code": 400}}), "/admin/reprice", "reprice")


def test_ctrl_c_says_what_becomes_of_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    here = tracker({SUMMARY: {"data": []}, "/admin/reprice": KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        over_days(here, "/admin/reprice", "reprice")
    assert "What is done is kept" in capsys.readouterr().err
    here.is_remote = True
    with pytest.raises(KeyboardInterrupt):
        over_days(here, "/admin/reprice", "reprice")
    assert "goes on in the service" in capsys.readouterr().err
