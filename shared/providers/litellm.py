"""Spend logs of a LiteLLM proxy: single requests to other providers, with who asked for what.

Source: `/spend/logs/v2` of the proxy (docs.litellm.ai/docs/proxy/cost_tracking, spend_management_endpoints.py). Pages
are offsets over rows in order of their start alone, which rows that come late would move, and the total stops at
10,000. So each answer is the first page of what is left, from the second on in which the one before ended.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from pydantic import PlainValidator

from shared.errors import CursorRefusedError, MalformedResponseError, ProviderError, TooLargeError
from shared.providers import litellm_rows
from shared.providers.base import Bucket, Name, Owner, Page, Row, Stream, Window
from shared.providers.http import Budget, JsonClient, Service
from shared.providers.payload import Count, Payload, check_window, instant, read
from shared.providers.spec import KeySetting, ProviderSpec, WrongKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

_SECOND = timedelta(seconds=1)
_PATH = "/spend/logs/v2"
# The most rows of a page today, of proxies before the summer of 2026, and where rows are large: they may hold prompts.
_SIZES = (1000, 100, 10)
_EVERY_PROXY_TAKES = 100
# Pages of one second: more is a proxy that goes round in circles.
_MOST_PAGES = 1000

# Rows are written some seconds after the answer, and bear the time of the request.
SPEND_LOGS = Stream("spend_logs", grain=_SECOND, lag=timedelta(minutes=5), is_feed=True)


def _start_time(value: object) -> datetime:
    # Some versions leave the offset of UTC out.
    is_bare = isinstance(value, str) and value[-1:] != "Z" and value[-6:-5] not in {"+", "-"}
    return instant(f"{value}Z" if is_bare else value)


class _Request(Payload):
    """What has to be as documented; what only counts is up to each row."""

    request_id: str
    startTime: Annotated[datetime, PlainValidator(_start_time)]  # noqa: N815 - its name on the wire
    call_type: str | None = None
    model: str | None = None
    model_group: str | None = None
    custom_llm_provider: str | None = None
    status: str | None = None
    session_id: str | None = None
    team_id: str | None = None
    agent_id: str | None = None
    user: str | None = None
    end_user: str | None = None


class _Answer(Payload):
    data: list[dict[str, Any]]
    total: Count
    page: Count
    page_size: Count
    total_pages: Count


class _SizeRefusedError(ProviderError):
    """The proxy answers smaller pages only."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where to read on: requests from `start` (UTC, whole seconds) on, by pages of `size`, of which this is `page`."""

    start: datetime
    page: int = 1
    size: int = _SIZES[0]

    @classmethod
    def of(cls, cursor: str | None, window: Window) -> _Place:
        if cursor is None:
            return cls(window.start)
        try:
            start, page, size = cursor.split(" ")
            return cls(datetime.fromisoformat(start), int(page), int(size))
        except ValueError as error:
            raise CursorRefusedError(f"{SPEND_LOGS.name} cannot go on at a place of another version.") from error

    @property
    def cursor(self) -> str:
        return f"{self.start.isoformat()} {self.page} {self.size}"

    def after(self, first: datetime, last: datetime) -> _Place:
        """Return where to go on after a page of requests from `first` to `last`; its last second begins there anew."""
        begun, ended = first.replace(microsecond=0), last.replace(microsecond=0)
        if begun < ended:
            return replace(self, start=ended, page=1)
        # One second and nothing else: only its own pages divide it.
        return replace(self, start=ended, page=self.page + 1 if ended == self.start else 2)


