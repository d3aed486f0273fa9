"""OpenRouter's activity: every key's rows, and exactly what the account has beyond them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core import jsontext
from shared.core.money import total
from shared.core.usage import Usage
from shared.errors import MalformedResponseError, ProviderError
from shared.providers.base import Window
from shared.providers.openrouter import ACTIVITY
from tests.fixtures.providers.openrouter_answers import DAY, DAYS, Answers, Json, buckets, fetched, row
from tests.fixtures.providers.wire import refused

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

ONE = timedelta(days=1)
COUNTS = ("requests", "prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens")


def counts(*numbers: int, usage: object = 0, **changes: object) -> Json:
    return row(**dict(zip(COUNTS, numbers, strict=True)), usage=usage, **changes)


def test_every_key_is_asked_for_and_the_account_last() -> None:
    answers = Answers([], {"a": [], "b": []})
    assert fetched(answers).listed == (DAYS.start, DAYS.end)
    listed = "/keys?include_disabled=true&include_expired=true"
    assert answers.asked == [
        "/workspaces",
        listed,
        f"{listed}&offset=2",
        "/activity?group_by=workspace&api_key_hash=a",
        "/activity?group_by=workspace&api_key_hash=b",
        "/activity?group_by=workspace",
    ]


def test_one_day_is_asked_for_by_its_date() -> None:
    answers = Answers([], {"a": []})
    fetched(answers, Window(DAY, DAY + ONE))
    assert answers.asked[-2:] == [
        "/activity?group_by=workspace&date=2026-03-01&api_key_hash=a",
        "/activity?group_by=workspace&date=2026-03-01",
    ]


def test_days_outside_the_window_are_left_out_as_there_is_no_range_to_ask_for() -> None:
    days = [row(date=date, requests=1) for date in ("2026-02-28", "2026-03-01", "2026-03-02 00:00:00", "2026-03-03")]
    assert [one.start for one in buckets(days)] == [DAY, DAY + ONE]


@pytest.mark.parametrize("date", ["2026-03-01T00:00:00Z", "2026-03-01 12:00:00", "1 March 2026", "", None, 20260301])
def test_a_date_that_is_none_is_refused(date: object) -> None:
    error = refused(MalformedResponseError, lambda: buckets([row(date=date)]))
    assert "data.0.date" in str(error)


def test_rows_come_oldest_first() -> None:
    found = buckets([row(date="2026-03-02", requests=1), row(requests=1)], {"a": [row(date="2026-03-02", requests=1)]})
    assert [one.start for one in found] == [DAY, DAY + ONE]


def test_what_no_key_explains_is_a_row_without_a_key() -> None:
    whole = counts(9, 100, 50, 20, 30, usage=Decimal("0.5"))
    key = counts(4, 60, 10, 5, 30, usage=Decimal("0.2"))
    mine, rest = buckets([whole], {"a": [key]})
    assert (mine.key_id, mine.amount) == ("a", Decimal("0.2"))
    assert (rest.key_id, rest.amount) == (None, Decimal("0.3"))
    assert rest.usage == Usage(input=40, output=40, reasoning=15, requests=5)
    assert {**mine.dimensions, "api_key_id": None} == rest.dimensions


def test_what_keys_explain_leaves_nothing() -> None:
    whole = counts(2, 5, 5, 0, 0, usage=Decimal("0.2"))
    half = counts(1, 2, 3, 0, 0, usage=Decimal("0.1"))
    other = counts(1, 3, 2, 0, 0, usage=Decimal("0.1"))
    assert [one.key_id for one in buckets([whole], {"a": [half], "b": [other]})] == ["a", "b"]


def test_the_usage_of_a_key_that_was_just_deleted_has_no_key() -> None:
    (found,) = buckets([counts(3, 5, 5, 0, 0, usage=Decimal("0.3"))], {"gone": None})
    assert (found.key_id, found.amount, found.usage.requests) == (None, Decimal("0.3"), 3)


def test_an_account_without_activity_is_refused_where_a_key_is_not() -> None:
    answers = Answers([], {"a": []})
    answers.whole = None  # type: ignore[assignment] # not there
    with pytest.raises(ProviderError, match="404"):
        fetched(answers)


def test_endpoints_models_and_workspaces_are_told_apart() -> None:
    rows = [
        row(requests=1, **changes)
        for changes in ({}, {"endpoint_id": "e"}, {"model": "m"}, {"workspace_id": "w"}, {"provider_name": "p"})
    ]
    found = buckets(rows, {"a": rows[1:2]})
    assert len(found) == 5
    assert [one.dimensions["endpoint_id"] for one in found if one.key_id] == ["e"]


def test_what_binary_fractions_lose_goes_to_the_dearest_key() -> None:
    whole, small, large = (Decimal(one) for one in ("0.30000000000000004", "0.1", "0.2"))
    keys = {"a": [counts(1, 0, 0, 0, 0, usage=small)], "b": [counts(1, 0, 0, 0, 0, usage=large)]}
    found = buckets([counts(2, 0, 0, 0, 0, usage=whole)], {**keys})
    assert {one.key_id: one.amount for one in found} == {"a": small, "b": Decimal("0.20000000000000004")}


def test_keys_that_say_more_than_the_account_leave_no_count_below_zero() -> None:
    whole, key = counts(2, 10, 5, 0, 0, usage=Decimal("0.1")), counts(3, 12, 4, 0, 0, usage=Decimal("0.4"))
    mine, rest = buckets([whole], {"a": [key]})
    assert (mine.amount, mine.usage.requests) == (Decimal("0.4"), 3)
    assert (rest.amount, rest.usage) == (Decimal("-0.3"), Usage(output=1))


def test_replayed_answers_are_cached_beyond_the_prompt() -> None:
    (found,) = buckets([counts(6, 700, 350, 0, 1600)])
    assert found.usage == Usage(output=350, cache_read=1600, requests=6)


def test_reasoning_is_part_of_the_output() -> None:
    (found,) = buckets([counts(1, 0, 10, 25, 0)])
    assert (found.usage.output, found.usage.reasoning) == (10, 10)


def test_what_the_upstream_provider_bills_is_told_and_no_money_of_ours() -> None:
    (found,) = buckets([row(requests=2, usage=Decimal("0.0021"), byok_usage_inference=Decimal("0.042"))])
    assert found.amount == Decimal("0.0021")
    assert found.description == "0.042 USD more billed by OpenAI for one's own key (BYOK), not counted"
    whole, key = row(requests=3, byok_usage_inference=Decimal("0.5")), row(requests=1, byok_usage_inference=2)
    mine, rest = buckets([whole], {"a": [key]})
    assert mine.amount == rest.amount == Decimal(0)
    assert (str(mine.description)[:5], rest.description) == ("2 USD", None)


def test_a_row_of_an_older_version_has_fewer_fields() -> None:
    old = row(requests=1, prompt_tokens=5)
    for name in ("workspace_id", "cached_tokens", "byok_usage_inference", "provider_name", "endpoint_id"):
        del old[name]
    (found,) = buckets([old])
    assert (found.usage.input, found.workspace_id, found.description) == (5, None, None)


def test_nobody_is_named_in_what_is_kept() -> None:
    said = {"user_id": "user_2x", "user_email": "mira@example.com", "creator": {"name": "Mira"}}
    page = fetched(Answers([row(requests=2, **said)], {"a": [row(requests=1, **said)]}))
    kept = jsontext.dumps([one.raw for one in page.rows])
    assert len(page.rows) == 2
    assert not any(word in kept for word in ("user_", "mira", "Mira"))


def test_the_oldest_day_is_not_taken_for_empty_once_it_cannot_be_read_any_more() -> None:
    month = Window(DAY, DAY + 30 * ONE)
    newest = [row(date="2026-03-30", requests=1)]
    assert fetched(Answers(newest), month).listed == (DAY, month.end)
    newest = [row(date="2026-03-31", requests=1)]  # a day later
    assert fetched(Answers(newest), month).listed == (DAY + ONE, month.end)
    keys: dict[str, list[Json] | None] = {"read before midnight": [row(requests=1), *newest]}
    page = fetched(Answers(newest, keys), Window(DAY, month.end + ONE))
    assert ([one.start for one in page.rows], page.listed) == ([month.end], (DAY + ONE, month.end + ONE))
    assert fetched(Answers([row(date="2026-07-31", requests=1)]), month).listed == (month.end, month.end)


OLD, LATER = row(requests=1), row(date="2026-03-15", requests=1)  # on the last day nothing was used


@pytest.mark.parametrize(
    ("asked", "key", "whole", "since"),
    [
        (5, [OLD, LATER], [OLD, LATER], DAY),
        (4, [OLD, LATER], [LATER], DAY + ONE),
        (3, [LATER], [LATER], DAY + ONE),
        (0, [LATER], [LATER], DAY + ONE),
    ],
    ids=["after all answers", "before the account's", "before the key's", "before all"],
)
def test_midnight_takes_the_oldest_day_from_the_whole_window(
    asked: int, key: list[Json], whole: list[Json], since: datetime
) -> None:
    month = Window(DAY, DAY + 30 * ONE)
    answers = Answers(whole, {"a": [*key]})
    answers.now = lambda: month.end + (ONE if len(answers.asked) > asked else timedelta(hours=23, minutes=59))
    page = fetched(answers, month)
    assert len(answers.asked) == 5
    assert page.listed == (since, month.end)
    assert [one.start for one in page.rows] == [DAY, DAY + 14 * ONE][since > DAY :]


def test_days_that_are_not_told_any_more_are_not_asked_for() -> None:
    answers = Answers([])
    answers.now = lambda: DAY + 31 * ONE
    page = fetched(answers, Window(DAY, DAY + ONE))
    assert (page.rows, page.listed, answers.asked) == ((), (DAY + ONE, DAY + ONE), [])


def test_there_is_one_page() -> None:
    with pytest.raises(ValueError, match="one page"):
        Answers([]).connect().fetch(ACTIVITY, DAYS, "next")


# Five counts, and USD as text, which no float shortens on its way.
parts = st.tuples(*[st.integers(0, 10**6)] * 5, st.decimals(0, 10**6, places=12).map("{:f}".format))
Part = tuple[int, int, int, int, int, str]
NOTHING: Part = (0, 0, 0, 0, 0, "0")


def rows(some: list[Part]) -> list[Json]:
    return [counts(*one[:5], usage=one[5]) for one in some]


def added(some: Iterable[Part]) -> Part:
    some = [NOTHING, *some]
    one, two, three, four, five = (sum(numbers) for numbers in zip(*(part[:5] for part in some), strict=True))
    return one, two, three, four, five, f"{total(Decimal(part[5]) for part in some):f}"


@given(st.lists(st.lists(parts, max_size=3), max_size=3), st.lists(parts, max_size=3))
def test_rows_add_up_to_the_account_whatever_keys_explain(keys: list[list[Part]], unlisted: list[Part]) -> None:
    whole = added([*chain(*keys), *unlisted])
    found = buckets(rows([whole]), {str(name): rows(one) for name, one in enumerate(keys)})
    assert total(one.amount for one in found if one.amount is not None) == Decimal(whole[5])
    assert sum(one.usage.requests for one in found) == whole[0]
    assert sum(one.usage.output for one in found) == whole[2]
    assert sum(one.usage.cache_read for one in found) == whole[4]
