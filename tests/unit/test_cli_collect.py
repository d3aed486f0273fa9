"""What `cost-tracker collect` shows of a run over HTTP."""

from typing import Any

import pytest

from cost_tracker.main import main
from infra.demo.server import Answer, LoopbackServer

NOW = "2026-11-20T10:30:00Z"
FEED: dict[str, Any] = {
    "stream": "spend_logs", "window_start": "2026-11-17T10:30:00Z", "window_end": NOW, "why": "trailing", "pages": 3,
    "new": 230, "changed": 0, "unchanged": 7, "removed": 0, "held": 0,
    "feed": {
        "created": 230, "duplicates": 7, "conflicts": 0, "rejected": 2, "skipped": 1,
        "reasons": [{"reason": "It cannot be understood: -4 is no count.", "count": 2, "first_at": NOW}],
    },
}  # fmt: skip
# As of a span that is too old.
NONE = {**FEED, "stream": "older", "window_start": None, "window_end": None, "note": "It was not kept."}


def test_what_a_feed_could_not_take_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    account = {
        "account": "gateway",
        "provider": "litellm",
        "status": "succeeded",
        "error": None,
        "streams": [FEED, NONE],
    }
    run = {"id": 7, "job": "collect", "status": "succeeded", "error": None, "result": {"accounts": [account]}}
    with LoopbackServer(lambda _: Answer(200, run), lambda _: {}) as tracker, pytest.raises(SystemExit) as end:
        main(["collect", "--url", tracker.url, "--key", "of-a-test"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert "gateway (litellm): succeeded" in shown
    assert "older: It was not kept." in shown
    assert "? to ?" not in shown
    assert "Not taken: 2, the first of 2026-11-20 10:30. It cannot be understood: -4 is no count." in shown
