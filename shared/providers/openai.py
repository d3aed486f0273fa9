"""OpenAI's usage and costs for an organisation, read with an admin key.

Source: the administration reference, platform.openai.com/docs/api-reference/usage.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx

from shared.errors import CursorRefusedError, MalformedResponseError, ProviderError
from shared.providers import openai_names
from shared.providers import openai_rows as rows
from shared.providers.base import Bucket, Name, Owner, Page, Row, Stream, Window
from shared.providers.http import Budget, JsonClient, Service
from shared.providers.listing import NotListedError, missing
from shared.providers.openai_bill import COST_GROUPS, CostRow, charged
from shared.providers.openai_place import KEYS_REFUSED, KeysRefusedError, Place
from shared.providers.payload import Payload, UnixSecond, bucket_fault, check_window, read
from shared.providers.spec import KeySetting, ProviderSpec, WrongKey

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
# Bucket width by grain, and the most buckets that one page may hold. Costs accept up to 180 and answer 31.
_WIDTHS = {_HOUR: ("1h", 168), _DAY: ("1d", 31)}
_KEY = "api_key_id"
_ANY_DAY = "1764979200"
_TOKEN_REFUSALS = frozenset({httpx.codes.BAD_REQUEST, httpx.codes.NOT_FOUND, httpx.codes.GONE})


def _usage(name: str, grain: timedelta, *, may_be_absent: bool = False) -> Stream:
    return Stream(name, grain, lag=timedelta(hours=1), splits_buckets=True, may_be_absent=may_be_absent)


# What tokens price is read by the hour, what the bill prices by the day, like the bill.
_ROWS: dict[Stream, type[rows.UsageRow]] = {
    _usage("completions", _HOUR): rows.CompletionsRow,
    _usage("decisions", _HOUR, may_be_absent=True): rows.CompletionsRow,
    _usage("embeddings", _HOUR): rows.EmbeddingsRow,
    _usage("moderations", _DAY): rows.ModerationsRow,
    _usage("images", _DAY): rows.ImagesRow,
    _usage("audio_speeches", _DAY): rows.SpeechesRow,
    _usage("audio_transcriptions", _DAY): rows.TranscriptionsRow,
    _usage("vector_stores", _DAY): rows.VectorStoresRow,
    _usage("code_interpreter_sessions", _DAY): rows.CodeInterpreterRow,
    _usage("file_search_calls", _DAY): rows.FileSearchRow,
    _usage("web_search_calls", _DAY): rows.WebSearchRow,
}
COSTS = Stream("costs", grain=_DAY, lag=_DAY, is_bill=True, splits_buckets=True)


class _Interval(Payload):
    start_time: UnixSecond
    end_time: UnixSecond
    results: list[dict[str, Any]]


class _Report(Payload):
    data: list[_Interval]
    has_more: bool
    next_page: str | None = None


class OpenAI:
    """One organisation."""

    name = "openai"
    streams: tuple[Stream, ...] = (*_ROWS, COSTS)

    def __init__(self, key: str, base_url: str, http: httpx.Client, budget: Budget) -> None:
        self._client = JsonClient(Service.bearer(SPEC, key, base_url), http, budget)

    def owner(self) -> Owner:
        """Return the organisation, known by its oldest project; raises as `Provider.fetch` does.

        No call names it. Projects are archived and never deleted, so the first one stays what it is. A key may be let
        see projects and no figures, so a day of them is asked for as well.
        """
        stream = self.streams[0]
        day = [("start_time", _ANY_DAY), ("bucket_width", "1d"), ("limit", "1")]
        read(_Report, self._client.get(_path(stream), day), _source(_path(stream)))
        known = openai_names.projects(self._client, SPEC.title)
        oldest = min(known, key=lambda project: (project.created_at, project.id), default=None)
        if oldest is None:
            raise MalformedResponseError("OpenAI lists no project, and every organisation has one.")
        return Owner(oldest.id, f"the organisation of the project {oldest.name}")

    def names(self) -> tuple[Name, ...]:
        """Return every project as a workspace, and every key of each; raises as `Provider.fetch` does."""
        return openai_names.names(self._client, SPEC.title)

    def fetch(self, stream: Stream, window: Window, cursor: str | None) -> Page:
        """Read one page of a report; see `Provider.fetch`.

        Where keys cannot be told apart from the start of the window on, it is read in two parts that meet: without
        them at first, with them from the day that the provider names.
        """
        check_window(window, stream.grain)
        place = Place.read(stream, window, cursor)
        try:
            report = self._report(stream, place)
        except KeysRefusedError as refusal:
            place = place.without_keys(refusal, stream)
            report = self._report(stream, place)
        except NotListedError:
            if not stream.may_be_absent:
                raise
            return Page((), None, None)
        if report.has_more and (not report.next_page or report.next_page == place.token):
            raise MalformedResponseError(
                f"{_source(_path(stream))} promises more but its next_page is missing or was given before."
            )
        span = (
            (min(one.start_time for one in report.data), max(one.end_time for one in report.data))
            if report.data
            else None
        )
        found = tuple(self._rows(stream, place, report))
        return Page(found, place.cursor(window, report.next_page if report.has_more else None), span)

    def _report(self, stream: Stream, place: Place) -> _Report:
        path, (width, limit) = _path(stream), _WIDTHS[stream.grain]
        query = [
            ("start_time", f"{place.window.start.timestamp():.0f}"),
            ("end_time", f"{place.window.end.timestamp():.0f}"),
            ("bucket_width", width),
            ("limit", str(limit)),
            *(("group_by[]", group) for group in _asked(stream, place)),
            *([("page", place.token)] if place.token is not None else []),
        ]

        def refusal(status: int, said: str) -> type[ProviderError]:
            # The same query was accepted for the first page, so what is refused now is the token, in whatever words.
            if place.token is not None and status in _TOKEN_REFUSALS:
                return CursorRefusedError
            if place.has_keys and status == httpx.codes.BAD_REQUEST and KEYS_REFUSED.search(said):
                return KeysRefusedError
            return missing(status, said)

        return read(_Report, self._client.get(path, query, refusal=refusal), _source(path))

    def _rows(self, stream: Stream, place: Place, report: _Report) -> Iterator[Row]:
        source, asked = _source(_path(stream)), _asked(stream, place)
        seen: set[datetime] = set()
        # Buckets come in order of time, but nobody promises it.
        for number, interval in sorted(enumerate(report.data), key=lambda one: one[1].start_time):
            start, end = interval.start_time, interval.end_time
            fault = bucket_fault(start, end, place.window, stream.grain)
            if fault is None and start in seen:
                fault = "the page has it twice"
            if fault is not None:
                raise MalformedResponseError(f"{source} has a bucket at data.{number} that cannot be right: {fault}.")
            seen.add(start)
            for index, raw in enumerate(interval.results):
                row = Row(start, end, rows.asked(raw, asked, _known(stream)))
                self._check(stream, row, source, f"data.{number}.results.{index}")
                yield row

    def _check(self, stream: Stream, row: Row, source: str, at: str) -> None:
        if not stream.is_bill:
            rows.check(read(_ROWS[stream], row.raw, source, at), source, at)
        elif read(CostRow, row.raw, source, at).amount.currency.lower() != "usd":
            raise MalformedResponseError(f"{source} has a currency other than USD at {at}.amount.currency.")

    def parse(self, stream: Stream, row: Row) -> Bucket:
        """Turn a row into a bucket; see `Provider.parse`."""
        source = _source(_path(stream))
        if stream.is_bill:
            return charged(row, read(CostRow, row.raw, source))
        return rows.counted(row, read(_ROWS[stream], row.raw, source))


def _known(stream: Stream) -> tuple[str, ...]:
    return COST_GROUPS if stream.is_bill else _ROWS[stream].groups


def _asked(stream: Stream, place: Place) -> tuple[str, ...]:
    return tuple(group for group in _known(stream) if place.has_keys or group != _KEY)


def _path(stream: Stream) -> str:
    return "/organization/costs" if stream.is_bill else f"/organization/usage/{stream.name}"


def _source(path: str) -> str:
    return f"{SPEC.title}'s {path}"


SPEC = ProviderSpec(
    name=OpenAI.name,
    title="OpenAI",
    make=OpenAI,
    base_url="https://api.openai.com/v1",
    key_settings=(KeySetting("OPENAI_ADMIN_KEY"),),
    key_needed=(
        "OpenAI's usage and costs need an admin key (sk-admin-...), which an owner of the organisation creates under "
        "Settings, Organization, Admin keys; keys of projects (sk-proj-...) and of service accounts are refused."
    ),
    wrong_keys=(
        WrongKey("sk-proj-", "the key of a project"),
        WrongKey("sk-svcacct-", "the key of a service account"),
        WrongKey("sk-ant-", "a key of Anthropic"),
        WrongKey("sk-or-", "a key of OpenRouter"),
    ),
)
