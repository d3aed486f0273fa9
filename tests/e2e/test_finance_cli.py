"""Exports for people and for finance: workbooks with real numbers, FOCUS as CSV and Parquet, books without doubles."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cost_tracker.client import Client
from shared.core import jsontext
from tests.e2e.commands import Cli, local, served
from tests.unit.focus_rules import broken, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from infra.local.service import LocalService

TODAY = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
DIGITS = Decimal("0.123456789012345678901234567891")


def an_event(days_ago: int, **fields: object) -> dict[str, Any]:
    return {
        "model": "sonnet",
        "tokens_in": 1500,
        "tokens_out": 750,
        "recorded_at": TODAY - timedelta(days=days_ago),
        **fields,
    }


EVENTS = [
    an_event(1, event_id="first", category="planning", project="PeakPaws", description="=1+1", tags={"env": "prod"}),
    an_event(1, model="gpt-4o", tokens_in=2000, tokens_out=1000, category="analysis", agent="ünïcode 🦊"),
    an_event(40, model="haiku", tokens_in=800, tokens_out=300, category="technical"),
    an_event(40, model="nobody-knows"),
    an_event(41, model="nobody-knows", cost=DIGITS, description="a\r\nb"),
    an_event(700, session_label="kanban-1", batch=True, cache_write_1h_tokens=12, event_id="0012"),
]


@pytest.fixture
def environ(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return local(postgres_dsn, tmp_path_factory.mktemp("finance") / "home")


@pytest.fixture
def service(environ: dict[str, str]) -> Iterator[LocalService]:
    with served(environ) as found:
        with Client(http=found.tracker.client()) as client:
            client.post("/api/usage", EVENTS)
            client.log_manual("perplexity", 12.5, (TODAY - timedelta(days=9)).date())
        yield found


@pytest.fixture
def cli(
    service: LocalService, environ: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Cli:
    """Commands over the database of the service."""
    del service
    return Cli(capsys, monkeypatch, environ)


def test_a_workbook_has_a_sheet_per_breakdown_and_real_numbers(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "usage.xlsx"
    done = cli("export", "--output", str(path), "--tz", "Asia/Tokyo")
    assert (done.code, done.err) == (0, "")
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == [
        "Summary", "By day", "By model", "By project", "By session type", "By category", "By account", "Lines"
    ]  # fmt: skip
    lines = list(book["Lines"].values)
    assert lines[0][:3] == ("id", "recorded_at (Asia/Tokyo)", "provider")
    first = dict(zip(lines[0], lines[-1], strict=True))
    assert first["recorded_at (Asia/Tokyo)"] == (TODAY - timedelta(days=700)).replace(tzinfo=None) + timedelta(hours=9)
    assert (first["input_tokens"], first["event_id"]) == (1500, "0012")
    by_event = {row[lines[0].index("event_id")]: dict(zip(lines[0], row, strict=True)) for row in lines[1:]}
    assert by_event["first"]["cost_usd"] == 0.01575
    # A text stays a text, whatever it looks like.
    described = next(cell for row in book["Lines"].iter_rows() for cell in row if cell.value == "=1+1")
    assert described.data_type == "s"
    money = book["By model"]["B2"]
    assert (money.data_type, "0.00########" in money.number_format) == ("n", True)
    assert all(book[name].freeze_panes == "A2" for name in book.sheetnames[1:])
    assert book["Lines"].column_dimensions["B"].width > 15


def test_every_sheet_adds_up_to_the_report(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "usage.xlsx"
    start = (TODAY - timedelta(days=45)).date().isoformat()
    assert cli("export", "-o", str(path), "--start-date", start).code == 0
    report = cli.json("report", "--start-date", start)
    book = openpyxl.load_workbook(path)
    for name, dimension in {"By model": "model", "By project": "project", "By category": "category"}.items():
        _, *rows, total = book[name].values
        expected = {row["key"]: float(row["cost"]) for row in report[f"by_{dimension}"]}
        assert {row[0]: pytest.approx(row[1], abs=1e-10) for row in rows} == expected
        assert total[:2] == ("Total", pytest.approx(float(report["total_cost"]), abs=1e-10))
    _, *days, _ = book["By day"].values
    assert [day[0] for day in days] == sorted(day[0] for day in days)
    assert isinstance(days[0][0], datetime)
    said = {row[0]: row[1] for row in book["Summary"].values if row[0]}
    assert (said["From"], said["Requests"], said["Unpriced tokens"]) == (start, 5, 2250)
    assert any("15 digits" in str(text) for text in said)


def test_focus_comes_with_its_metadata(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "focus.csv"
    assert cli("export", "--format", "focus", "--output", str(path)).code == 0
    rows = read(path.read_bytes().decode())
    assert broken(rows) == []
    assert [row["ChargePeriodStart"] for row in rows] == sorted(
        (row["ChargePeriodStart"] for row in rows), reverse=True
    )
    metadata = jsontext.loads((tmp_path / "focus.metadata.json").read_bytes())
    assert [column["ColumnName"] for column in metadata["Schema"][0]["ColumnDefinition"]] == list(rows[0])
    assert read(cli("export", "--format", "focus").out) == rows
    assert cli("export", "--format", "focus", "--tz", "Asia/Tokyo").code == 1
    assert cli("export", "--format", "focus", "--project", "Nobody", "-o", str(tmp_path / "x.csv")).code == 3
    assert len(list(tmp_path.iterdir())) == 2


def test_parquet_has_every_digit(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "focus.parquet"
    assert cli("export", "--output", str(path)).code == 0
    assert (tmp_path / "focus.metadata.json").exists()
    table = pq.read_table(path)
    rows = read(cli("export", "--format", "focus").out)
    assert table.column_names == list(rows[0])
    assert table.schema.field("ConsumedQuantity").type == pa.decimal128(38, 18)
    for row, found in zip(rows, table.to_pylist(), strict=True):
        for name, value in found.items():
            text = row[name]
            if isinstance(value, Decimal):
                assert value == Decimal(text)
            elif isinstance(value, datetime):
                assert value == datetime.fromisoformat(text)
            else:
                assert (value or "") == text
    assert DIGITS in table["ListCost"].to_pylist()
    assert jsontext.loads(table.schema.metadata[b"focus"])["DataGenerator"]


def booked(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))


def test_every_dollar_is_handed_out_once(cli: Cli, service: LocalService, tmp_path: Path) -> None:
    def export(name: str, *more: str) -> Any:  # noqa: ANN401 - decoded JSON
        return cli.json("export", "--since-last", "--output", str(tmp_path / name), *more)

    until = (TODAY - timedelta(days=30)).date().isoformat()
    first = export("first.csv", "--end-date", until)
    assert (first["corrections"], first["new"]) == (0, len(booked(tmp_path / "first.csv")))
    export("second.xlsx")
    nothing = cli("export", "--since-last", "--output", str(tmp_path / "nothing.csv"))
    assert (nothing.code, nothing.out, (tmp_path / "nothing.csv").exists()) == (3, "", False)
    with Client(http=service.tracker.client()) as client:
        records = client.get("/api/usage", limit=100)["data"]
        wrong = next(row["id"] for row in records if row["model"] == "gpt-4o")
        entry = next(row["id"] for row in records if row["source"] == "manual")
        client.post(f"/api/usage/{wrong}/void", {"reason": "twice"})
        client.put(f"/api/usage/manual/{entry}", {"cost": 10})
        client.post("/api/usage", [an_event(40, project="Late"), an_event(2)])
    third = export("third.csv")
    rows = booked(tmp_path / "third.csv")
    assert (third["new"], third["corrections"]) == (1, 3)
    by_project = {(row["change"], row["project"], row["model"]): row for row in rows}
    late = by_project["correction", "Late", "claude-3-5-sonnet"]
    assert (late["cost_usd"], late["booked_usd"], late["total_usd"], late["requests"]) == (
        "0.01575",
        "0",
        "0.01575",
        "1",
    )
    entry_row = next(row for row in rows if row["provider"] == "perplexity")
    assert [entry_row[name] for name in ("cost_usd", "booked_usd", "total_usd")] == ["-2.5", "12.5", "10"]
    sheet = openpyxl.load_workbook(tmp_path / "second.xlsx")
    assert sheet.sheetnames == ["Summary", "By month", "To book"]
    heading, *to_book = sheet["To book"].values
    second = sum(Decimal(str(row[heading.index("cost_usd")])) for row in to_book)
    handed = sum(Decimal(row["cost_usd"]) for name in ("first.csv", "third.csv") for row in booked(tmp_path / name))
    with Client(http=service.tracker.client()) as client:
        lines = jsontext.loads(b"".join(client.download("/api/usage/export", format="json")))
    assert handed + second == sum(row["cost_usd"] for row in lines if row["cost_usd"] is not None)


def test_books_are_asked_for_with_a_file_and_a_form(cli: Cli, tmp_path: Path) -> None:
    assert cli("export", "--since-last").code == 2
    assert cli("export", "--since-last", "--output", str(tmp_path / "x.jsonl")).code == 2
    path = str(tmp_path / "x.csv")
    assert cli("export", "--since-last", "--output", path, "--project", "PeakPaws").code == 0
    refused = cli("export", "--since-last", "--output", path)
    assert (refused.code, "other books" in refused.err) == (1, True)
    others = cli("export", "--since-last", "--books", "all", "--output", path)
    assert (others.code, others.out.startswith(f"{path}: ")) == (0, True)


def test_a_deployed_tracker_answers_the_same(cli: Cli, service: LocalService, tmp_path: Path) -> None:
    here = [cli("export", *more).code for more in export_commands(tmp_path, "here")]
    cli.set(COST_TRACKER_URL=service.url, COST_TRACKER_KEY=service.tracker.key)
    there = [cli("export", *more).code for more in export_commands(tmp_path, "there")]
    assert here == there == [0, 0, 0, 0]
    for name in ("books.csv", "focus.csv", "focus.metadata.json"):
        assert (tmp_path / f"here-{name}").read_bytes() == (tmp_path / f"there-{name}").read_bytes()
    assert pq.read_table(tmp_path / "here-focus.parquet").equals(pq.read_table(tmp_path / "there-focus.parquet"))
    sheets = [openpyxl.load_workbook(tmp_path / f"{side}-usage.xlsx") for side in ("here", "there")]
    for name in sheets[0].sheetnames[1:]:
        assert list(sheets[0][name].values) == list(sheets[1][name].values)


def export_commands(folder: Path, side: str) -> list[tuple[str, ...]]:
    return [
        ("--output", str(folder / f"{side}-usage.xlsx")),
        ("--output", str(folder / f"{side}-focus.parquet")),
        ("--format", "focus", "--output", str(folder / f"{side}-focus.csv")),
        ("--since-last", "--books", side, "--output", str(folder / f"{side}-books.csv")),
    ]
