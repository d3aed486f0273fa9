"""What the synthetic organisation pays and no API tells: Perplexity's invoices."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from hashlib import sha256

from infra.demo.organisation import SEED

DAYS = 90
DAY_OF_MONTH = 3


@dataclass(frozen=True, slots=True)
class Invoice:
    """One invoice: the service it is for, the day it counts on, the amount in USD and what is written on it."""

    service: str
    date: date
    cost: Decimal
    notes: str


def invoices(today: date, seed: str = SEED) -> Iterator[Invoice]:
    """Yield the invoices of the `DAYS` days that end with `today`, oldest first."""
    for back in range(DAYS, -1, -1):
        day = today - timedelta(days=back)
        if day.day == DAY_OF_MONTH:
            month = f"{day.replace(day=1) - timedelta(days=1):%B %Y}"
            cents = 2_400 + sha256(f"perplexity|{seed}|{month}".encode()).digest()[0] * 10
            yield Invoice("perplexity", day, Decimal(cents) / 100, f"Sonar API, {month} (an invented invoice)")
