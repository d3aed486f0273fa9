"""The FOCUS export of everything the ledger can hold, against the reports and against the specification."""

import subprocess
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cost_tracker.accounting import parquet
from shared import VERSION
from shared.core import jsontext
from shared.core.money import CONTEXT
from shared.core.money import total as exact_total
from tests.e2e.conftest import Service
from tests.unit.focus_rules import COSTS, broken, read

ROOT = Path(__file__).parents[2]

RANGE = {"start": "2026-08-01", "end": "2026-11-20"}
SONNET = "claude-sonnet-4-5"
# Inside the report's coverage and outside of it; every kind of price, and what has none.
EVENTS: list[dict[str, Any]] = [
    {"tokens_in": 900, "tokens_out": 300, "recorded_at": "2026-11-18T10:05:00Z", "cache_read_tokens": 12345},
    {"tokens_in": 70, "tokens_out": 30, "recorded_at": "2026-11-18T23:59:59.999999Z", "agent": "=cmd()", "user": "ada"},
    {"tokens_in": 10, "tokens_out": 3, "recorded_at": "2026-11-17T10:05:00Z", "model": "claude-never-heard-of"},
    {"tokens_in": 1000, "tokens_out": 100, "recorded_at": "2026-08-03T10:00:00Z", "batch": True},
    {"tokens_in": 250_001, "tokens_out": 100, "recorded_at": "2026-08-03T11:00:00Z"},
    {"tokens_in": 250_001, "tokens_out": 99, "recorded_at": "2026-08-03T12:00:00Z", "batch": True},
    {"tokens_in": 5, "tokens_out": 1, "recorded_at": "2026-08-04T00:00:00Z", "cache_write_tokens": 77,
     "cache_write_1h_tokens": 99, "web_searches": 3, "tags": {"env": "prod", "team": "", "project": "theirs"}},
    {"tokens_in": 5, "tokens_out": 1, "recorded_at": "2026-08-04T23:00:00-05:00", "category": "planning"},
    {"tokens_in": 800, "tokens_out": 7, "recorded_at": "2026-08-05T10:00:00Z", "model": "gpt-4o",
     "provider": "openai", "reasoning_tokens": 5},
    {"tokens_in": 800, "tokens_out": 7, "recorded_at": "2026-08-05T10:00:00Z", "model": "who-knows"},
    {"tokens_in": 800, "tokens_out": 7, "recorded_at": "2026-08-05T10:00:00Z", "model": "who-knows",
     "cost": Decimal("0.123456789012345678901234567891")},
    {"recorded_at": "2026-08-06T10:00:00Z", "model": "who-knows", "cost": Decimal("12.5")},
    {"tokens_in": 1, "tokens_out": 1, "recorded_at": "2026-08-06T10:00:00Z", "model": "anthropic/claude-opus-4",
     "provider": "openrouter", "session_label": "peakpaws-n8n"},
    {"tokens_in": 10**6, "tokens_out": 1, "recorded_at": "2026-08-07T10:00:00Z", "description": "to be voided"},
]  # fmt: skip


@pytest.fixture(scope="module")
def served(serve: Callable[..., Service]) -> Service:
    """The demo organisation with events, manual entries and a voided event on top, in a zone that is not UTC."""
    service = serve(TIMEZONE="Asia/Tokyo", COLLECTION_BACKFILL_DAYS="20")
    assert service.post("/admin/collect", wait="28")["status"] == "succeeded"
    body = [{"model": SONNET, **event, "event_id": str(number)} for number, event in enumerate(EVENTS)]
    answer = service.http.post("/api/usage", content=jsontext.dumps(body))
    assert answer.json()["rejected"] == 0, answer.text
    last = answer.json()["results"][-1]["id"]
    assert service.http.post(f"/api/usage/{last}/void", json={"reason": "wrong"}).status_code == 200
    for notes in ("seat, November", "+1 more seat"):
        entry = {"service": "ChatGPT Plus", "date": "2026-08-31", "cost": "20.00", "notes": notes}
        assert service.http.post("/api/usage/manual", json=entry).status_code == 201
    return service


def focus(service: Service, **params: str) -> str:
    answer = service.http.get("/api/usage/export", params={"format": "focus", **params}, follow_redirects=True)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    return answer.text


def exact(rows: list[dict[str, Any]], cost: str, *keys: str) -> dict[tuple[str, ...], Decimal]:
    found: defaultdict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    for row in rows:
        key = tuple(row[name][:10] for name in keys[:1]) + tuple(row[name] for name in keys[1:])
        found[key] = CONTEXT.add(found[key], Decimal(row[cost] or 0))
    return dict(found)


def test_it_breaks_no_rule_of_the_specification(served: Service) -> None:
    rows = read(focus(served))
    assert broken(rows) == []
    # All that the ledger can hold is in it, or the rules would have had nothing to judge.
    assert {(row["x_CostBasis"], row["ChargeCategory"]) for row in rows} == {
        ("estimated", "Usage"), ("billed", "Usage"), ("reported", "Usage"), ("manual", "Usage"),
        ("unpriced", "Usage"), ("balance", "Adjustment"),
    }  # fmt: skip
    assert {row["SkuPriceId"].rpartition("/")[2] for row in rows} >= {"std", "batch", "long", "batch-long", "unpriced"}
    assert {row["x_TokenClass"] for row in rows} >= {"cache_write_1h", "cache_write_5m", "cache_read", "web_search"}


