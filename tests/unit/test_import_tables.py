"""Spend logs of LiteLLM, a predecessor's file, and tables of any making."""

import json
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cost_tracker.imports.times import is_local, utc
from cost_tracker.imports.units import Terms
from shared.core.amounts import amount, whole
from tests.fixtures.imported import read, rows

SECRET = "the text of a prompt"


def spend(**changed: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "request_id": "chatcmpl-1", "call_type": "acompletion", "api_key": "hash", "spend": 0.0041,
        "prompt_tokens": 1000, "completion_tokens": 200, "startTime": "2026-11-20T10:00:00.000Z",
        "model": "gpt-5.5-2026-04-23", "custom_llm_provider": "openai", "user": "u1", "cache_hit": "False",
        "metadata": {"user_api_key_alias": "ci", "usage_object": {"prompt_tokens_details": {"cached_tokens": 400}}},
        "request_tags": ["nightly"], "team_id": "team-1", "session_id": "s-1", "status": "success",
        "messages": {"content": SECRET}, "response": SECRET, **changed,
    }  # fmt: skip


def test_litellm_counts_cached_tokens_once(tmp_path: Path) -> None:
    path = tmp_path / "spend.json"
    anthropic = {"cache_read_input_tokens": 300, "cache_creation_input_tokens": 500}
    path.write_text(
        json.dumps(
            {
                "data": [
                    spend(),
                    spend(request_id="b", metadata=json.dumps({"usage_object": anthropic})),
                    spend(request_id="c", cache_hit="True", spend=0),
                    spend(request_id="d", status="failure", spend=0),
                    spend(request_id="e", prompt_tokens=-4),
                    spend(request_id="f", user="ana@example.com", end_user="customer-7"),
                ],
                "total": 5,
            }
        )
    )
    reading = read(path, "litellm")
    second, cached, first, customer = rows(reading.units)
    assert first == {
        "event_id": "litellm:chatcmpl-1", "model": "gpt-5.5-2026-04-23", "provider": "openai", "tokens_in": 600,
        "tokens_out": 200, "cache_read_tokens": 400, "cache_write_tokens": 0, "cache_write_1h_tokens": 0,
        "cost": "0.0041", "agent": "ci", "user": "u1", "session_label": "s-1", "session_type": "main",
        "request_type": "acompletion", "tags": {"nightly": "true", "team": "team-1"},
        "recorded_at": "2026-11-20T10:00:00.000Z",
    }  # fmt: skip
    assert (second["tokens_in"], second["cache_read_tokens"], second["cache_write_tokens"]) == (200, 300, 500)
    assert (cached["tokens_in"], cached["cost"], customer["user"]) == (0, "0", "customer-7")
    assert (reading.skipped, sum(reading.refused.values())) == ({"failed": 1}, 1)
    assert SECRET not in repr(reading)


def test_litellm_as_csv_of_its_table(tmp_path: Path) -> None:
    path = tmp_path / "LiteLLM_SpendLogs.csv"
    meta = json.dumps({"user_api_key_alias": "ci"}).replace('"', '""')
    path.write_text(
        "request_id,call_type,spend,prompt_tokens,completion_tokens,startTime,model,metadata\n"
        f'r1,completion,0.5,10,5,2026-11-20 10:00:00,gpt-4o,"{meta}"\n'
    )
    [row] = rows(read(path, "litellm").units)
    assert (row["tokens_in"], row["agent"], row["recorded_at"]) == (10, "ci", "2026-11-20T10:00:00.000Z")


def test_the_file_of_a_predecessor(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE usage_log (id INTEGER PRIMARY KEY, timestamp TEXT, model TEXT, input_tokens INTEGER, "
            "output_tokens INTEGER, input_cost REAL, output_cost REAL, total_cost REAL, category TEXT, "
            "description TEXT, metadata TEXT)"
        )
        database.executemany(
            "INSERT INTO usage_log VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            [
                (
                    1,
                    "2026-11-19T23:30:00",
                    "sonnet",
                    1500,
                    750,
                    0.0045,
                    0.01125,
                    0.01575,
                    "planning",
                    "a plan",
                    '{"n": 1}',
                ),
                (2, "2026-11-20T10:00:00Z", "gpt-4o", 2000, 1000, 0.005, 0.01, 0.015, "analysis", None, "{}"),
                (3, None, "haiku", 1, 1, 0, 0, 0, None, None, None),
            ],
        )
    reading = read(path, "usage-log", Terms(zone="Europe/Berlin"))
    plan, other = sorted(rows(reading.units), key=lambda row: str(row["recorded_at"]))
    assert (plan["recorded_at"], plan["tokens_in"], plan["tokens_out"]) == ("2026-11-19T22:30:00.000Z", 1500, 750)
    assert (plan["cost"], plan["category"], plan["description"]) == ("0.01575", "planning", "a plan")
    assert (plan["metadata"], "metadata" in other) == ({"n": 1}, False)
    assert (sum(reading.noted.values()), sum(reading.refused.values()), reading.lines) == (1, 1, 3)
    assert {row["event_id"] for row in rows(read(path, "usage-log").units)} == {plan["event_id"], other["event_id"]}