class LiteLLM:
    """One proxy."""

    name = "litellm"
    streams: tuple[Stream, ...] = (SPEND_LOGS,)

    def __init__(self, key: str, base_url: str, http: httpx.Client, budget: Budget) -> None:
        self._client = JsonClient(Service.bearer(SPEC, key, base_url), http, budget)
        self._host = urlsplit(base_url).netloc

    def owner(self) -> Owner:
        """Return the proxy, which has no id of its own; raises as `Provider.fetch` does.

        Two keys of one proxy give the same events, so nothing counts twice.
        """
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        self._answer(_Place(long_ago, size=1), Window(long_ago, long_ago + _SECOND))
        return Owner(None, f"the LiteLLM proxy at {self._host}")

    def names(self) -> tuple[Name, ...]:
        """Return nothing: each row has the name of its key."""
        return ()

    def fetch(self, stream: Stream, window: Window, cursor: str | None) -> Page:
        """Read one page of requests, oldest first, without their texts; see `Provider.fetch`."""
        check_window(window, stream.grain)
        place = _Place.of(cursor, window)
        place, answer = self._fitting(place, window)
        rows = tuple(self._rows(answer, window))
        has_more = len(rows) >= max(answer.page_size, 1) or answer.page < answer.total_pages
        if not has_more:
            return Page(rows, None, (window.start, window.end))
        if not rows:
            raise MalformedResponseError(f"{_source()} promises more and sends nothing.")
        then = place.after(rows[0].start, rows[-1].start)
        if then.page > _MOST_PAGES:
            raise MalformedResponseError(f"{_source()} has not ended one second after {_MOST_PAGES} pages.")
        whole = rows if then.page > 1 else tuple(row for row in rows if row.start < then.start)
        return Page(whole, then.cursor, None)

    def parse(self, _stream: Stream, _row: Row) -> Bucket:
        """Fail: requests are events."""
        raise AssertionError("a feed has no buckets")

    def event(self, _stream: Stream, row: Row) -> dict[str, Any] | None:
        """Return a request as an event, None if it failed and cost nothing; see `HasEvents.event`."""
        found = litellm_rows.event(row.raw)
        return None if found is None else {**found, "recorded_at": row.start.isoformat()}

    def _fitting(self, place: _Place, window: Window) -> tuple[_Place, _Answer]:
        """Return an answer of as many rows as the proxy gives and we take at once, and where that was read."""
        while True:
            try:
                return place, self._answer(place, window)
            except (_SizeRefusedError, TooLargeError):
                smaller = next((size for size in _SIZES if size < place.size), None)
                if smaller is None:
                    raise
                # What was read of a second by larger pages is read again.
                place = _Place(place.start, size=smaller)

    def _answer(self, place: _Place, window: Window) -> _Answer:
        def refusal(status: int, _said: str) -> type[ProviderError]:
            is_size = status == HTTPStatus.UNPROCESSABLE_ENTITY and place.size > _EVERY_PROXY_TAKES
            return _SizeRefusedError if is_size else ProviderError

        query = [
            ("start_date", f"{place.start:%Y-%m-%d %H:%M:%S}"),
            ("end_date", f"{window.end:%Y-%m-%d %H:%M:%S}"),
            ("page", str(place.page)),
            ("page_size", str(place.size)),
            ("sort_by", "startTime"),
            ("sort_order", "asc"),
        ]
        return read(_Answer, self._client.get(_PATH, query, refusal=refusal), _source())

    def _rows(self, answer: _Answer, window: Window) -> Iterator[Row]:
        last = window.start
        for number, raw in enumerate(answer.data):
            at = read(_Request, raw, _source(), f"data.{number}").startTime
            # Both ends belong to what was asked for.
            if not window.start <= at <= window.end:
                raise MalformedResponseError(f"{_source()} has a request at data.{number} outside the time asked for.")
            if at < last:
                raise MalformedResponseError(
                    f"{_source()} is not in the order that was asked for at data.{number}; is the proxy up to date?"
                )
            last = at
            yield Row(at, at, litellm_rows.kept(raw))


def _source() -> str:
    return f"{SPEC.title}'s {_PATH}"


SPEC = ProviderSpec(
    name=LiteLLM.name,
    title="LiteLLM proxy",
    make=LiteLLM,
    base_url="http://127.0.0.1:4000",
    key_settings=(KeySetting("LITELLM_API_KEY"),),
    key_needed=(
        "LiteLLM's spend logs need the proxy's master key or the key of an admin (proxy_admin_viewer is enough), and "
        "LITELLM_BASE_URL or the option base_url; other keys show their own requests only, or nothing."
    ),
    wrong_keys=(
        WrongKey("sk-ant-", "a key of Anthropic"),
        WrongKey("sk-proj-", "the key of a project of OpenAI"),
        WrongKey("sk-or-", "a key of OpenRouter"),
    ),
    has_reports=False,
)