def test_it_adds_up_to_the_lines_and_to_the_reports(served: Service) -> None:
    rows = read(focus(served, **RANGE))
    answer = served.http.get(
        "/api/usage/export", params={**RANGE, "tz": "UTC", "format": "jsonl"}, follow_redirects=True
    )
    lines = [jsontext.loads(line) for line in answer.text.splitlines()]
    said = exact(lines, "cost_usd", "recorded_at", "model", "project")
    for cost in COSTS:
        found = exact(rows, cost, "ChargePeriodStart", "x_Model", "x_Project")
        assert {key: value for key, value in found.items() if value} == {k: v for k, v in said.items() if v}
    total = exact_total(Decimal(row["BilledCost"]) for row in rows)
    assert sum(row["total_tokens"] for row in lines) == sum(Decimal(row["x_TokenCount"] or 0) for row in rows)
    for path, column in {"by-model": "x_Model", "by-project": "x_Project", "by-session-type": "x_SessionType"}.items():
        report = served.get(f"/costs/{path}", **RANGE, tz="UTC", limit="1000")
        assert report["total_cost"] == round(total, 10)
        costs = {key: value for (_, key), value in exact(rows, "BilledCost", "BillingCurrency", column).items()}
        assert {row["key"]: row["cost"] for row in report["data"] if row["cost"]} == {
            key: round(value, 10) for key, value in costs.items() if value
        }


def test_filters_and_days_are_those_of_the_question(served: Service) -> None:
    whole = read(focus(served, **RANGE))
    some = read(focus(served, start="2026-08-04", end="2026-08-05", model=SONNET))
    assert some == [
        row for row in whole
        if row["x_Model"] == SONNET and row["ChargePeriodStart"][:10] in {"2026-08-04", "2026-08-05"}
    ]  # fmt: skip
    # The event of 23:00 five hours west of Greenwich is the next day's, whatever zone the tracker reports in.
    assert [row["ChargePeriodStart"] for row in some if row["x_Category"] == "planning"] == ["2026-08-05T00:00:00Z"] * 2
    assert read(focus(served, agent="nobody")) == []
    assert focus(served, agent="nobody").count("\r\n") == 1
    assert read(focus(served, start="2026-08-04", end="2026-08-04", tz="UTC"))
    refused = served.http.get("/api/usage/export", params={"format": "focus", "tz": "Asia/Tokyo"})
    assert (refused.status_code, "UTC" in refused.text) == (400, True)


def test_what_only_totals_know_is_in_rows_of_its_own(served: Service) -> None:
    rows = read(focus(served, **RANGE))
    entries = [row for row in rows if row["x_CostBasis"] == "manual"]
    assert [(row["ChargeDescription"], row["BilledCost"]) for row in entries] == [
        ("seat, November", "20.0"), ("'+1 more seat", "20.0")
    ]  # fmt: skip
    [digits] = [row for row in rows if row["x_CostBasis"] == "reported" and row["x_TokenCount"]]
    assert digits["ListCost"] == digits["PricingQuantity"] == "0.123456789012345678901234567891"
    assert not any("1000000.0" in row["ConsumedQuantity"] for row in rows)  # voided
    [tagged] = {row["Tags"] for row in rows if "prod" in row["Tags"]}
    assert jsontext.loads(tagged) == {"project": "theirs", "env": "prod", "team": True}
    # Balance lines are taken out of the keys they were counted under, where there were any.
    balance = [row for row in rows if row["x_CostBasis"] == "balance" and row["x_Model"] == SONNET]
    assert {row["ResourceId"] for row in balance if row["x_Project"] == "PeakPaws"} == {"apikey_01DemoPeakpawsCopy"}


def test_the_metadata_describes_the_file(served: Service) -> None:
    found = served.get("/api/usage/export", format="focus-metadata")
    header = focus(served, agent="nobody").strip().split(",")
    [schema] = found["Schema"]
    assert [column["ColumnName"] for column in schema["ColumnDefinition"]] == header
    assert (schema["FocusVersion"], schema["DataGeneratorVersion"]) == ("1.2", VERSION)


def test_the_validator_of_the_finops_foundation_agrees(served: Service, tmp_path: Path) -> None:
    validator = ROOT / ".venv-focus" / "bin" / "python"
    if not (ROOT / ".venv-focus" / ".installed").exists():
        pytest.skip("focus-validator is not installed here: it needs Python 3.12, then run make .venv-focus/.installed")

    def validate(*files: Path) -> list[dict[str, Any]]:
        script = Path(__file__).with_name("focus_validate.py")
        answer = subprocess.run(  # noqa: S603 - our own script and files
            [validator, script, *files], check=True, capture_output=True, text=True, cwd=tmp_path, timeout=300
        )
        found: list[dict[str, Any]] = jsontext.loads(answer.stdout)
        return found

    whole, small, wrong = (tmp_path / f"{name}.csv" for name in ("whole", "small", "wrong"))
    whole.write_text(focus(served, **RANGE), newline="")
    small.write_text(focus(served, start="2026-08-03", end="2026-08-04"), newline="")
    wrong.write_text(small.read_text().replace(",USD,", ",Dollars,"), newline="")
    with (tmp_path / "small.parquet").open("wb") as file:
        parquet.write(small, file, {})
    found, in_parquet, refused = validate(whole, tmp_path / "small.parquet", wrong)
    assert found["broken"] == in_parquet["broken"] == {}
    assert found["rules"] > 500
    assert "BillingCurrency-C-003-M" in refused["broken"]
