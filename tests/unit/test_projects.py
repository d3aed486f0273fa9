from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.projects import DEFAULT_PROJECT, Rule, assign, ordered

# Those that the first migration of project rules stores (tests/integration/test_schema.py).
DEFAULT_RULES = (
    Rule("peakpaws-*", "PeakPaws", 10, 1),
    Rule("kanban-*", "Kanban Board", 10, 2),
    Rule("trading-*", "Trading Tools", 10, 3),
    Rule("cost-tracker-*", "Cost Tracker", 10, 4),
    Rule("context-vault-*", "Context Vault", 10, 5),
    Rule("*", DEFAULT_PROJECT, 0, 6),
)
DEFAULTS = ordered(DEFAULT_RULES)


@pytest.mark.parametrize(
    ("label", "agent", "key_name", "workspace_name", "project"),
    [
        ("peakpaws-listing", None, None, None, "PeakPaws"),
        ("PEAKPAWS-Listing", None, None, None, "PeakPaws"),
        ("kanban-sync", "peakpaws-bot", None, None, "PeakPaws"),
        (None, "kanban-bot", None, None, "Kanban Board"),
        ("nightly", "bot", "trading-key", None, "Trading Tools"),
        ("nightly", "bot", "key", "context-vault-prod", "Context Vault"),
        ("cost-tracker-dev", None, None, None, "Cost Tracker"),
        ("peakpaws", None, None, None, "General"),
        ("my-peakpaws-thing", None, None, None, "General"),
        (None, None, None, None, "General"),
        ("", "", "", "", "General"),
    ],
)
def test_default_rules(
    label: str | None, agent: str | None, key_name: str | None, workspace_name: str | None, project: str
) -> None:
    found = assign(DEFAULTS, label=label, agent=agent, key_name=key_name, workspace_name=workspace_name)
    assert found == project


@pytest.mark.parametrize(
    ("rules", "label", "project"),
    [
        ([Rule("a*", "low", 1), Rule("ab*", "high", 2)], "abc", "high"),
        ([Rule("ab*", "low", 1), Rule("a*", "high", 2)], "abc", "high"),
        ([Rule("a*", "short", 1), Rule("ab*", "long", 1)], "abc", "long"),
        ([Rule("ab*", "younger", 1, 9), Rule("ab?", "older", 1, 3)], "abc", "older"),
        ([Rule("*", "any", -1), Rule("x", "exact", -1)], "x", "exact"),
        ([Rule("a[0-9]-*", "digits", 1)], "A7-x", "digits"),
        ([Rule("a[!0-9]-*", "letters", 1)], "a7-x", DEFAULT_PROJECT),
        ([Rule("a.c", "dot", 1)], "abc", DEFAULT_PROJECT),
        ([Rule("a*", "lines", 1)], "a\nb", "lines"),
        ([], "abc", DEFAULT_PROJECT),
    ],
)
def test_which_rule_wins(rules: list[Rule], label: str, project: str) -> None:
    assert assign(ordered(rules), label=label) == project


def test_rules_are_the_outer_loop() -> None:
    rules = ordered([Rule("agent-*", "by agent", 5), Rule("label-*", "by label", 1)])
    assert assign(rules, label="label-1", agent="agent-1") == "by agent"


def test_a_catch_all_takes_lines_without_any_name() -> None:
    assert assign(ordered([Rule("*", "Everything")])) == "Everything"
    assert assign(ordered([Rule("?*", "Named")])) == DEFAULT_PROJECT


@given(
    st.lists(st.builds(Rule, st.text("ab*?[", max_size=4), st.text(max_size=3), st.integers(0, 2), st.integers(0, 9)))
)
def test_the_order_depends_on_the_rules_alone(rules: list[Rule]) -> None:
    keys = [(-rule.priority, -len(rule.literal_prefix), rule.id) for rule in ordered(rules)]
    assert keys == sorted(keys)
    assert keys == [(-rule.priority, -len(rule.literal_prefix), rule.id) for rule in ordered(reversed(rules))]


@given(st.text("abAB*?[]!-", max_size=12), st.text("abAB*?[]!-", max_size=12))
def test_every_pattern_can_be_tried_on_every_name(pattern: str, name: str) -> None:
    upper = assign((Rule(pattern, "hit"),), label=name.upper())
    assert upper == assign((Rule(pattern, "hit"),), label=name.lower())
