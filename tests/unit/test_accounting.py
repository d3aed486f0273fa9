"""Conversions of exports: types of Parquet by the digits there are, workbooks at Excel's limits."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cost_tracker.accounting import parquet, usage_workbook
from cost_tracker.accounting.sheets import MAX_ROWS
from shared.core.focus import rows
from shared.core.focus_columns import FOCUS_1_2
from shared.store.records import COLUMNS
from tests.unit.test_focus import RATES, lines

if TYPE_CHECKING:
    from pathlib import Path

    from shared.core.focus import Row

UTC = ZoneInfo("UTC")


def focus_file(path: Path, *found: Row) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(FOCUS_1_2.names)
        writer.writerows([row.get(name) for name in FOCUS_1_2.names] for row in found)
    return path


def converted(source: Path) -> pa.Table:
    target = source.with_suffix(".parquet")
    with target.open("wb") as file:
        count = parquet.write(source, file, {"a": 1})
    table = pq.read_table(target)
    assert table.num_rows == count
    return table


@pytest.mark.parametrize(
    ("cost", "type_"),
    [
        ("3.7", pa.decimal128(38, 18)),
        ("0.123456789012345678901234567891", pa.decimal128(38, 30)),
        ("-12345678.123456789012345678901234567891", pa.decimal256(76, 30)),
        ("12345678901234567890.123456789012345678", pa.decimal128(38, 18)),
    ],
)
def test_money_is_as_wide_as_it_has_to_be(tmp_path: Path, cost: str, type_: pa.DataType) -> None:
    small = list(rows(lines(cost="0.003", input=1000, rates=RATES)))
    table = converted(focus_file(tmp_path / "focus.csv", *small, *rows(lines("billed", cost))))
    assert table.schema.field("BilledCost").type == type_
    assert table["BilledCost"].to_pylist() == [Decimal("0.003"), Decimal(cost)]
    assert table.schema.field("ChargePeriodEnd").type == pa.timestamp("ms", tz="UTC")


def test_texts_may_hold_anything_and_null_is_null(tmp_path: Path) -> None:
    text = 'a "quote", a comma,\r\nand a line'
    table = converted(focus_file(tmp_path / "focus.csv", *rows(lines("manual", "1", notes=text))))
    assert (table["ChargeDescription"].to_pylist(), table["x_Agent"].to_pylist()) == ([text], [None])


def test_a_file_without_rows_has_its_columns(tmp_path: Path) -> None:
    table = converted(focus_file(tmp_path / "focus.csv"))
    assert (table.column_names, table.num_rows) == (list(FOCUS_1_2.names), 0)


def line_file(path: Path, count: int, **fields: str) -> Path:
    numbers = {
        "requests": "1",
        "recorded_at": "2026-11-20T10:30:00.5Z",
        "model": "m",
        "project": "P",
        "cost_usd": "0.1",
    }
    tokens = {name: "5" for name in COLUMNS if name.endswith("_tokens")}
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\r\n")
        writer.writeheader()
        for number in range(count):
            writer.writerow({**tokens, **numbers, "id": str(number), **fields})
    return path


def opened(source: Path, most_rows: int = MAX_ROWS) -> openpyxl.Workbook:
    held = io.BytesIO()
    usage_workbook.write(source, held, UTC, {"From": "the beginning"}, most_rows=most_rows)
    return openpyxl.load_workbook(held)


def test_lines_without_a_row_are_in_every_sum(tmp_path: Path) -> None:
    book = opened(line_file(tmp_path / "lines.csv", 10), most_rows=8)
    assert book["Lines"].max_row == 8
    assert [cell.value for cell in book["By model"][2]][:2] == ["m", 1.0]  # ten tenths, not 0.9999999999999999
    notes = [str(row[0]) for row in book["Summary"].values]
    assert any("line 7 of 10" in note for note in notes)
    assert not any(
        "line" in str(row[0]) for row in opened(line_file(tmp_path / "l.csv", 7), most_rows=8)["Summary"].values
    )


def test_what_has_no_price_is_empty_and_said(tmp_path: Path) -> None:
    book = opened(line_file(tmp_path / "lines.csv", 2, cost_usd="", agent="'=cmd()", description="'quoted'"))
    heading, first, _ = book["Lines"].values
    line = dict(zip(heading, first, strict=True))
    assert (line["cost_usd"], line["agent"], line["description"]) == (None, "=cmd()", "'quoted'")
    assert any("Unpriced" in str(row[0]) for row in book["Summary"].values)
    assert book["By day"]["A2"].value.isoformat() == "2026-11-20T00:00:00"


def test_nothing_is_a_workbook_too(tmp_path: Path) -> None:
    book = opened(line_file(tmp_path / "lines.csv", 0))
    assert [row[:2] for row in book["By model"].values][1:] == [("Total", 0)]
