"""What a team of xAI is billed, by day and line of the bill, and its prepaid credit; read with a management key.

Source: "Billing Management" in the REST reference, docs.x.ai/developers/rest-api-reference/management/billing.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import httpx
from pydantic import ConfigDict, Field, PlainValidator
from pydantic.alias_generators import to_camel

from shared.errors import CredentialError, MalformedResponseError, ProviderError
from shared.providers.base import Balance, Bucket, Name, Owner, Page, Row, Stream, Window
from shared.providers.http import Budget, JsonClient, Service
from shared.providers.payload import (
    Instant,
    Payload,
    Text,
    Usd,
    bucket_fault,
    check_window,
    read,
    resumed,
    usd_from_cents,
)
from shared.providers.spec import KeySetting, Option, ProviderSpec, WrongKey

if TYPE_CHECKING:
    from collections.abc import Iterator

USAGE = Stream("usage", grain=timedelta(days=1), lag=timedelta(days=1))

# An answer lists so many combinations at most, and nobody says how many: one of a month rarely meets that.
_MOST_DAYS = 31
_TEAM = "SCOPE_TEAM"
# `Chat grok-4-0709`; what else is billed, such as `Live search`, names no model.
_MODEL = re.compile(r"\bgrok(?:-\w+(?:\.\d+)*)+", re.IGNORECASE)


class _MissingError(ProviderError):
    """There is no such team, or not for this key."""


class _Wire(Payload):
    model_config = ConfigDict(alias_generator=to_camel)


class _Key(_Wire):
    """`team_id` is older than scopes."""

    scope: Text | None = None
    scope_id: Text | None = None
    team_id: Text | None = None

    @property
    def team(self) -> str | None:
        """The team that the key is of; None for a key of an organisation."""
        return (self.scope_id if self.scope == _TEAM else None) or self.team_id


class _Point(_Wire):
    timestamp: Instant
    values: Annotated[list[Usd], Field(min_length=1, max_length=1)]


class _Series(_Wire):
    group: Annotated[list[Text], Field(min_length=1, max_length=1)]
    data_points: list[_Point]


class _Report(_Wire):
    time_series: list[dict[str, Any]]
    limit_reached: bool = False


def _credit(value: object) -> Decimal:
    """Return USD of cents as text, in which what is left is below zero."""
    return -usd_from_cents(value)


_Credit = Annotated[Decimal, PlainValidator(_credit)]


class _Cents(_Wire):
    val: _Credit


class _Prepaid(_Wire):
    total: _Cents


class XAI:
    """One team. Its key may be of an organisation, then `team` says which."""

    name = "x-ai"
    streams: tuple[Stream, ...] = (USAGE,)

    def __init__(self, key: str, base_url: str, http: httpx.Client, budget: Budget, team: str | None = None) -> None:
        self._client = JsonClient(Service.bearer(SPEC, key, base_url), http, budget)
        self._now = budget.now
        self._known_team = team

    def owner(self) -> Owner:
        """Return the team; raises as `Provider.fetch` does.

        A key may be known and yet not read bills, so today's is asked for as well.
        """
        team, today = self._team(), self._now().replace(hour=0, minute=0, second=0, microsecond=0)
        self._report(Window(today, today + USAGE.grain))
        return Owner(team, f"the team {team}")

    def names(self) -> tuple[Name, ...]:
        """Return nothing: bills know neither keys nor workspaces."""
        return ()

    def balances(self) -> tuple[Balance, ...]:
        """Return the prepaid credit as posted: what a month uses is taken out of it when the month is over."""
        found = read(_Prepaid, self._bill("prepaid/balance"), _source("prepaid/balance"))
        return (Balance("USD", found.total.val, "prepaid credit, as posted"),)

    def fetch(self, stream: Stream, window: Window, cursor: str | None) -> Page:
        """Read as many days as one answer lists in full; see `Provider.fetch`.

        Raises:
            ProviderError: also where a single day is cut short, of which nobody could say what is missing.
        """
        check_window(window, stream.grain)
        start = resumed(window, cursor, SPEC.title)
        days = min(_MOST_DAYS, (window.end - start) // stream.grain)
        while True:
            part = Window(start, start + days * stream.grain)
            report = self._report(part)
            if not report.limit_reached:
                break
            if days == 1:
                raise ProviderError(
                    f"xAI cuts its usage of {start:%Y-%m-%d} short, because it has more lines than one answer lists; "
                    "nothing was stored, since nobody can tell what is missing; console.x.ai, Usage has the whole."
                )
            days //= 2
        rows = sorted(self._rows(report, part, stream.grain), key=lambda row: row.start)
        return Page(tuple(rows), None if part.end == window.end else f"{part.end:%Y-%m-%d}", (part.start, part.end))

    def _rows(self, report: _Report, part: Window, grain: timedelta) -> Iterator[Row]:
        source = _source(USAGE.name)
        for number, raw in enumerate(report.time_series):
            series = read(_Series, raw, source, f"timeSeries.{number}")
            seen: set[datetime] = set()
            for index, point in enumerate(series.data_points):
                day = point.timestamp
                fault = bucket_fault(day, day + grain, part, grain)
                if day in seen:
                    fault = "the series has it twice"
                # Nobody says whether the end is part of the span; the day that begins there is read on its own.
                if fault is not None and day != part.end:
                    at = f"timeSeries.{number}.dataPoints.{index}"
                    raise MalformedResponseError(f"{source} has a day at {at} that cannot be right: {fault}.")
                seen.add(day)
                # A series has a point for every day; one without money says nothing.
                if fault is None and point.values[0]:
                    yield Row(day, day + grain, {"group": raw["group"], **raw["dataPoints"][index]})

    def parse(self, stream: Stream, row: Row) -> Bucket:
        """Turn a row into a bucket; see `Provider.parse`."""
        source = _source(stream.name)
        point = read(_Point, row.raw, source)
        [text] = read(_Series, {"group": row.raw["group"], "dataPoints": []}, source).group
        named = _MODEL.search(text)
        return Bucket(
            row.start,
            row.end,
            {"description": text},
            model=named[0].lower() if named else text or None,
            amount=point.values[0],
            description=text,
        )

    def _report(self, span: Window) -> _Report:
        asked = {
            "analyticsRequest": {
                "timeRange": {
                    "startTime": f"{span.start:%Y-%m-%d %H:%M:%S}",
                    "endTime": f"{span.end:%Y-%m-%d %H:%M:%S}",
                    "timezone": "Etc/GMT",
                },
                "timeUnit": "TIME_UNIT_DAY",
                "values": [{"name": "usd", "aggregation": "AGGREGATION_SUM"}],
                "groupBy": ["description"],
                "filters": [],
            }
        }
        return read(_Report, self._bill("usage", asked), _source(USAGE.name))

    def _bill(self, what: str, question: object = None) -> object:
        """Return what is on the team's bill; a question goes along in the body."""
        team = self._team()
        path = f"/v1/billing/teams/{quote(team, safe='')}/{what}"
        try:
            if question is None:
                return self._client.get(path, refusal=_refusal)
            return self._client.post(path, question, refusal=_refusal)
        except _MissingError as error:
            raise CredentialError(
                f"xAI shows no bill of the team {team} to this key (404): the key is another team's, or the option "
                f"team names none. {SPEC.key_needed}",
                httpx.codes.NOT_FOUND,
            ) from error

    def _team(self) -> str:
        if self._known_team is None:
            path = "/auth/management-keys/validation"
            self._known_team = read(_Key, self._client.get(path), _source(path)).team
        if self._known_team is None:
            raise CredentialError(
                "This key of xAI is an organisation's, which may have several teams; name one in the option team, by "
                "the id that the address of its console has."
            )
        return self._known_team


def _refusal(status: int, _said: str) -> type[ProviderError]:
    return _MissingError if status == httpx.codes.NOT_FOUND else ProviderError


def _source(what: str) -> str:
    return f"{SPEC.title}'s {what}"


SPEC = ProviderSpec(
    name=XAI.name,
    title="xAI",
    make=XAI,
    base_url="https://management-api.x.ai",
    key_settings=(KeySetting("XAI_MANAGEMENT_KEY"),),
    key_needed=(
        "xAI's bills need a management key that may read billing, which an admin of the team makes at console.x.ai "
        "under Settings, Management Keys; the API keys that models are called with are refused."
    ),
    wrong_keys=(
        WrongKey("sk-ant-", "a key of Anthropic"),
        WrongKey("sk-or-", "a key of OpenRouter"),
        WrongKey("sk-", "a key of OpenAI"),
        WrongKey("gsk_", "a key of Groq"),
    ),
    options=(Option("team", "The id of the team, where the key is an organisation's; a team's key knows its own."),),
    posts_late=True,
)