def test_a_csv_with_dollars(tmp_path: Path) -> None:
    path = tmp_path / "costs.csv"
    path.write_text(
        "\ufeffTimestamp,Model,Input Tokens,Output Tokens,Input Cost,Output Cost,Total Cost,Category\r\n"
        '2026-11-19 10:00:00,sonnet,"1,500",750,$0.0045,$0.01125,$0.01575,planning\r\n'
        '2026-11-19,gpt-4o,,,,,"$1,234.56",\r\n'
        "2026-11-19,gpt-4o,twelve,1,,,,\r\n"
        ",,,,,,,\r\n"
    )
    reading = read(path, "table")
    one, two = sorted(rows(reading.units), key=lambda row: "tokens_in" not in row)
    assert (one["tokens_in"], one["cost"], one["recorded_at"]) == (1500, "0.01575", "2026-11-19T10:00:00.000Z")
    assert (two["cost"], two["recorded_at"], "tokens_in" in two) == ("1234.56", "2026-11-19T12:00:00.000Z", False)
    assert list(reading.refused) == ["A row cannot be read: 'twelve' is no amount."]


def test_columns_are_mapped_as_asked(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("when;engine;prompt;answer;who\n2026-11-19T10:00:00Z;gpt-4o;100;7;ann\n")
    terms = Terms(
        columns=(("recorded_at", "when"), ("model", "engine"), ("tokens_in", "prompt"), ("tokens_out", "answer"))
    )
    from cost_tracker.imports import tabular  # noqa: PLC0415 - a file that nobody recognises

    [row] = rows(tabular.read(str(path), 0, terms).units)
    assert (row["model"], row["tokens_in"], row["tokens_out"], row.get("user")) == ("gpt-4o", 100, 7, None)


def test_rows_that_say_the_same_are_several_and_stay_so(tmp_path: Path) -> None:
    path = tmp_path / "u.jsonl"
    line = json.dumps({"timestamp": 1769753935, "model": "gpt-4o", "prompt_tokens": 1, "completion_tokens": 2})
    path.write_text(f"{line}\n{line}\n")
    first = rows(read(path, "table").units)
    path.write_text(f"{line}\n{line}\n{line}\n")
    second = rows(read(path, "table").units)
    assert len({row["event_id"] for row in first}) == 2
    assert [row["event_id"] for row in second][:2] == [row["event_id"] for row in first]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$1,234.56", "1234.56"),
        ("$0.0045", "0.0045"),
        (" 12 ", "12"),
        ("1e-7", "1E-7"),
        ("", None),
        ("-", None),
        (0.1, "0.1"),
    ],
)
def test_amounts(text: str | float, found: str | None) -> None:
    assert amount(text) == (None if found is None else Decimal(found))


@pytest.mark.parametrize("text", ["twelve", "1.2.3", "NaN", "x1"])
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match="no amount"):
        amount(text)


@pytest.mark.parametrize("value", ["1.5", -1, "-3"])
def test_what_is_no_count(value: object) -> None:
    with pytest.raises(ValueError, match="no count"):
        whole(value)


@pytest.mark.parametrize(
    ("value", "zone", "found"),
    [
        ("2026-11-19T10:00:00.123Z", "UTC", "2026-11-19T10:00:00.123Z"),
        ("2026-11-19T10:00:00+02:00", "UTC", "2026-11-19T08:00:00.000Z"),
        ("2026-11-19 10:00:00.123456", "America/New_York", "2026-11-19T15:00:00.123456Z"),
        ("2026-10-25T02:30:00", "Europe/Berlin", "2026-10-25T00:30:00.000Z"),
        ("2026-11-19", "Asia/Tokyo", "2026-11-19T12:00:00.000Z"),
        (1769753935279, "UTC", "2026-01-30T06:18:55.279Z"),
        (1769753935, "UTC", "2026-01-30T06:18:55.000Z"),
        ("soon", "UTC", None),
        (None, "UTC", None),
        (True, "UTC", None),
    ],
)
def test_times(value: object, zone: str, found: str | None) -> None:
    assert utc(value, zone) == found


def test_which_times_need_a_zone() -> None:
    assert is_local("2026-11-19 10:00:00")
    assert not any(
        is_local(value) for value in ("2026-11-19T10:00:00Z", "2026-11-19T10:00+0100", "2026-11-19", 1769753935)
    )
