"""What is to be booked since the last export to the same books, as CSV or as a workbook."""

from __future__ import annotations

import csv
import io
from codecs import BOM_UTF8
from collections import defaultdict
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from cost_tracker.accounting.books import KEYS
from cost_tracker.accounting.lines import unguarded
from shared.core.money import CONTEXT, plain, total

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO

    from cost_tracker.accounting.books import Posting

_NEW, _CORRECTION = "new", "correction"
_FIGURES = ("cost_usd", "requests", "total_tokens", "unpriced_tokens", "booked_usd", "total_usd")
_WIDTHS = {"date": 12, "model": 24, "session_type": 13}


def to_csv(postings: Sequence[Posting], target: BinaryIO, _about: Mapping[str, str]) -> None:
    """Write postings as CSV for spreadsheets, money with all digits."""
    held = io.StringIO(newline="")
    writer = csv.writer(held, lineterminator="\r\n")
    writer.writerow(("change", *KEYS, *_FIGURES))
    for posting in postings:
        money = (posting.now.cost, posting.before.cost, _after(posting))
        cost, booked, whole = map(plain, money)
        now = posting.now
        writer.writerow(
            (_change(posting), *posting.key, cost, now.requests, now.tokens, now.unpriced_tokens, booked, whole)
        )
    target.write(BOM_UTF8 + held.getvalue().encode())


def to_workbook(postings: Sequence[Posting], target: BinaryIO, about: Mapping[str, str]) -> None:
    """Write postings as a workbook: what to book by month and project, and the postings themselves."""
    from cost_tracker.accounting import sheets  # noqa: PLC0415 - not for a CSV
    from cost_tracker.accounting.sheets import COUNT, DAY, MONEY, Column  # noqa: PLC0415 - the same

    cost = Column("Cost (USD)", 18, MONEY)
    with sheets.workbook(target) as book:
        summary = sheets.summary(book)
        for name, text in about.items():
            summary.named(name, text)
        for change in (_NEW, _CORRECTION):
            costs = [posting.now.cost for posting in postings if _change(posting) == change]
            summary.named(f"Cost (USD), {change}", total(costs), MONEY)
        summary.add("Excel keeps 15 digits of a number; the same as CSV has all of them.")
        months = book.sheet("By month", Column("Month", 12), Column("Project", 28), Column("Change", 12), cost)
        for (month, project, change), amount in sorted(_by_month(postings).items()):
            months.add(month, project, change, amount)
        texts = [Column(name, _WIDTHS.get(name, 16)) for name in KEYS[1:]]
        counts = [Column(name, 16, COUNT) for name in _FIGURES[1:4]]
        lines = book.sheet(
            "To book", Column("change", 11), Column("date", 12, DAY), *texts, Column("cost_usd", 18, MONEY), *counts,
            Column("booked_usd", 18, MONEY), Column("total_usd", 18, MONEY),
        )  # fmt: skip
        for posting in postings:
            now = posting.now
            lines.add(
                _change(posting), date.fromisoformat(posting.key[0]), *map(unguarded, posting.key[1:]), now.cost,
                now.requests, now.tokens, now.unpriced_tokens, posting.before.cost, _after(posting),
            )  # fmt: skip
        lines.filter()


def _change(posting: Posting) -> str:
    return _CORRECTION if posting.is_correction else _NEW


def _after(posting: Posting) -> Decimal:
    return CONTEXT.add(posting.now.cost, posting.before.cost)


def _by_month(postings: Sequence[Posting]) -> dict[tuple[str, str, str], Decimal]:
    found: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for posting in postings:
        month = posting.key[0][: len("2026-11")]
        key = (month, unguarded(posting.key[KEYS.index("project")]), _change(posting))
        found[key] = CONTEXT.add(found[key], posting.now.cost)
    return found
