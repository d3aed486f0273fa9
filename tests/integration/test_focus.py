"""FOCUS rows from the ledger: keys and workspaces by provider, balance lines by label, parts cut to their whole."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from shared.core import jsontext
from shared.core.focus_columns import FOCUS_1_2
from shared.core.pricing import Rates
from shared.core.usage import Usage
from shared.store import focus
from shared.store.database import Connection
from shared.store.reports import Filters
from tests.integration import stored_lines
from tests.integration.stored_lines import AT, line
from tests.unit.focus_rules import File, broken, read

SPAN = (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))


def exported(connection: Connection) -> File:
    with connection.transaction():
        text = b"".join(focus.stream(connection, FOCUS_1_2, SPAN, Filters())).decode()
    found = read(text)
    assert broken(found) == []
    return found


def an_account(connection: Connection, provider: str, *names: tuple[str, str, str]) -> int:
    row = connection.execute(
        "INSERT INTO accounts (name, provider, owner_id, origin) VALUES (%s, %s, 'org-1', 'stored') RETURNING id",
        [f"my {provider}", provider],
    ).fetchone()
    assert row
    for kind, external_id, name in names:
        connection.execute(
            "INSERT INTO provider_names VALUES (%s, %s, %s, %s, false)", [row["id"], kind, external_id, name]
        )
    account_id: int = row["id"]
    return account_id


def a_bucket(connection: Connection, account_id: int, dimensions: dict[str, str]) -> int:
    row = connection.execute(
        """
        INSERT INTO buckets
            (account_id, stream, bucket_start, bucket_end, key, content_hash, dimensions, raw, fetched_at)
        VALUES (%s, 'usage', %s, %s, 'k', 'h', %s, '{}', %s) RETURNING id
        """,
        [account_id, AT, AT + timedelta(hours=1), jsontext.dumps(dimensions), AT],
    ).fetchone()
    assert row
    bucket_id: int = row["id"]
    return bucket_id


@pytest.mark.parametrize(("provider", "part"), [("anthropic", "workspace_id"), ("openai", "project_id")])
def test_keys_and_parts_of_an_organisation(connection: Connection, provider: str, part: str) -> None:
    account_id = an_account(connection, provider, ("key", "k1", "n8n"), ("workspace", "w1", "blog"))
    bucket_id = a_bucket(connection, account_id, {part: "w1", "api_key_id": "k1"})
    polled = line(
        source="api", provider=provider, account_id=account_id, bucket_id=bucket_id, cost="1", session_label="n8n"
    )
    balance = line(
        source="attribution", provider=provider, account_id=account_id, cost="-0.4", input_cost="-0.3",
        session_label="n8n", input_tokens=-300, output_tokens=-100, reasoning_tokens=-50, audio_output_tokens=-20,
        requests=-1,
    )  # fmt: skip
    stored_lines.store(connection, [polled, balance])
    found = exported(connection)
    assert {(row["ResourceId"], row["ResourceName"]) for row in found} == {("k1", "n8n")}
    [billed] = [row for row in found if row["x_CostBasis"] == "billed"]
    assert (billed["SubAccountId"], billed["SubAccountName"]) == ("w1", "blog")
    assert (billed["BillingAccountId"], billed["BillingAccountName"]) == ("org-1", f"my {provider}")
    taken = {row["x_TokenClass"]: (row["BilledCost"], row["x_TokenCount"]) for row in found if row != billed}
    assert taken == {
        "input": ("-0.3", "-300.0"), "output": ("0.0", "-80.0"), "audio": ("0.0", "-20.0"), "unclassified": ("-0.1", "")
    }  # fmt: skip


def test_a_label_that_several_share_names_nobody(connection: Connection) -> None:
    account_id = an_account(connection, "anthropic", ("key", "k1", "same"), ("key", "k2", "same"))
    stored_lines.store(
        connection,
        [line(source="attribution", account_id=account_id, cost="-1", session_label="same", input_tokens=-5)],
    )
    assert {row["ResourceId"] for row in exported(connection)} == {""}


def test_parts_are_cut_to_their_whole_line_by_line(connection: Connection) -> None:
    rates = Rates(source="override", model="m", input=Decimal(1), output=Decimal(1), reasoning=Decimal(2))
    rates = rates.priced({"audio_input": Decimal(3)})
    row = connection.execute(
        "INSERT INTO rates (fingerprint, detail) VALUES (%s, %s) RETURNING id",
        [rates.fingerprint(), jsontext.dumps(rates.to_json())],
    ).fetchone()
    assert row
    many = [
        # More audio than input, more reasoning than output: what is more than the whole is not billed.
        line(Usage(input=10, audio_input=30, output=7, reasoning=9), cost="0.000044", rates_id=row["id"]),
        line(Usage(input=10, audio_input=5, output=7), cost="0.000027", rates_id=row["id"]),
    ]
    stored_lines.store(connection, many)
    found = {entry["x_TokenClass"]: entry for entry in exported(connection)}
    assert {name: entry["ConsumedQuantity"] for name, entry in found.items()} == {
        "input": "5.0", "audio_input": "15.0", "output": "7.0", "reasoning": "7.0"
    }  # fmt: skip
    assert sum(Decimal(entry["BilledCost"]) for entry in found.values()) == Decimal("0.000071")


def test_prices_that_changed_within_a_day_are_rows_of_their_own(connection: Connection) -> None:
    ids = []
    for price in ("1", "2"):
        rates = Rates(source="override", model="m", input=Decimal(price), output=Decimal(0), since=AT.date())
        row = connection.execute(
            "INSERT INTO rates (fingerprint, detail) VALUES (%s, %s) RETURNING id",
            [rates.fingerprint(), jsontext.dumps(rates.to_json())],
        ).fetchone()
        assert row
        ids.append(row["id"])
    many = [
        line(Usage(input=1000), cost=cost, rates_id=rates_id, at=AT + timedelta(hours=hour))
        for hour, (rates_id, cost) in enumerate(zip(ids, ("0.001", "0.002"), strict=True))
    ]
    stored_lines.store(connection, many)
    assert [(row["ListUnitPrice"], row["ListCost"]) for row in exported(connection)] == [
        ("1.0", "0.001"),
        ("2.0", "0.002"),
    ]
