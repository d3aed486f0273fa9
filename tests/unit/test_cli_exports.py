"""Joining the parts of an export: whatever the pieces are cut like, the file is what one answer would have been."""

from __future__ import annotations

import os
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cost_tracker.client import ApiError, Client, UnreachableError
from cost_tracker.exports import FORMATS, ExportError, Span, spans, written
from infra.demo.server import Answer, LoopbackServer, Request

if TYPE_CHECKING:
    from pathlib import Path

Rows = list[str]
ROWS = st.lists(st.sampled_from(['{"a":1}', '{"b":"\\n]\\n"}', "7"]), max_size=4)


def as_csv(rows: Rows) -> bytes:
    return "".join(f"{row}\r\n" for row in ("id,text", *rows)).encode()


def as_json(rows: Rows) -> bytes:
    lines = ",\n".join(rows)
    return f"[\n{lines}\n]\n".encode() if rows else b"[\n]\n"


def as_lines(rows: Rows) -> bytes:
    return "".join(f"{row}\n" for row in rows).encode()


WRITERS = {"csv": as_csv, "json": as_json, "jsonl": as_lines}


@given(st.sampled_from(list(WRITERS)), st.lists(ROWS, max_size=4), st.integers(1, 9))
def test_joined_parts_are_one_answer(name: str, parts: list[Rows], size: int) -> None:
    answers = [WRITERS[name](rows) for rows in parts]
    pieces = [[answer[at : at + size] for at in range(0, len(answer), size)] for answer in answers]
    rows = [row for part in parts for row in part]
    assert b"".join(FORMATS[name].join(pieces)) == (WRITERS[name](rows) if rows else b"")


def a_client(*weeks: str) -> Client:
    def respond(request: httpx.Request) -> httpx.Response:
        assert request.url.params["group_by"] == "week"
        return httpx.Response(200, json={"data": [{"period": week} for week in weeks]})

    return Client(http=httpx.Client(transport=httpx.MockTransport(respond), base_url="http://tracker"))


def day(text: str) -> date:
    return date.fromisoformat(text)


def test_the_span_is_cut_where_weeks_begin_and_has_no_gap() -> None:
    weeks = ("2026-11-16", "2026-11-09", "2026-08-03")
    assert spans(a_client(*weeks), Span(None, None), {}) == [
        Span(day("2026-11-16"), None),
        Span(day("2026-11-09"), day("2026-11-15")),
        Span(day("2026-08-03"), day("2026-11-08")),
        Span(None, day("2026-08-02")),
    ]
    # A week that began before the first day does not widen the span.
    asked = Span(day("2026-11-11"), day("2026-11-20"))
    assert spans(a_client("2026-11-16", "2026-11-09"), asked, {}) == [
        Span(day("2026-11-16"), day("2026-11-20")),
        Span(day("2026-11-11"), day("2026-11-15")),
    ]
    assert spans(a_client(), Span(None, None), {}) == [Span(None, None)]


def test_many_weeks_are_few_requests() -> None:
    weeks = [date.fromordinal(day("2026-11-16").toordinal() - 7 * number).isoformat() for number in range(200)]
    cut = spans(a_client(*weeks), Span(None, None), {})
    assert len(cut) == 41
    assert all(
        later.start and earlier.end and (later.start - earlier.end).days == 1 for later, earlier in pairwise(cut)
    )


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "usage.csv"
    with written(path) as file:
        file.write(b"one")
        assert not path.exists()
    with pytest.raises(KeyboardInterrupt):
        _interrupted(path)
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"one", [path])
    link = tmp_path / "link.csv"
    link.symlink_to(path)
    with written(link) as file:
        file.write(b"two")
    assert (path.read_bytes(), link.is_symlink()) == (b"two", True)
    with pytest.raises(ExportError, match="choose another file"), written(tmp_path / "no" / "x.csv"):
        pass


def _interrupted(path: Path) -> None:
    with written(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt


def test_a_device_is_written_and_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with written(pipe) as file:
        file.write(b"through")
    assert (os.read(reader, 100), pipe.is_fifo()) == (b"through", True)
    os.close(reader)


def test_a_file_elsewhere_is_fetched_without_our_key() -> None:
    seen: list[str] = []

    def elsewhere(request: Request) -> Answer:
        seen.append(request.headers.get("x-api-key", "none"))
        return Answer(200, {"line": 1})

    with LoopbackServer(elsewhere, lambda _: {}) as bucket:
        refer = httpx.MockTransport(
            lambda _: httpx.Response(303, headers={"location": f"{bucket.url}/file?signature=1"})
        )
        http = httpx.Client(transport=refer, base_url="https://tracker", headers={"X-API-Key": "ours"})
        assert b'"line"' in b"".join(Client(http=http).download("/api/usage/export"))
    assert seen == ["none"]


def test_a_download_that_fails_is_a_sentence() -> None:
    def client(respond: httpx.Response | Exception) -> Client:
        def answer(_: httpx.Request) -> httpx.Response:
            if isinstance(respond, Exception):
                raise respond
            return respond

        return Client(http=httpx.Client(transport=httpx.MockTransport(answer), base_url="http://tracker"))

    refusal = httpx.Response(400, json={"error": {"code": "invalid_input", "message": "Mend it."}})
    with pytest.raises(ApiError, match="Mend it"):
        list(client(refusal).download("/x"))
    with pytest.raises(UnreachableError):
        list(client(httpx.ReadTimeout("slow")).download("/x"))
