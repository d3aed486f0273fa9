from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.money import MAX_SCALE, scale, total
from shared.core.pricing import PRICES, TOKEN_CLASSES, Costs, RateCard, Rates, charges, inherit, price, tier_input
from shared.core.usage import MAX_COUNT, PriceContext, Usage

# Claude Sonnet 4.5 below 200,000 tokens.
SONNET = Rates(
    source="catalogue",
    model="claude-sonnet-4-5",
    provider="anthropic",
    since=date(2025, 9, 29),
    version="genai-prices 0.2.3",
).priced(
    inherit(
        {
            "input": Decimal(3),
            "output": Decimal(15),
            "cache_read": Decimal("0.30"),
            "cache_write_5m": Decimal("3.75"),
            "cache_write_1h": Decimal(6),
            "web_search": Decimal(10),
        }
    )
)

prices = st.decimals(min_value=0, max_value=10_000, allow_nan=False, allow_infinity=False, places=24)
rates = st.builds(
    Rates, source=st.just("override"), model=st.text(max_size=5), **dict.fromkeys(PRICES, st.none() | prices)
)
counts = st.integers(0, MAX_COUNT) | st.integers(0, 5)
usages = st.builds(Usage, **dict.fromkeys((*TOKEN_CLASSES, "web_searches", "requests"), counts))


def usd(text: str) -> Decimal:
    return Decimal(text)


def test_every_class_has_its_own_price() -> None:
    usage = Usage(
        input=1_000_000,
        output=100_000,
        cache_read=2_000_000,
        cache_write_5m=400_000,
        cache_write_1h=400_000,
        reasoning=40_000,
        web_searches=3,
        requests=1,
    )
    costs = price(usage, SONNET)
    assert costs == Costs(
        input=usd("3"),
        output=usd("1.5"),
        cache_read=usd("0.6"),
        cache_write_5m=usd("1.5"),
        cache_write_1h=usd("2.4"),
        web_search=usd("0.03"),
    )
    assert costs.total == usd("9.03")


def test_a_one_hour_cache_write_is_dearer_than_a_five_minute_one() -> None:
    short = price(Usage(cache_write_5m=1_000_000), SONNET)
    long = price(Usage(cache_write_1h=1_000_000), SONNET)
    assert (short and short.total, long and long.total) == (usd("3.75"), usd("6"))


def test_audio_and_images_are_taken_out_of_input_and_output() -> None:
    special = SONNET.priced({"audio_input": usd("40"), "audio_output": usd("80"), "image_output": usd("120")})
    usage = Usage(input=1_000, output=1_000, audio_input=400, audio_output=300, image_input=100, image_output=200)
    assert price(usage, special) == Costs(
        input=usd("0.0015"),
        output=usd("0.0075"),
        audio=usd("0.04"),
        image=usd("0.0243"),
    )


def test_a_part_larger_than_its_whole_is_cut_to_it() -> None:
    usage = Usage(output=100, audio_output=70, reasoning=1_000)
    counted = {charge.name: charge.count for charge in charges(usage, SONNET)}
    assert counted == {"audio_output": 70, "reasoning": 30}


@pytest.mark.parametrize("name", [*TOKEN_CLASSES, "web_searches"])
def test_unpriced_is_not_free(name: str) -> None:
    whole = {"audio_input": "input", "image_input": "input"}.get(name, "output")
    usage = Usage(**{whole: 5} | {name: 5})
    nothing = Rates(source="catalogue", model="unknown")
    assert price(usage, nothing) is None
    missing: dict[str, Any] = {"web_search" if name == "web_searches" else name: None}
    priced = replace(SONNET, **missing)
    assert price(usage, priced) is None
    assert price(Usage(), nothing) == Costs()


@pytest.mark.parametrize(("requests", "fee"), [(0, "0"), (1, "0.014"), (1_000, "14")])
def test_fees_follow_the_requests(requests: int, fee: str) -> None:
    sonar = SONNET.priced({"request": usd("14")})
    costs = price(Usage(requests=requests), sonar)
    assert costs
    assert costs.request == usd(fee)


