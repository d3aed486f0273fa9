"""The synthetic organisation: the same hour always has the same figures, and everything a collector meets occurs."""

import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import genai_prices
import pytest

from infra.demo.bill import BATCH_FACTOR, PRICES
from infra.demo.cast import GHOST, KEYS, PREVIEW
from infra.demo.dataset import CostRow, UsageRow
from infra.demo.organisation import Organisation, settled

NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WEDNESDAY = datetime(2026, 11, 18, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def usage() -> list[UsageRow]:
    organisation = Organisation(NOW)
    return list(organisation.usage(organisation.since, NOW, NOW))


@pytest.fixture(scope="module")
def costs() -> list[CostRow]:
    organisation = Organisation(NOW)
    return list(organisation.costs(organisation.since, NOW.replace(hour=0, minute=0), NOW))


def test_the_same_hour_has_the_same_figures_whatever_the_time() -> None:
    later = NOW + 5 * DAY + timedelta(minutes=17)
    window = (NOW - 30 * DAY, NOW - 3 * DAY)
    first = list(Organisation(NOW).usage(*window, NOW))
    settled.cache_clear()
    assert list(Organisation(later).usage(*window, later)) == first
    days = (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 15, tzinfo=UTC))
    assert list(Organisation(later).costs(*days, later)) == list(Organisation(NOW).costs(*days, NOW))


def test_another_seed_is_another_organisation() -> None:
    hour = datetime(2026, 11, 19, 10, tzinfo=UTC)
    assert settled("one", hour) != settled("two", hour)


def test_history_starts_90_days_ago_at_midnight(usage: list[UsageRow]) -> None:
    assert Organisation(NOW).since == datetime(2026, 8, 22, tzinfo=UTC)
    assert min(row.at for row in usage).date() == date(2026, 8, 22)
    assert list(Organisation(NOW).usage(NOW - 200 * DAY, NOW - 91 * DAY, NOW)) == []


def test_the_current_hour_grows_minute_by_minute() -> None:
    organisation = Organisation(NOW)
    hour = NOW.replace(minute=0)
    sums = [
        sum(row.output_tokens for row in organisation.usage(hour, hour + HOUR, hour + timedelta(minutes=minutes)))
        for minutes in (0, 20, 40, 60)
    ]
    assert sums[0] == 0
    assert sums == sorted(sums)
    assert sums[-1] == sum(row.output_tokens for row in settled(organisation.seed, hour))


def test_a_wednesday_hour_is_restated_after_a_day() -> None:
    organisation = Organisation(NOW)

    def at(age: timedelta) -> dict[tuple[object, ...], int]:
        rows = organisation.usage(WEDNESDAY, WEDNESDAY + HOUR, WEDNESDAY + age)
        return {
            (r.api_key_id, r.model, r.service_tier, r.inference_geo, r.context_window): r.output_tokens for r in rows
        }

    young, old = at(timedelta(hours=23, minutes=59)), at(timedelta(hours=24))
    vanished = young.keys() - old.keys()
    assert len(vanished) == 1
    assert old.keys() <= young.keys()
    assert all(young[key] < old[key] for key in old)
    day = WEDNESDAY.replace(hour=0)
    first, second = (
        sum(cost.amount for cost in organisation.costs(day, day + DAY, WEDNESDAY + timedelta(hours=age)))
        for age in (20, 30)
    )
    assert first < second


def test_everything_a_collector_meets_occurs(usage: list[UsageRow], costs: list[CostRow]) -> None:
    listed = {key.id for key in KEYS}
    assert {row.api_key_id for row in usage} == {*listed, GHOST.id, None}
    assert {row.model for row in usage} == set(PRICES)
    assert {row.service_tier for row in usage} == {"standard", "batch"}
    assert {row.context_window for row in usage} == {"0-200k", "200k-1M"}
    assert {row.inference_geo for row in usage} == {"global", "us", "not_available"}
    assert sum(row.ephemeral_1h_input_tokens for row in usage) > 0
    assert sum(row.web_search_requests for row in usage) > 0
    assert len({row.workspace_id for row in usage}) == 4
    keys = [(row.at, *row.wire().values()) for row in usage]
    assert len(keys) == len({repr(key) for key in keys})
    assert {row.cost_type for row in costs} == {
        "tokens",
        "web_search",
        "code_execution",
        "session_usage",
        "file_storage",
    }


def test_a_description_says_everything_that_is_filled_with_it(costs: list[CostRow]) -> None:
    meanings: dict[str, set[tuple[object, ...]]] = {}
    for row in costs:
        meaning = (row.model, row.token_type, row.service_tier, row.context_window, row.inference_geo)
        meanings.setdefault(row.description, set()).add(meaning)
    assert {text: seen for text, seen in meanings.items() if len(seen) > 1} == {}


def test_one_day_stands_out_and_the_bill_suits_a_small_team(costs: list[CostRow]) -> None:
    days: dict[date, Decimal] = {}
    for row in costs:
        days[row.at.date()] = days.get(row.at.date(), Decimal()) + row.amount / 100
    dearest, second, *_ = sorted(days, key=days.__getitem__, reverse=True)
    assert dearest == date(2026, 11, 17)
    assert days[dearest] > 3 * days[second]
    october = sum(cost for day, cost in days.items() if day.month == 10)
    assert 100 < october < 500
    weekend = max(cost for day, cost in days.items() if day.weekday() >= 5)
    assert weekend < min(cost for day, cost in days.items() if day.weekday() < 5)


def test_any_91_days_hold_exactly_one_spike() -> None:
    for shift in range(0, 400, 37):
        organisation = Organisation(NOW + shift * DAY)
        # Nobody but the runaway is up at four in the morning.
        nights = (organisation.since + n * DAY + 4 * HOUR for n in range(91))
        assert sum(1 for night in nights if settled(organisation.seed, night)) == 1


@pytest.mark.parametrize("model", [model for model in PRICES if model != PREVIEW])
@pytest.mark.parametrize(("context", "tokens"), [("0-200k", 100_000), ("200k-1M", 1_000_000)])
@pytest.mark.parametrize("processing", ["standard", "batch"])
def test_the_bill_agrees_with_the_price_catalogue(model: str, context: str, tokens: int, processing: str) -> None:
    def price(**counts: int) -> Decimal:
        return genai_prices.calc_price(
            genai_prices.Usage(input_tokens=tokens, **counts),
            model,
            provider_id="anthropic",
            genai_request_timestamp=NOW,
            price_context={"processing": processing},
        ).total_price

    found = (
        price(),
        price(cache_read_tokens=tokens),
        price(cache_write_tokens=tokens),
        price(cache_write_tokens=tokens, cache_write_1h_tokens=tokens),
        price(output_tokens=tokens) - price(),
    )
    factor = BATCH_FACTOR if processing == "batch" else 1
    assert [usd * 10**6 / tokens for usd in found] == [usd * factor for usd in PRICES[model].of(context)]


def test_no_catalogue_knows_the_preview_model() -> None:
    with pytest.raises(LookupError):
        genai_prices.calc_price(genai_prices.Usage(input_tokens=1), PREVIEW, provider_id="anthropic")


def test_ninety_days_are_quick() -> None:
    settled.cache_clear()
    organisation = Organisation(NOW)
    started = time.process_time()
    rows = sum(1 for _ in organisation.usage(organisation.since, NOW, NOW))
    bills = sum(1 for _ in organisation.costs(organisation.since, NOW, NOW))
    assert time.process_time() - started < 3
    assert rows > 5_000
    assert bills > 1_000
