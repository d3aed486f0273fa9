"""How every provider of the registry reads on from page to page, checked against its recording."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest

from shared.errors import MalformedResponseError
from shared.providers.base import Window
from tests.fixtures.providers.recording import Recording, pages, planted, reply, scripted
from tests.fixtures.providers.registered import SPLITTING, each_paged_stream, each_stream, last_page, one_page
from tests.fixtures.providers.wire import Time, refused

if TYPE_CHECKING:
    from shared.providers.base import Provider


@each_stream
def test_an_empty_interval_was_read_and_an_empty_answer_was_not(name: str, stream: str) -> None:
    recording = Recording(name)
    *rows, _ = recording.load("contract.json")["streams"][stream]["row"]
    body = planted(recording.first_page(stream), rows, [])
    if recording.notes(stream).get("unlisted"):
        refused(MalformedResponseError, lambda: one_page(name, stream, [reply(body)]))
        return
    if len(rows) == 1:  # rows that are in no interval: what was read is known at the end
        assert last_page(name, stream, body | recording.last(stream)).listed is not None
    else:
        assert one_page(name, stream, [reply(body)]).listed is not None
    if len(rows) == 1:
        return
    body = planted(body, rows[:1], []) | recording.last(stream)
    page = one_page(name, stream, [reply(body)])
    assert (page.rows, page.next_cursor, page.listed) == ((), None, None)


@pytest.mark.parametrize(("name", "stream"), SPLITTING)
def test_an_interval_may_go_on_in_the_next_page(name: str, stream: str) -> None:
    recording = Recording(name)
    body = recording.first_page(stream)
    *rows, _ = recording.load("contract.json")["streams"][stream]["row"]
    found = body
    for step in rows:
        found = found[step]
    one = planted(body, rows, found[:1])
    two = one | recording.last(stream)
    transport, _ = scripted(reply(one), reply(two))
    provider = recording.connect(transport, Time().budget())
    which, window, _ = recording.stream(provider, stream)
    first, second = (provider.parse(which, page.rows[0]) for page in islice(pages(provider, which, window), 2))
    assert first == second


@each_paged_stream
@pytest.mark.parametrize("token", [None, ""])
def test_more_without_a_token_is_refused(name: str, stream: str, token: str | None) -> None:
    recording = Recording(name)
    body = {
        **recording.first_page(stream),
        recording.paging(stream)["more"]: True,
        recording.paging(stream)["next"]: token,
    }
    refused(MalformedResponseError, lambda: one_page(name, stream, [reply(body)]))
    del body[recording.paging(stream)["next"]]
    refused(MalformedResponseError, lambda: one_page(name, stream, [reply(body)]))


@each_paged_stream
def test_a_repeated_cursor_is_refused(name: str, stream: str) -> None:
    recording = Recording(name)
    body = recording.first_page(stream)
    transport, requests = scripted(reply(body))
    provider = recording.connect(transport, Time().budget())
    cursor = body[recording.paging(stream)["next"]]
    refused(MalformedResponseError, lambda: provider.fetch(*recording.stream(provider, stream)[:2], cursor))
    assert requests[0].url.params[recording.paging(stream)["parameter"]] == cursor


@each_paged_stream
def test_the_last_page_ends_the_chain_whatever_its_token(name: str, stream: str) -> None:
    recording = Recording(name)
    body = {
        **recording.first_page(stream),
        recording.paging(stream)["more"]: False,
        recording.paging(stream)["next"]: "leftover",
    }
    assert last_page(name, stream, body).next_cursor is None


@each_stream
def test_rows_outside_the_window_are_refused(name: str, stream: str) -> None:
    recording = Recording(name)
    transport, _ = scripted(*map(reply, (*recording.before(stream), recording.first_page(stream))))
    provider: Provider = recording.connect(transport, Time().budget())
    which, window, _ = recording.stream(provider, stream)
    later = Window(window.start + which.grain, max(window.end, window.start + 2 * which.grain))
    refused(MalformedResponseError, lambda: provider.fetch(which, later, None))