@given(usages, rates)
def test_a_cost_is_the_exact_sum_of_its_charges(usage: Usage, row: Rates) -> None:
    lines = list(charges(usage, row))
    costs = price(usage, row)
    if costs is None:
        assert any(line.price is None for line in lines)
        return
    assert costs.total == total(line.cost for line in lines if line.cost)
    assert all(scale(getattr(costs, field)) <= MAX_SCALE for field in Costs.__dataclass_fields__)
    assert sum(line.count for line in lines if line.per == 10**6) == usage.total_tokens


@given(rates)
def test_rates_survive_json_with_their_fingerprint(row: Rates) -> None:
    again = Rates.from_json(row.to_json())
    assert again == row
    assert again.fingerprint() == row.fingerprint()
    assert all(isinstance(value, str) for name, value in row.to_json().items() if name in PRICES)


def test_the_fingerprint_is_about_content_not_spelling() -> None:
    assert replace(SONNET, input=usd("3.000")).fingerprint() == SONNET.fingerprint()
    different = [
        replace(SONNET, input=usd("3.1")),
        replace(SONNET, since=None),
        replace(SONNET, version="genai-prices 0.2.4"),
        replace(SONNET, above=200_000),
        SONNET.scaled(usd("1"), "a reason"),
    ]
    assert len({SONNET.fingerprint(), *(row.fingerprint() for row in different)}) == 6


def test_the_fingerprint_never_changes() -> None:
    """A stored ledger line refers to it: new optional fields must leave it as it is."""
    row = Rates(source="override", model="m", version="7", input=usd("3"), output=usd("0"))
    assert row.to_json() == {"source": "override", "model": "m", "version": "7", "input": "3", "output": "0"}
    assert row.fingerprint() == "d8238994891f2eb33dd4748543913d3cad21f38449b0674b8c885a761a2ba506"


def test_scaling_leaves_fees_alone() -> None:
    us = SONNET.scaled(usd("1.1"), "US-only inference: 1.1 times.")
    assert (us.input, us.cache_read, us.web_search) == (usd("3.3"), usd("0.33"), usd("10"))
    assert us.adjustments == ("US-only inference: 1.1 times.",)


@pytest.mark.parametrize("bad", ["-1", "NaN", "1E-25"])
def test_impossible_prices_are_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        Rates(source="override", model="m", input=Decimal(bad))


def test_a_missing_class_inherits_from_its_parent() -> None:
    known = inherit({"input": usd("2"), "output": usd("8"), "cache_write_5m": usd("2.5")})
    assert known == {
        "input": 2,
        "output": 8,
        "cache_read": 2,
        "cache_write_5m": usd("2.5"),
        "cache_write_1h": usd("2.5"),
        "reasoning": 8,
        "audio_input": 2,
        "audio_output": 8,
        "image_input": 2,
        "image_output": 8,
    }
    assert "cache_read" not in inherit({"output": usd("1")})


@pytest.mark.parametrize(
    ("usage", "window", "expected"),
    [
        (Usage(input=150_000, cache_read=50_000, requests=1), None, 200_000),
        (Usage(input=150_000, cache_write_1h=50_001, requests=1), None, 200_001),
        (Usage(input=900_000, requests=3), None, 0),
        (Usage(input=900_000, requests=0), None, 0),
        (Usage(input=900_000), "0-200k", 0),
        (Usage(input=5, requests=2), "200k-1M", 200_001),
        (Usage(input=5), "1M-2M", 1_000_001),
        (Usage(input=5), "enormous", 0),
        (Usage(input=5), "", 0),
    ],
)
def test_the_tier_follows_one_request_and_never_a_sum(usage: Usage, window: str | None, expected: int) -> None:
    assert tier_input(usage, PriceContext(context_window=window)) == expected


def test_a_threshold_is_a_cliff_that_begins_above_it() -> None:
    dear = replace(SONNET, input=usd("6"), above=200_000)
    dearest = replace(SONNET, input=usd("9"), above=500_000)
    card = RateCard(((0, SONNET), (200_000, dear), (500_000, dearest)))
    assert [card.select(n) for n in (0, 200_000, 200_001, 500_000, 500_001)] == [SONNET, SONNET, dear, dear, dearest]


def test_pricing_is_imported_without_the_catalogue() -> None:
    code = (
        "import sys, shared.prices, shared.prices.book, shared.prices.overrides, shared.core.pricing;"
        "sys.exit('genai_prices' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603 - our own words
