"""Shapes of reports: printed parts add up to printed totals, whatever the digits."""

from datetime import UTC, date, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from shared.core.money import display
from shared.core.reconciliation import Day, reason, settle
from shared.core.report import change_percent, coverage, figures, ranked, series, share
from shared.core.totals import TOKEN_CLASSES, Totals, total

# Amounts with more digits than are printed, which is where rounding could tear a sum apart.
costs = st.decimals(min_value=0, max_value=10**6, places=16)
keys = st.text("abc", min_size=1, max_size=3)


def totals(cost: Decimal, tokens: int = 0, unpriced: int = 0) -> Totals:
    counted = {**dict.fromkeys(TOKEN_CLASSES, 0), "input": tokens}
    return Totals(cost=cost, tokens=counted, unpriced_tokens=unpriced)


@given(st.dictionaries(keys, costs))
def test_a_breakdown_adds_up_as_printed(parts: dict[str, Decimal]) -> None:
    whole = totals(sum(parts.values(), Decimal(0)))
    answer = figures(whole, {"model": {key: totals(cost) for key, cost in parts.items()}})
    assert answer["total_cost"] == display(whole.cost) == sum(answer["by_model"].values())


@given(st.lists(st.dictionaries(keys, costs, max_size=4), max_size=6))
def test_periods_and_their_breakdowns_add_up_as_printed(periods: list[dict[str, Decimal]]) -> None:
    entries = []
    for index, parts in enumerate(periods):
        breakdown = {key: totals(cost) for key, cost in parts.items()}
        entries.append(({"date": index}, total(breakdown.values()), {"model": breakdown}))
    printed, answered = series(entries)
    assert printed == sum((entry["total_cost"] for entry in answered), Decimal(0))
    for entry in answered:
        assert entry["total_cost"] == sum(entry["by_model"].values(), Decimal(0))


@given(st.dictionaries(keys, costs, min_size=1), st.integers(1, 5))
def test_ranked_rows_add_up_and_the_rest_is_one_row(parts: dict[str, Decimal], limit: int) -> None:
    printed, rows = ranked({key: totals(cost) for key, cost in parts.items()}, limit)
    assert printed == sum(row["cost"] for row in rows)
    assert len(rows) == min(len(parts), limit + 1)
    assert [row["key"] for row in rows].count(None) == (1 if len(parts) > limit else 0)


def test_an_unpriced_group_costs_nothing_and_says_so() -> None:
    _, [row] = ranked({"mystery": totals(Decimal(0), tokens=7, unpriced=7)}, 5)
    assert (row["cost"], row["unpriced_tokens"], row["tokens"]["input"]) == (0, 7, 7)


def test_token_maps_always_hold_the_five_disjoint_classes() -> None:
    assert Totals().token_map() == {
        "input": 0,
        "output": 0,
        "cache_read": 0,
        "cache_write_5m": 0,
        "cache_write_1h": 0,
    }
    assert "reasoning" in Totals(tokens={**dict.fromkeys(TOKEN_CLASSES, 0), "reasoning": 3}).token_map()


def test_money_without_a_class_is_unclassified() -> None:
    classes = Totals(cost=Decimal(3), costs={"input": Decimal(1)}).by_token_class()
    assert {name: part.cost for name, part in classes.items()} == {"input": 1, "unclassified": 2}


def test_shares_and_changes_of_nothing() -> None:
    assert share(Decimal(1), Decimal(0)) == 0
    assert change_percent(Decimal(1), Decimal(0)) is None
    assert change_percent(Decimal(3), Decimal(2)) == 50


def test_coverage_is_only_as_complete_as_the_slowest_account() -> None:
    early, late = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
    block = coverage(Totals(), ["api"], [late, early], is_demo=False)
    assert (block["complete_until"], block["basis"], "demo" in block) == (early, "reported", False)
    assert coverage(Totals(), ["api"], [late, None], is_demo=False)["complete_until"] is None
    assert coverage(Totals(), ["event"], [], is_demo=False)["basis"] == "estimated"
    assert coverage(Totals(), ["api", "event"], [late], (2, Decimal("6000.1")), is_demo=True) == {
        "complete_until": late,
        "basis": "mixed",
        "unpriced_requests": 0,
        "unpriced_tokens": 0,
        "quarantined_rows": 2,
        "quarantined_cost": Decimal("6000.1"),
        "demo": True,
    }


def test_every_difference_to_the_bill_has_a_reason() -> None:
    def because(estimated: str, billed: str | None, **more: object) -> str:
        day = Day("a", date(2026, 11, 1), Decimal(estimated), None if billed is None else Decimal(billed))
        for name, value in more.items():
            setattr(day, name, value)
        return reason(day)

    assert "no bill" in because("1", None)
    assert because("1", "1", quarantined=1).startswith("1 row is in quarantine")
    assert because("1", None, quarantined=2).startswith("2 rows are in quarantine")
    assert "agree" in because("1", "1.009")
    assert "claude-x" in because("1", "2", unpriced=["claude-x"], unpriced_tokens=5)
    assert "Priority" in because("2", "1", tiers={"priority"}, provider="anthropic")
    assert "credits" in because("2", "1", tiers={"priority"}, provider="openai")
    assert "long context" in because("1", "2", charges={"tokens", "long_context"})
    assert "no price" in because("1", "2", charges={"long_context"}, unpriced=["x"])
    assert "lower" in because("2", "1")
    assert "higher" in because("1", "2")
    assert "fast mode more" in because("1", "2", charges={"tokens", "fast_mode"}, provider="anthropic")
    assert "does not show" in because("0", "2", provider="openai")
    assert "Events say more" in because("1", "2", unattributed=Decimal(-1))
    assert "cached audio" in because("1", "2", provider="openai")
    assert "Nothing was billed" in because("2", "0")
    assert "provisioned" in because("2", "1", provider="aws")
    assert "is its bill" in because("1", "1", provider="openrouter")
    assert "behind it" in because("1", None, provider="litellm")
    assert "balance" in because("1", None, provider="deepseek")
    assert "no price" not in because("2", "1", unpriced=["x"])


def test_days_that_make_up_for_each_other_are_a_matter_of_midnight() -> None:
    told = [("9", "7"), ("5", "6.95"), ("5", "3"), ("5", "5")]
    days = [Day("a", date(2026, 11, n), Decimal(e), Decimal(b)) for n, (e, b) in enumerate(told, start=1)]
    days.append(Day("another", date(2026, 11, 4), Decimal(1), Decimal(9)))
    settle(days)
    assert [day.is_shifted for day in days] == [True, True, True, False, False]
    assert "midnight" in reason(days[0])
    assert "agree" in reason(days[3])
