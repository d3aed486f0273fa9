"""The report as people read it: a summary, a table per breakdown, a bar per day."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Any

from cost_tracker.output import answers, clean, count, money, show_table
from cost_tracker.reports import ALWAYS, add, add_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from cost_tracker.reports import Report

# Rows of a table before the rest becomes one; bars of a chart before days become weeks.
_MOST_ROWS = 15
_MOST_BARS = 62
_BAR_WIDTH = 30
_EIGHTHS = " ▏▎▍▌▋▊▉█"
# Reasoning is part of the output, and searches are not tokens.
_CACHE = ("cache_read", "cache_write_5m", "cache_write_1h")
_IN_ALL = ("input", "output", *_CACHE)
_UNASSIGNED = "unassigned"
_BASIS = {
    "reported": "as the providers report it",
    "estimated": "estimated from logged events",
    "mixed": "reported by providers, and estimated from events where they report nothing",
}

Row = dict[str, Any]


def show(report: Report, dimensions: Sequence[str] | None = None) -> None:
    """Print a report to stdout, broken down by `dimensions` (as in their paths: `session-type`) or the usual ones."""
    console = answers()
    demo = " (demo: an invented organisation)" if report["coverage"].get("demo") else ""
    show_table(console, f"Costs from {report['start']} to {report['end']}{demo}", ("", ""), summary(report))
    for name in dimensions or ALWAYS:
        rows = report[f"by_{name.replace('-', '_')}"]
        says_nothing = not dimensions and [row["key"] for row in rows] == [_UNASSIGNED]
        if rows and not says_nothing:
            _breakdown(console, name, rows, report)
    _chart(console, report["by_day"])
    for line in trust(report["coverage"]):
        console.print(clean(line))


def summary(report: Report) -> list[tuple[str, str]]:
    """Return the lines of the overall summary: `(what, figure)`."""
    tokens = report["tokens"]
    classified = add((report["input_cost"], report["output_cost"], report["cache_cost"]))
    other = add((report["total_cost"], -classified))
    searches = tokens.get("web_searches", 0)
    return [
        ("Requests", count(report["requests"]) if report["requests"] else "not reported"),
        ("Input tokens", count(tokens["input"])),
        ("Output tokens", count(tokens["output"])),
        ("Cache read tokens", count(tokens["cache_read"])),
        ("Cache write tokens", count(tokens["cache_write_5m"] + tokens["cache_write_1h"])),
        ("Tokens in all", count(sum(tokens[name] for name in _IN_ALL))),
        *([("Web searches", count(searches))] if searches else []),
        ("Input cost", money(report["input_cost"])),
        ("Output cost", money(report["output_cost"])),
        ("Cache cost", money(report["cache_cost"])),
        *([("Other cost", money(other))] if other else []),
        ("Total cost", money(report["total_cost"])),
    ]


def trust(coverage: dict[str, Any]) -> list[str]:
    """Return what a reader should know before relying on the figures, a sentence each."""
    until = coverage["complete_until"]
    lines = [f"Figures: {_BASIS[coverage['basis']]}" + (f", complete until {_instant(until)}." if until else ".")]
    requests, tokens = coverage["unpriced_requests"], coverage["unpriced_tokens"]
    if requests or tokens:
        of = f" of {count(requests)} request{'' if requests == 1 else 's'}" if requests else ""
        lines.append(f"Not in the costs: {count(tokens)} tokens{of}, whose price is not known.")
    lines += held_back(coverage)
    if coverage.get("demo"):
        lines.append("Demo: the organisation and its figures are invented.")
    return lines


def held_back(coverage: dict[str, Any]) -> list[str]:
    """Return the sentence about rows that are in quarantine, none where there is no such row."""
    held = coverage.get("quarantined_rows")
    if not held:
        return []
    cost = f" ({money(coverage['quarantined_cost'])})" if coverage["quarantined_cost"] else ""
    rows = "row looks" if held == 1 else "rows look"
    return [f"Held back: {count(held)} {rows} absurd{cost}; `cost-tracker quarantine` shows them."]


def bar(cost: Decimal, most: Decimal, *, fine: bool) -> str:
    """Return a bar for `cost`, full at `most`; in eighths of a block where the output can write them (`fine`)."""
    if most <= 0 or cost <= 0:
        return ""
    eighths = int(cost * _BAR_WIDTH * 8 / most)
    if not fine:
        return "#" * max(1, eighths // 8)
    return (_EIGHTHS[8] * (eighths // 8) + _EIGHTHS[eighths % 8]).strip() or _EIGHTHS[1]


def _heading(name: str) -> str:
    return name.replace("-", " ").capitalize()


def _instant(text: str) -> str:
    return f"{text[:16].replace('T', ' ')} UTC"


def _breakdown(console: Console, name: str, rows: Sequence[Row], report: Report) -> None:
    shown = list(rows[:_MOST_ROWS])
    if rest := rows[_MOST_ROWS:]:
        shown.append({"key": f"{len(rest)} others", **_sum(rest)})
    whole = Decimal(report["total_cost"])
    # Anthropic reports tokens and no requests: a column of zeros would be a lie.
    counted = bool(report["requests"])
    lines = [
        (
            "others" if row["key"] is None else row["key"],
            "no price" if row.get("unpriced_tokens") and not row["cost"] else money(row["cost"]),
            f"{row['cost'] / whole:.1%}" if whole else "",
            *([count(row["requests"])] if counted else []),
            count(row["tokens"]["input"]),
            count(row["tokens"]["output"]),
            count(sum(row["tokens"][name] for name in _CACHE)),
        )
        for row in shown
    ]
    requests = ["Requests"] if counted else []
    names = (_heading(name), "Cost", "Share", *requests, "Input", "Output", "Cache")
    show_table(console, f"By {_heading(name).lower()}", names, lines)


def _sum(rows: Iterable[Row]) -> Row:
    found = list(rows)
    return {
        "cost": add(row["cost"] for row in found),
        "requests": sum(row["requests"] for row in found),
        "tokens": add_tokens(row["tokens"] for row in found),
    }


def _chart(console: Console, days: list[Row]) -> None:
    if len(days) == 1:
        return
    title = "By day" if len(days) <= _MOST_BARS else "By week, from Monday"
    rows = days if len(days) <= _MOST_BARS else _weeks(days)
    most = max(Decimal(row["cost"]) for row in rows)
    fine = console.encoding.lower().startswith("utf")
    lines = [(row["key"], bar(row["cost"], most, fine=fine), money(row["cost"])) for row in rows]
    show_table(console, title, ("Date", "", "Cost"), lines, text_columns=2)


def _weeks(days: list[Row]) -> list[Row]:
    def monday(row: Row) -> str:
        day = date.fromisoformat(row["key"])
        return (day - timedelta(days=day.weekday())).isoformat()

    return [{"key": week, **_sum(found)} for week, found in groupby(days, monday)]
