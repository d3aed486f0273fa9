"""What Context Vault is sent: exact sums at two to four decimals, under 4 KB, the same bytes for the same figures."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core import jsontext
from shared.core.money import scale, total
from shared.core.vault import LIMIT_BYTES, OTHER, Message, Style, compose, family, slug

DAY = date(2026, 11, 22)
FULL = Style("openclaw_default")
MODELS = {
    "claude-opus-4-5": Decimal("12.3"),
    "claude-haiku-4-5": Decimal("0.045678"),
    "gpt-4o-mini": Decimal("0.00002"),
}
PROJECTS = {"PeakPaws": Decimal("10.005678"), "Kanban Board": Decimal("2.34002")}
TOTAL = total(MODELS.values())

MONEY = st.decimals(min_value=Decimal("-0.5"), max_value=Decimal(10**6), places=18)
PARTS = st.dictionaries(st.text(min_size=1, max_size=40), MONEY, max_size=60)


def message(style: Style = FULL) -> Message:
    return compose(DAY, TOTAL, MODELS, PROJECTS, style)


def test_the_envelope_of_the_contract() -> None:
    assert message().body == (
        '{"type":"ai_cost_daily","importance":5,"workspace":"openclaw_default","content":{"date":"2026-11-22",'
        '"total_cost":12.3457,"by_model":{"claude-opus-4-5":12.30,"claude-haiku-4-5":0.0457,"gpt-4o-mini":0.00},'
        '"by_project":{"PeakPaws":10.0057,"Kanban Board":2.34}}}'
    )


def test_bare_is_the_content_alone_and_text_is_its_json() -> None:
    whole = jsontext.loads(message().body)
    bare = jsontext.loads(message(Style("x", envelope="bare")).body)
    text = jsontext.loads(message(Style("openclaw_default", content="text")).body)
    assert bare == whole["content"]
    assert isinstance(text["content"], str)
    assert {**text, "content": jsontext.loads(text["content"])} == whole
    both = jsontext.loads(message(Style("x", envelope="bare", content="text")).body)
    assert jsontext.loads(both) == bare


def test_short_names() -> None:
    short = jsontext.loads(message(Style("x", envelope="bare", names="short")).body)
    assert short["by_model"] == {"opus": Decimal("12.30"), "haiku": Decimal("0.0457"), "gpt": 0}
    assert short["by_project"] == {"peakpaws": Decimal("10.0057"), "kanban-board": Decimal("2.34")}


def test_names_that_become_one_add_up() -> None:
    parts = {"claude-opus-4-5": Decimal("1.00004"), "claude-opus-4-1": Decimal("2.00004"), "opus": Decimal(1)}
    whole = total(parts.values())
    found = compose(DAY, whole, parts, {"all": whole}, Style("x", envelope="bare", names="short"))
    assert found.payload["by_model"] == {"opus": Decimal("4.0001")}


@pytest.mark.parametrize(
    ("model", "word"),
    [
        ("claude-opus-4-5", "opus"),
        ("claude-3-5-sonnet-20241022", "sonnet"),
        ("claude-3-5-sonnet-latest", "sonnet"),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "haiku"),
        ("anthropic/claude-sonnet-4.5", "sonnet"),
        ("claude-2.1", "claude"),
        ("gpt-4o-mini", "gpt"),
        ("openai/gpt-4.1", "gpt"),
        ("o3-mini", "o3"),
        ("gemini-2.5-pro", "gemini"),
        ("Mistral-Large", "mistral"),
        ("???", "???"),
    ],
)
def test_family(model: str, word: str) -> None:
    assert family(model) == word


@pytest.mark.parametrize(
    ("project", "name"),
    [("PeakPaws", "peakpaws"), ("Kanban  Board!", "kanban-board"), ("Über_uns", "über-uns"), ("-", "-")],
)
def test_slug(project: str, name: str) -> None:
    assert slug(project) == name


STYLES = [
    Style("w", "full", "object", "ids"),
    Style("w", "full", "text", "short"),
    Style("w", "bare", "object", "short"),
    Style("w", "bare", "text", "ids"),
]


@given(PARTS, st.sampled_from(STYLES))
def test_parts_add_up_in_two_to_four_decimals_under_4_kb(parts: dict[str, Decimal], style: Style) -> None:
    whole = total(parts.values())
    found = compose(DAY, whole, parts, {"all": whole} if parts else {}, style)
    assert len(found.body.encode()) < LIMIT_BYTES
    content = _content(found, style)
    assert abs(content["total_cost"] - whole) <= Decimal("0.00005")
    for name in ("by_model", "by_project"):
        amounts = content[name].values()
        assert all(2 <= scale(amount) <= 4 for amount in amounts)
        assert total(amounts) == (content["total_cost"] if parts else 0)


def _content(found: Message, style: Style) -> Any:  # noqa: ANN401 - decoded JSON
    payload = jsontext.loads(found.body)
    content = payload if style.envelope == "bare" else payload["content"]
    return jsontext.loads(content) if style.content == "text" else content


@given(st.permutations(list(MODELS)))
def test_equal_figures_are_equal_bytes(order: list[str]) -> None:
    again = compose(DAY, TOTAL + Decimal("0E-18"), {name: MODELS[name] for name in order}, PROJECTS, FULL)
    assert (again.body, again.idempotency_key) == (message().body, message().idempotency_key)


def test_the_key_names_the_day_and_the_payload() -> None:
    first = message()
    assert first.idempotency_key == f"ai-cost-2026-11-22-{first.digest}"
    other = compose(DAY, TOTAL + 1, {**MODELS, "claude-opus-4-5": Decimal("13.3")}, {"x": TOTAL + 1}, FULL)
    assert other.digest != first.digest


def test_the_smallest_amounts_of_the_longer_map_are_folded() -> None:
    models = {f"model-number-{n:04}": Decimal(n) / 100 for n in range(1, 1001)}
    found = compose(DAY, total(models.values()), models, {"General": total(models.values())}, FULL)
    by_model = found.payload["content"]["by_model"]
    assert LIMIT_BYTES * 0.85 < len(found.body) < LIMIT_BYTES
    kept = [name for name in by_model if name != OTHER]
    assert kept == [f"model-number-{n:04}" for n in range(1000, 1000 - len(kept), -1)]
    assert by_model[OTHER] == total(models.values()) - total(by_model[name] for name in kept)
    assert set(found.payload["content"]["by_project"]) == {"General"}


def test_a_key_called_other_is_not_lost() -> None:
    models = {OTHER: Decimal(5000), **{f"model-number-{n:04}": Decimal(1) for n in range(500)}}
    by_model = compose(DAY, Decimal(5500), models, {"all": Decimal(5500)}, FULL).payload["content"]["by_model"]
    assert by_model[OTHER] == 5500 - (len(by_model) - 1)


def test_one_endless_name_does_not_break_the_limit() -> None:
    whole = Decimal("2.5")
    found = compose(DAY, whole, {"m" * 6000: whole}, {"PeakPaws": whole}, FULL)
    assert found.payload["content"]["by_model"] == {OTHER: whole}
    assert found.payload["content"]["by_project"] == {"PeakPaws": whole}


def test_a_day_without_usage() -> None:
    assert compose(DAY, Decimal(0), {}, {}, Style("w", envelope="bare")).body == (
        '{"date":"2026-11-22","total_cost":0.00,"by_model":{},"by_project":{}}'
    )
