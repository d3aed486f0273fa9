"""Sending through a tracker that is busy, small, away or of another opinion."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cost_tracker.client import ApiError, Client, UnreachableError
from cost_tracker.imports.dedupe import Stored, Winner
from cost_tracker.imports.send import MOST_BYTES, Sender
from cost_tracker.imports.units import DIRECT, Unit, rows_of, single

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = tuple[int, Any]


class Tracker:
    """A tracker at the wire: it stores rows by event id, and `faults` come first."""

    def __init__(self, *faults: int | type[Exception], most: int = 5000) -> None:
        self.faults = list(faults)
        self.most = most
        self.rows: list[dict[str, Any]] = []
        self.voided: dict[int, str] = {}
        self.batches: list[int] = []
        self.asked: list[httpx.URL] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        if self.faults:
            fault = self.faults.pop(0)
            if not isinstance(fault, int):
                raise fault("gone")
            return httpx.Response(fault, json={"error": {"code": "busy", "message": "Later.", "details": []}})
        if request.method == "GET":
            return httpx.Response(200, json=self._record(int(request.url.path.rsplit("/", 1)[1])))
        body = json.loads(request.content)
        if request.url.path.endswith("/void"):
            self.voided[int(request.url.path.split("/")[-2])] = body["reason"]
            return httpx.Response(200, json={"success": True})
        if len(body) > self.most:
            return httpx.Response(413, json={"error": {"code": "too_large", "message": "Split it.", "details": []}})
        self.batches.append(len(body))
        return httpx.Response(200, json={"results": [self._store(index, row) for index, row in enumerate(body)]})

    def _store(self, index: int, row: dict[str, Any]) -> dict[str, Any]:
        if row["model"] == "bad":
            error = {"code": "invalid_input", "message": "model: no.", "details": [{"field": "model", "message": "no"}]}
            return {"index": index, "status": "rejected", "id": None, "error": error}
        known = next((n for n, old in enumerate(self.rows, 1) if old["event_id"] == row["event_id"]), None)
        if known is None:
            self.rows.append(row)
            return {"index": index, "status": "created", "id": len(self.rows), "error": None}
        if self.rows[known - 1] == row:
            return {"index": index, "status": "duplicate", "id": known, "error": None}
        error = {"code": "conflict", "message": "other", "details": []}
        return {"index": index, "status": "rejected", "id": known, "error": error}

    def _record(self, line_id: int) -> dict[str, Any]:
        row = self.rows[line_id - 1]
        data = {"data": {**row, "total_tokens": row["tokens_in"] + row["tokens_out"]}}
        return data | ({"voided": {"reason": self.voided[line_id]}} if line_id in self.voided else {})

    def counted(self) -> list[str]:
        return [row["event_id"] for number, row in enumerate(self.rows, 1) if number not in self.voided]


def winner(name: str, tokens: int = 1, model: str = "m", instead_of: tuple[Stored, ...] = (), text: str = "") -> Winner:
    row = {"model": model, "tokens_in": tokens, "tokens_out": 0, "description": text}
    return Winner(single(name, row, "2026-11-19T10:00:00.000Z", tokens), instead_of)


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def sender(pauses: list[float]) -> Callable[[Tracker], Sender]:
    def make(tracker: Tracker) -> Sender:
        http = httpx.Client(transport=httpx.MockTransport(tracker), base_url="http://t")
        return Sender(Client(http=http), sleep=pauses.append)

    return make


def test_a_busy_tracker_is_asked_again(sender: Callable[[Tracker], Sender], pauses: list[float]) -> None:
    tracker = Tracker(429, 503, httpx.ConnectError, 504)
    made = sender(tracker)
    [[taken]] = made.send([winner("a")])
    assert (taken.ids, made.sent.created, pauses) == ((1,), 1, [1.0, 2.0, 4.0, 8.0])


def test_patience_ends(sender: Callable[[Tracker], Sender], pauses: list[float]) -> None:
    with pytest.raises(UnreachableError):
        list(sender(Tracker(*[httpx.ConnectError] * 7)).send([winner("a")]))
    assert sum(pauses) == 60
    with pytest.raises(ApiError, match="Later"):
        list(sender(Tracker(401)).send([winner("a")]))


def test_a_batch_that_is_too_large_is_halved(sender: Callable[[Tracker], Sender]) -> None:
    tracker = Tracker(most=3)
    made = sender(tracker)
    [taken] = made.send([winner(str(number)) for number in range(10)])
    assert [each.ids for each in taken] == [(number,) for number in range(1, 11)]
    assert tracker.batches == [2, 3, 2, 3]


def test_batches_have_bounds(sender: Callable[[Tracker], Sender]) -> None:
    tracker = Tracker()
    list(sender(tracker).send([winner(str(number)) for number in range(5001)]))
    assert tracker.batches == [5000, 1]
    heavy = Tracker()
    list(sender(heavy).send([winner(str(number), text="x" * (MOST_BYTES // 3)) for number in range(4)]))
    assert heavy.batches == [2, 2]


def test_what_was_made_elsewhere_is_sent_as_what_it_was(sender: Callable[[Tracker], Sender]) -> None:
    tracker = Tracker()
    units = [winner("a").unit, winner("b").unit._replace(source="event")]
    list(sender(tracker).send([Winner(unit, ()) for unit in units]))
    assert [url.params["source"] for url in tracker.asked] == ["import", "event"]


def test_the_fuller_version_counts_and_the_other_is_voided(sender: Callable[[Tracker], Sender]) -> None:
    tracker = Tracker()
    list(sender(tracker).send([winner("a", 10)]))
    made = sender(tracker)
    [[taken]] = made.send([winner("a", 25)])
    assert (taken.ids, made.sent.revised, tracker.counted()) == ((2,), 1, ["a~25"])
    assert tracker.voided == {1: "Another version of the same response is counted as record 2."}
    # Once more, and a version that is less: the chain of what replaced what leads to the right one.
    for tokens in (25, 7):
        made = sender(tracker)
        [[taken]] = made.send([winner("a", tokens)])
        assert (taken.ids, made.sent.already, tracker.counted()) == ((2,), 1, ["a~25"])
    list(sender(tracker).send([winner("a", 10)]))
    assert tracker.counted() == ["a~25"]
    [[taken]] = sender(tracker).send([winner("a", 40)])
    assert (taken.ids, tracker.counted()) == ((3,), ["a~40"])


def test_stopped_between_the_two_steps_the_next_run_finishes(sender: Callable[[Tracker], Sender]) -> None:
    tracker = Tracker()
    list(sender(tracker).send([winner("a", 10)]))
    tracker.rows.append({"event_id": "a~25", "model": "m", "tokens_in": 25, "tokens_out": 0, "recorded_at": "x"})
    [[taken]] = sender(tracker).send([winner("a", 25)])
    assert (taken.ids, tracker.counted()) == ((2,), ["a~25"])


def test_what_the_caller_chose_moves_what_is_stored_and_nothing_is_lost_on_the_way() -> None:
    tracker = Tracker()

    def send(account: str) -> list[str]:
        http = httpx.Client(transport=httpx.MockTransport(tracker), base_url="http://t")
        row = {"model": "m", "tokens_in": 5, "tokens_out": 0, "account": account}
        unit = single("a", row, "2026-11-19T10:00:00.000Z", 5)
        list(Sender(Client(http=http), moves=("account",)).send([Winner(unit, ())]))
        return [row["account"] for number, row in enumerate(tracker.rows, 1) if number not in tracker.voided]

    assert send("own") == ["own"]
    assert send("team") == send("team") == ["team"]
    assert send("other") == ["other"]
    # Its first id is taken by the line that was replaced, so it stays where it is: once, not never.
    assert send("team") == ["other"]


def test_what_a_person_voided_stays_out(sender: Callable[[Tracker], Sender]) -> None:
    tracker = Tracker()
    list(sender(tracker).send([winner("a", 10)]))
    tracker.voided[1] = "not mine"
    list(sender(tracker).send([winner("a", 25)]))
    assert tracker.counted() == []


def test_what_is_replaced_goes_once_the_new_one_is_stored(sender: Callable[[Tracker], Sender]) -> None:
    tracker = Tracker()
    list(sender(tracker).send([winner("side", 10)]))
    old = Stored(b"g", b"s", 1, 10, (1,))
    made = sender(tracker)
    list(made.send([winner("parent", 10, instead_of=(old,))]))
    assert (tracker.counted(), made.sent.voided) == (["parent"], 1)


def test_a_refused_row_does_not_stop_the_others(sender: Callable[[Tracker], Sender]) -> None:
    tracker = Tracker()
    made = sender(tracker)
    [[bad, good]] = made.send([winner("a", model="bad"), winner("b")])
    assert (bad.ids, good.ids, made.sent.rejected) == (None, (1,), 1)
    assert dict(made.sent.reasons) == {"model: no.": 1}


def test_rows_of_a_unit_come_and_go_together(sender: Callable[[Tracker], Sender]) -> None:
    rows = rows_of(
        [{"event_id": "a", "model": "m", "tokens_in": 1, "tokens_out": 0}, {"event_id": "a:1", "model": "bad"}]
    )
    unit = Unit(b"g", b"p", DIRECT, 1, "2026-11-19T10:00:00.000Z", rows, 2)
    [[taken]] = sender(Tracker()).send([Winner(unit, ())])
    assert taken.ids is None
