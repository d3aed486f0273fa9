"""The arithmetic in SQL against the one in Python: the same cost, components and rates, to the last digit."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import inf

import pytest

from shared.core.pricing import Rates
from shared.core.usage import PriceContext, Usage
from shared.prices.book import PriceBook
from shared.prices.overrides import Override
from shared.store.audit import Author
from shared.store.database import Connection, Database
from shared.workflows.lines import _costs
from shared.workflows.reprice import Order, reprice
from tests.integration.collecting import CATALOGUE, NOW
from tests.integration.stored_lines import COSTS, Line, ledger, line, no_drift, store

MODELS = (
    ("anthropic", "claude-sonnet-4-5-20250929"),
    ("anthropic", "claude-haiku-4-5"),
    ("anthropic", "claude-haiku-5.5"),
    ("anthropic", "claude-opus-4-20250514"),
    ("anthropic", "claude-nobody-knows"),
    ("openai", "gpt-4o"),
    ("openai", "gpt-4o-audio-preview"),
    ("openai", "gpt-5.4"),
    ("google", "gemini-2.5-pro"),
    ("google", "gemini-2.5-flash"),
    ("deepseek", "deepseek-chat"),
    ("deepseek", "deepseek-v4-flash"),
    ("perplexity", "sonar-pro"),
    ("local", "ollama/llama3"),
    ("moonshotai", "kimi-k1.5"),
    ("a gateway", "claude-sonnet-4-5"),
)
CONTEXTS = (
    PriceContext(),
    PriceContext(service_tier="standard"),
    PriceContext(service_tier=""),
    PriceContext(service_tier="priority"),
    PriceContext(service_tier="flex"),
    PriceContext(batch=True),
    PriceContext(speed="fast"),
    PriceContext(inference_geo="us"),
    PriceContext(context_window="0-200k"),
    PriceContext(context_window="200k-1M", batch=True),
    PriceContext(context_window="odd"),
    PriceContext(context_window=""),
)
DAYS = (datetime(2024, 12, 31, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 11, 18, tzinfo=UTC))
THRESHOLDS = (200_000, 272_000, 100_000, 32_000)
OVERRIDES = (
    # A price that begins in the middle of a day, and one so fine that it fills every decimal there is.
    Override("1", "claude-haiku-4-5", DAYS[2] + timedelta(hours=12), NOW, Decimal(2), Decimal("0.5")),
    Override("2", "gpt-4o", DAYS[1], NOW, Decimal("0." + "1" * 24), Decimal("3." + "7" * 24), "openai"),
)


def usage(rng: random.Random) -> Usage:
    def some(most: int) -> int:
        return rng.choice([0, 0, 1, rng.randrange(most), 10**15 if rng.random() < 0.02 else 7])

    size = rng.choice([0, rng.choice(THRESHOLDS), rng.choice(THRESHOLDS) + 1, rng.randrange(400_000)])
    cached = rng.randrange(size + 1)
    return Usage(
        input=size - cached,
        output=some(5000),
        cache_read=cached,
        cache_write_5m=some(100),
        cache_write_1h=some(100),
        reasoning=some(6000),
        audio_input=some(3000),
        audio_output=some(3000),
        image_input=some(3000),
        image_output=some(3000),
        web_searches=rng.choice([0, 0, 0, 3]),
        requests=rng.choice([0, 1, 1, 1, 12]),
    )


def lines(rng: random.Random, number: int) -> list[Line]:
    found = []
    for _ in range(number):
        provider, model = rng.choice(MODELS)
        at = rng.choice(DAYS) + timedelta(
            seconds=rng.choice([0, 30 * 60, 43_200, 86_399, rng.randrange(86_400)]),
            microseconds=rng.choice([0, 999_999]),
        )
        found.append(line(usage(rng), at=at, model=model, context=rng.choice(CONTEXTS), provider=provider))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_sql_multiplies_as_python_does(database: Database, connection: Connection, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - lines, the same at each run
    book = PriceBook(OVERRIDES, CATALOGUE)
    ids = store(connection, lines(rng, 1500))
    reprice(database, lambda _: book, Order(Author("test", NOW), "UTC"), lambda: inf)
    details = {row["id"]: row["detail"] for row in connection.execute("SELECT id, detail FROM rates")}
    priced = 0
    for row in ledger(connection, ids):
        counts = Usage(
            **{
                name: row[name if name in {"requests", "web_searches"} else f"{name}_tokens"]
                for name in Usage.__dataclass_fields__
            }
        )
        context = PriceContext(
            row["service_tier"], row["is_batch"], row["speed"], row["inference_geo"], row["context_window"]
        )
        expected = book.price(row["provider"], row["model_raw"], row["recorded_at"], counts, context)
        costs = expected[0] if expected else None
        assert row["cost"] == (costs.total if costs else None), row
        # As written, not only as compared: no trailing zeros, so that exports agree with the API.
        assert [str(row[name]) for name in COSTS] == [str(cost) for cost in _costs(costs).values()]
        assert row["model"] == book.canonical(row["provider"], row["model_raw"])
        stored = Rates.from_json(details[row["rates_id"]]) if row["rates_id"] else None
        assert stored == (expected[1] if expected else None)
        priced += expected is not None
    assert 300 < priced < 1500
    assert no_drift(database)
