"""What people say about prices and names, and what becomes of the usage that is stored."""

from datetime import datetime
from decimal import Decimal
from math import inf
from typing import Any

from shared.core.usage import Usage
from shared.store import models, prices
from shared.store.database import Connection, Database
from shared.workflows.pricing import load_book, set_aliases, set_price
from shared.workflows.reprice import Order, reprice
from tests.integration.collecting import CATALOGUE, NOW
from tests.integration.repricing import AUTHOR, DAY, again, price
from tests.integration.stored_lines import AT, ledger, line, no_drift, store


def test_a_repointed_alias_names_the_next_line_and_reprice_names_the_past(
    database: Database, connection: Connection
) -> None:
    aliased = line(model="claude-3-5-sonnet", model_raw="Sonnet", reported_cost="1")
    cost_only = line(Usage(requests=1), model="claude-3-5-sonnet", model_raw="sonnet", cost="2", reported_cost="2")
    ids = store(connection, [aliased, cost_only])
    again(database)
    name, moved = set_aliases(database, CATALOGUE, "claude-opus-4-6", ["sonnet"], AUTHOR)
    assert (name, moved) == ("claude-opus-4-6", {})
    book = database.run(lambda c: load_book(c, CATALOGUE))
    assert book.canonical("anthropic", "sonnet") == "claude-opus-4-6"
    assert {row["model"] for row in ledger(connection, ids)} == {"claude-3-5-sonnet"}
    [row] = again(database).as_json()["changes"]
    assert (row["model"], row["renamed_from"], row["lines"]) == ("claude-opus-4-6", "claude-3-5-sonnet", 2)
    tokens, said = ledger(connection, ids)
    assert (tokens["model"], tokens["cost"]) == ("claude-opus-4-6", Decimal("0.0175"))  # 1000 x 5 + 500 x 25
    assert (said["model"], said["cost"], said["rates_id"]) == ("claude-opus-4-6", 2, None)
    assert connection.execute("SELECT name, model FROM model_names").fetchall() == [
        {"name": "sonnet", "model": "claude-opus-4-6"}
    ]
    assert ("anthropic", "claude-opus-4-6") in database.run(models.used)
    assert no_drift(database)


def test_what_had_no_price_is_priced_once_its_model_has_one(database: Database, connection: Connection) -> None:
    ids = store(connection, [line(model="ours", at=AT), line(model="ours", at=AT - 40 * DAY), line(cost="1")])
    assert again(database, only_unpriced=True).changes == {}
    price(database, "ours", AT - DAY)
    found = again(database, only_unpriced=True).as_json()
    assert (found["lines"], found["unpriced_before"], found["unpriced_after"]) == (1, 1, 0)
    assert found["cost_after"] == Decimal("0.007")
    new, old, priced = ledger(connection, ids)
    assert (new["cost"], old["cost"], priced["cost"]) == (Decimal("0.007"), None, 1)
    assert no_drift(database)


def test_nothing_without_a_price_loads_no_prices(database: Database, connection: Connection) -> None:
    store(connection, [line(cost="1")])

    def refuse(_connection: Connection) -> Any:  # noqa: ANN401 - it returns nothing
        raise AssertionError("the price book was loaded")

    assert reprice(database, refuse, Order(AUTHOR, "UTC", only_unpriced=True), lambda: inf).days == 0


def test_who_changed_what_is_kept_with_each_day(database: Database, connection: Connection) -> None:
    store(connection, [line(at=AT), line(at=AT - DAY)])
    again(database)
    # Two days at once: either may be done first.
    rows = connection.execute("SELECT * FROM audit_log WHERE action = 'reprice' ORDER BY detail->>'day'").fetchall()
    assert [(row["actor"], row["run_id"], row["at"], row["detail"]["day"]) for row in rows] == [
        ("somebody", 7, NOW, "2026-11-17"),
        ("somebody", 7, NOW, "2026-11-18"),
    ]
    assert rows[0]["detail"]["cost_after"] == Decimal("0.0105")
    assert rows[0]["detail"]["changes"][0]["model"] == "claude-sonnet-4-5"


def test_prices_that_only_carry_another_label_touch_nothing(database: Database, connection: Connection) -> None:
    store(connection, [line()])
    again(database)
    connection.execute("UPDATE rates SET detail = jsonb_set(detail, '{version}', '\"an older edition\"')")
    assert again(database).changes == {}


def test_the_same_price_twice_is_one_and_a_correction_is_another(database: Database, connection: Connection) -> None:
    since = AT - DAY

    def add(output: str, at: datetime | None = since) -> bool:
        figures = {"input": Decimal(2), "output": Decimal(output)}
        return set_price(database, CATALOGUE, "Claude-Sonnet-4-5-20250929", None, at, figures, AUTHOR)[1]

    assert [add("10"), add("10.0"), add("11"), add("11"), add("10")] == [True, False, True, False, True]
    assert [add("10", None), add("12", None), add("12", None)] == [False, True, False]
    rows = connection.execute("SELECT model, output_per_1m, since FROM price_overrides ORDER BY id").fetchall()
    assert [(row["model"], row["output_per_1m"]) for row in rows] == [
        ("claude-sonnet-4-5", 10), ("claude-sonnet-4-5", 11), ("claude-sonnet-4-5", 10), ("claude-sonnet-4-5", 12),
    ]  # fmt: skip
    assert [len(database.run(prices.overrides)), rows[3]["since"]] == [4, NOW]
    logged = connection.execute("SELECT detail FROM audit_log WHERE action = 'price' ORDER BY id").fetchall()
    assert [row["detail"]["output_per_1m"] for row in logged] == [10, 11, 10, 12]
