"""The arithmetic of balance lines: exact in sum, whole in counts, and the same whatever the order of buckets."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.attribution import CLASSES, COUNTERS, Logged, Polled, Share, balance, candidates
from shared.core.money import CONTEXT, scale, total

DAY = datetime(2026, 11, 19, tzinfo=UTC)
HOUR = timedelta(hours=1)
SLOT = DAY + 14 * HOUR + timedelta(minutes=45)


def bucket(key: str, cost: str | None = "1", tokens: int = 10, hour: int = 14) -> Polled:
    start = DAY + hour * HOUR
    return Polled(start, start + HOUR, key, None if cost is None else Decimal(cost), tokens, {})


def logged(tokens: int = 10, cost: str | None = "0.3", requests: int = 1) -> Logged:
    counts = [tokens if name == "input_tokens" else requests if name == "requests" else 0 for name in COUNTERS]
    money = Decimal(cost or 0)
    return Logged(
        counts,
        [money if name == "input_cost" else Decimal(0) for name in CLASSES],
        None if cost is None else Decimal(cost),
    )


def seen(shares: list[Share]) -> list[tuple[str | None, int, int, str | None]]:
    """(key, input tokens, requests, cost) of each line."""
    return [
        (
            None if share.bucket is None else share.bucket.key,
            share.counts[COUNTERS.index("input_tokens")],
            share.counts[COUNTERS.index("requests")],
            None if share.cost is None else f"{share.cost:f}",
        )
        for share in shares
    ]


def test_shares_follow_the_cost_and_the_last_key_takes_the_remainder() -> None:
    three = [bucket("c"), bucket("a"), bucket("b")]
    assert seen(balance(SLOT, three, [logged(tokens=10, cost="1", requests=1)])) == [
        ("a", -4, -1, "-0.333333333333333333"),
        ("b", -3, 0, "-0.333333333333333333"),
        ("c", -3, 0, "-0.333333333333333334"),
    ]


def test_without_cost_the_shares_follow_the_tokens_and_without_these_the_first_takes_all() -> None:
    free = [bucket("a", "0", 30), bucket("b", "0", 10)]
    assert seen(balance(SLOT, free, [logged(tokens=8, cost="0.4", requests=0)])) == [
        ("a", -6, 0, "-0.3"),
        ("b", -2, 0, "-0.1"),
    ]
    empty = [bucket("b", "0", 0), bucket("a", "0", 0)]
    assert seen(balance(SLOT, empty, [logged()])) == [("a", -10, -1, "-0.3")]


def test_a_report_of_money_alone_takes_money_alone_back() -> None:
    bill = [replace(bucket(key, cost, tokens=0), is_billed=True) for key, cost in (("a", "2"), ("b", "1"))]
    assert seen(balance(SLOT, bill, [logged(tokens=8, cost="0.3"), logged(5, None)])) == [
        ("a", 0, 0, "-0.2"),
        ("a", -3, -1, None),
        ("b", 0, 0, "-0.1"),
        ("b", -2, 0, None),
    ]
    # A day that a plan paid for is told in the same words.
    free = [replace(bucket("a", "0", tokens=0), is_billed=True)]
    assert seen(balance(SLOT, free, [logged(tokens=8, cost="0.3")])) == [("a", 0, 0, "-0.3")]


def test_the_interval_then_the_day_then_nothing() -> None:
    same_day = [bucket("a", hour=3), bucket("b", hour=23)]
    other_day = Polled(DAY - HOUR, DAY, "z", Decimal(1), 1, {})
    assert [one.key for one in candidates(SLOT, [*same_day, bucket("c"), other_day])] == ["c"]
    assert [one.key for one in candidates(SLOT, [*same_day, other_day])] == ["a", "b"]
    assert seen(balance(SLOT, [], [logged(), logged(5, None)])) == [(None, -10, -1, "-0.3"), (None, -5, -1, None)]


def test_a_bucket_holds_its_start_and_not_its_end() -> None:
    around = [bucket("before", hour=13), bucket("holding"), bucket("behind", hour=15)]
    for minutes, key in ((0, "before"), (45, "before"), (60, "holding"), (105, "holding"), (120, "behind")):
        slot = DAY + 13 * HOUR + timedelta(minutes=minutes)
        assert [one.key for one in candidates(slot, around)] == [key]


def test_what_has_no_price_is_balanced_in_tokens() -> None:
    assert seen(balance(SLOT, [bucket("a", None)], [logged(), logged(5, None)])) == [("a", -15, -2, None)]
    assert seen(balance(SLOT, [bucket("a")], [logged(), logged(5, None)])) == [
        ("a", -10, -1, "-0.3"),
        ("a", -5, -1, None),
    ]
    mixed = [bucket("a", None, tokens=90), bucket("b", "0", tokens=10)]
    assert seen(balance(SLOT, mixed, [logged(requests=0)])) == [("a", -9, 0, None), ("b", -1, 0, "-0.3")]
    silent = [bucket("a", None, tokens=90), bucket("b", "0", tokens=0)]
    assert seen(balance(SLOT, silent, [logged(requests=0)])) == [("a", -10, 0, None), ("b", 0, 0, "-0.3")]


def test_nothing_is_clipped_and_nothing_makes_nothing() -> None:
    assert seen(balance(SLOT, [bucket("a", "0.1", 1)], [logged(99, "7")])) == [("a", -99, -1, "-7")]
    assert balance(SLOT, [bucket("a")], []) == []
    assert balance(SLOT, [bucket("a")], [logged(0, None, 0)]) == []


money = st.decimals(0, 10**6, allow_nan=False, places=30)
buckets = st.lists(
    st.builds(
        Polled,
        start=st.sampled_from([DAY + hour * HOUR for hour in (3, 14)]),
        end=st.just(DAY + 15 * HOUR),
        key=st.uuids().map(str),
        cost=st.none() | st.just(Decimal(0)) | money,
        tokens=st.integers(0, 10**15),
        terms=st.just({}),
    ),
    max_size=6,
)


@st.composite
def events(draw: st.DrawFn) -> Logged:
    counts = draw(st.lists(st.integers(0, 10**15), min_size=len(COUNTERS), max_size=len(COUNTERS)))
    costs = draw(st.lists(st.just(Decimal(0)) | money, min_size=len(CLASSES), max_size=len(CLASSES)))
    has_price = draw(st.booleans())
    return Logged(counts, costs, total((*costs, draw(money)))) if has_price else Logged(counts, [Decimal(0)] * 9, None)


@given(buckets, st.lists(events(), max_size=2), st.randoms(use_true_random=False))
def test_a_balance_is_exactly_what_was_logged(polled: list[Polled], parts: list[Logged], rng: object) -> None:
    shares = balance(SLOT, polled, parts)
    for counter in range(len(COUNTERS)):
        assert sum(share.counts[counter] for share in shares) == -sum(part.counts[counter] for part in parts)
    chosen = candidates(SLOT, polled)
    if not chosen or any(one.cost is not None for one in chosen):
        assert total(share.cost or Decimal(0) for share in shares) == total(
            CONTEXT.minus(part.cost or Decimal(0)) for part in parts
        )
        for index in range(len(CLASSES)):
            assert total(share.costs[index] for share in shares) == total(
                CONTEXT.minus(part.costs[index]) for part in parts
            )
    for share in shares:
        if share.cost is None:
            assert not any(share.costs)
        else:
            assert share.bucket is None or share.bucket.cost is not None
            assert scale(share.cost) <= 30
    rng.shuffle(polled)  # type: ignore[attr-defined] # Hypothesis' random, typed as object
    assert balance(SLOT, polled, parts) == shares


@pytest.mark.parametrize("minute", [0, 15, 30, 45])
def test_every_quarter_hour_of_a_bucket_is_its_interval(minute: int) -> None:
    slot = DAY + 14 * HOUR + timedelta(minutes=minute)
    assert [share.bucket.key for share in balance(slot, [bucket("a")], [logged()]) if share.bucket] == ["a"]
