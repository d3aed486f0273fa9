"""The project's own names table, `models.json`: names people type, built-in prices, and what subscriptions cost."""

from __future__ import annotations

import json
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from shared.core.money import parse_money
from shared.core.naming import BuiltIn, Entry, Names
from shared.core.pricing import PRICES

_TABLE = Path(__file__).with_name("models.json")


@cache
def names() -> Names:
    """Return the table without user aliases, read once per process."""
    return Names(_entry(row) for row in _table()["models"])


def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(_TABLE.read_text(encoding="utf-8"))
    return table


def _entry(row: dict[str, Any]) -> Entry:
    """Read one row: prices are USD per million tokens (fees per thousand) at the standard tier, as decimal text."""
    prices = {name: parse_money(row[name]) for name in PRICES if name in row}
    built_in = BuiltIn(date.fromisoformat(row["since"]), prices) if row["price"] == "built-in" else None
    return Entry(row["id"], row["provider"], tuple(row["names"]), built_in, prices)
