"""xAI's bills: spans that one answer lists in full, the team of a key, what lines say, and what is left."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from shared.errors import CredentialError, CursorRefusedError, MalformedResponseError, ProviderError
from shared.providers.base import Balance, Owner, Window
from shared.providers.diagnosis import MISSING_PERMISSION, UNKNOWN_KEY, WRONG_KIND, diagnose
from shared.providers.x_ai import SPEC, USAGE, XAI
from tests.fixtures.providers.recording import pages, reply
from tests.fixtures.providers.wire import Time, refused
from tests.fixtures.providers.xai_fake import KEY, TEAM, FakeXAI

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = timedelta(days=1)
FIRST = datetime(2026, 9, 1, tzinfo=UTC)
WINDOW = Window(FIRST, FIRST + 75 * DAY)
BILLS = {
    date(2026, 9, 1): {"Chat grok-4-0709": "1.25", "Live search": "0.025"},
    date(2026, 9, 30): {"Chat grok-4-0709": "0.5"},
    date(2026, 11, 14): {"Chat grok-4-0709": "2"},
    date(2026, 11, 15): {"Chat grok-4-0709": "99"},
}


def xai(fake: Callable[[httpx.Request], httpx.Response], key: str = KEY, **options: str) -> XAI:
    return XAI(key, SPEC.base_url, httpx.Client(transport=httpx.MockTransport(fake)), Time().budget(), **options)


def read(provider: XAI, window: Window = WINDOW) -> dict[date, Decimal]:
    found: dict[date, Decimal] = {}
    for page in pages(provider, USAGE, window):
        for row in page.rows:
            amount = provider.parse(USAGE, row).amount
            assert amount is not None
            found[row.start.date()] = found.get(row.start.date(), Decimal(0)) + amount
    return found


ALL = {date(2026, 9, 1): Decimal("1.275"), date(2026, 9, 30): Decimal("0.5"), date(2026, 11, 14): Decimal(2)}


def spans(fake: FakeXAI) -> list[tuple[str, str]]:
    asked = [json.loads(request.content) for request in fake.requests if request.method == "POST"]
    times = [one["analyticsRequest"]["timeRange"] for one in asked]
    return [(time["startTime"][:10], time["endTime"][:10]) for time in times]


def test_spans_of_a_month_meet() -> None:
    fake = FakeXAI(BILLS)
    assert read(xai(fake)) == ALL
    assert spans(fake) == [("2026-09-01", "2026-10-02"), ("2026-10-02", "2026-11-02"), ("2026-11-02", "2026-11-15")]
    found = list(pages(xai(fake), USAGE, WINDOW))
    assert [page.listed for page in found][-1] == (datetime(2026, 11, 2, tzinfo=UTC), WINDOW.end)


def test_what_is_asked() -> None:
    fake = FakeXAI(BILLS)
    xai(fake).fetch(USAGE, Window(FIRST, FIRST + DAY), None)
    validated, asked = fake.requests
    assert (validated.method, validated.url.path) == ("GET", "/auth/management-keys/validation")
    assert str(asked.url) == f"https://management-api.x.ai/v1/billing/teams/{TEAM}/usage"
    assert json.loads(asked.content)["analyticsRequest"]["timeRange"] == {
        "startTime": "2026-09-01 00:00:00",
        "endTime": "2026-09-02 00:00:00",
        "timezone": "Etc/GMT",
    }


@pytest.mark.parametrize("most", [61, 8, 2])
def test_an_answer_that_was_cut_is_asked_again_for_less(most: int) -> None:
    fake = FakeXAI(BILLS, most=most)
    assert read(xai(fake)) == ALL
    read_in_full = [page.listed for page in pages(xai(fake), USAGE, WINDOW)]
    assert read_in_full[0] is not None
    assert [before[1] for before in read_in_full[:-1] if before] == [after[0] for after in read_in_full[1:] if after]


def test_a_day_that_is_cut_fails_loudly() -> None:
    fake = FakeXAI(BILLS, most=1)
    error = refused(ProviderError, lambda: xai(fake).fetch(USAGE, WINDOW, None))
    assert "2026-09-01 short" in str(error)
    assert spans(fake)[-1] == ("2026-09-01", "2026-09-02")


@pytest.mark.parametrize("fake", [FakeXAI(BILLS, lists_end=True), FakeXAI(BILLS, as_text=True)])
def test_ends_and_amounts_in_either_form(fake: FakeXAI) -> None:
    assert read(xai(fake)) == ALL


def test_days_without_money_are_nothing_and_were_read() -> None:
    page = xai(FakeXAI(BILLS)).fetch(USAGE, Window(FIRST + DAY, FIRST + 5 * DAY), None)
    assert (page.rows, page.next_cursor, page.listed) == ((), None, (FIRST + DAY, FIRST + 5 * DAY))


@pytest.mark.parametrize(
    ("points", "says"),
    [
        (["2026-09-01T00:00:00Z"] * 2, "the series has it twice"),
        (["2026-09-01T12:00:00Z"], "not one whole interval"),
        (["2026-08-31T00:00:00Z"], "outside the window"),
        (["2026-11-17T00:00:00Z"], "outside the window"),
    ],
)
def test_days_that_cannot_be_right(points: list[str], says: str) -> None:
    found = [{"timestamp": point, "values": [1]} for point in points]
    provider = _answering({"timeSeries": [{"group": ["Chat grok-4"], "dataPoints": found}]})
    error = refused(MalformedResponseError, lambda: provider.fetch(USAGE, WINDOW, None))
    assert f"timeSeries.0.dataPoints.{len(points) - 1} that cannot be right: " in str(error)
    assert says in str(error)


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({"limitReached": False}, "timeSeries"),
        ({"timeSeries": None}, "timeSeries"),
        ({"timeSeries": [], "limitReached": "no"}, "limitReached"),
        ({"timeSeries": [{"group": [], "dataPoints": []}]}, "timeSeries.0.group"),
        ({"timeSeries": [{"group": ["a", "b"], "dataPoints": []}]}, "timeSeries.0.group"),
        ({"timeSeries": [{"group": ["a"]}]}, "timeSeries.0.dataPoints"),
    ],
)
def test_what_is_no_report(body: object, at: str) -> None:
    error = refused(MalformedResponseError, lambda: _answering(body).fetch(USAGE, WINDOW, None))
    assert f"at {at}" in str(error)


@pytest.mark.parametrize("cursor", ["2026-09-01", "2026-11-15", "next", ""])
def test_a_day_that_is_not_in_the_window_is_no_cursor(cursor: str) -> None:
    refused(CursorRefusedError, lambda: xai(FakeXAI(BILLS)).fetch(USAGE, WINDOW, cursor))


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("Chat grok-4", "grok-4"),
        ("API grok-4.3", "grok-4.3"),
        ("Image Grok-imagine-image-2.0, batch", "grok-imagine-image-2.0"),
        ("grok-4-1-fast-non-reasoning", "grok-4-1-fast-non-reasoning"),
        ("Live search", "Live search"),
        ("Grok", "Grok"),
        ("", None),
    ],
)
def test_the_model_is_in_the_text(text: str, model: str | None) -> None:
    provider = xai(FakeXAI({FIRST.date(): {text: "0.1"}}))
    bucket = provider.parse(USAGE, provider.fetch(USAGE, WINDOW, None).rows[0])
    assert (bucket.model, bucket.description, bucket.dimensions) == (model, text, {"description": text})


def test_the_team_is_the_keys_or_the_options() -> None:
    fake = FakeXAI(BILLS)
    assert xai(fake).owner() == Owner(TEAM, f"the team {TEAM}")
    organisations = FakeXAI(BILLS, is_organisations=True)
    assert xai(organisations, team=TEAM).owner().id == TEAM
    assert len(organisations.requests) == 1
    error = refused(CredentialError, xai(organisations).owner)
    assert "name one in the option team" in str(error)
    old = xai(lambda request: reply({"teamId": TEAM}) if request.method == "GET" else fake(request))
    assert old.owner().id == TEAM
    assert xai(fake).names() == ()


@pytest.mark.parametrize(
    ("fake", "options", "key", "code", "says"),
    [
        (FakeXAI(BILLS), {}, "xai-of-a-model", UNKNOWN_KEY, "does not know this key (Invalid management key)"),
        (FakeXAI(BILLS), {}, "sk-ant-api03-x", WRONG_KIND, "This is a key of Anthropic"),
        (FakeXAI(BILLS, may_read=False), {}, KEY, MISSING_PERMISSION, "(The key lacks BillingRead)"),
        (FakeXAI(BILLS), {"team": "another"}, KEY, MISSING_PERMISSION, "no bill of the team another to this key (404)"),
    ],
)
def test_what_is_wrong_with_a_key(fake: FakeXAI, options: dict[str, str], key: str, code: str, says: str) -> None:
    found = diagnose(SPEC, key, refused(CredentialError, xai(fake, key, **options).owner))
    assert found.code == code
    assert says in found.message
    assert "management key" in f"{found.message} {found.advice}"


@pytest.mark.parametrize(("cents", "left"), [("-1250", "12.5"), ("2500", "-25"), ("0", "0"), ("-0", "0")])
def test_cents_below_zero_are_credit(cents: str, left: str) -> None:
    [found] = xai(FakeXAI(BILLS, prepaid_cents=cents)).balances()
    assert found == Balance("USD", Decimal(left), "prepaid credit, as posted")
    assert not found.available.is_signed() or found.available < 0


def _answering(body: Any) -> XAI:  # noqa: ANN401 - recorded JSON
    return xai(lambda _: reply(body), team=TEAM)
