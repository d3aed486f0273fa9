"""A FOCUS CSV as Parquet: real instants, decimals with every digit, in row groups and without holding the file.

Arrow has no types of its own accord for our column's digits: they are looked up in a first reading. Money is
decimal(38, 18) wherever it fits, so that the files of several months have one schema, and wider where a file needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

from shared.core import jsontext
from shared.core.focus_columns import FOCUS_1_2

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from shared.core.focus_columns import Column

# Bytes of CSV in a batch; Arrow reads up to 32 batches ahead.
_BLOCK = 2 * 1024 * 1024
_ROW_GROUP = 32_000
_DIGITS, _WIDE_DIGITS, _SCALE = 38, 76, 18
_INSTANT = pa.timestamp("ms", tz="UTC")


def write(source: Path, target: BinaryIO, metadata: Mapping[str, object]) -> int:
    """Write the FOCUS CSV `source` as Parquet to `target` and return its rows; `metadata` goes into its footer.

    Raises:
        pyarrow.ArrowInvalid: the CSV is not of these columns.
    """
    columns = FOCUS_1_2.columns
    schema = pa.schema(
        [pa.field(column.name, type_) for column, type_ in zip(columns, _types(source, columns), strict=True)],
        metadata={"focus": jsontext.dumps(metadata)},
    )
    rows = 0
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        # Arrow reads no wide decimals from CSV, but makes them of texts.
        read = {field.name: pa.string() if pa.types.is_decimal256(field.type) else field.type for field in schema}
        held: list[pa.RecordBatch] = []
        for batch in _batches(source, read):
            held.append(batch.cast(schema))
            rows += batch.num_rows
            if sum(part.num_rows for part in held) >= _ROW_GROUP:
                writer.write_table(pa.Table.from_batches(held))
                held.clear()
        writer.write_table(pa.Table.from_batches(held, schema))
    return rows


def _types(source: Path, columns: Sequence[Column]) -> list[pa.DataType]:
    decimals = [column.name for column in columns if column.type == "DECIMAL"]
    widest = dict.fromkeys(decimals, (0, 0))
    for batch in _batches(source, dict.fromkeys(decimals, pa.string())):
        for name in decimals:
            widest[name] = _wider(widest[name], batch.column(name))
    return [
        _decimal(*widest[column.name])
        if column.type == "DECIMAL"
        else _INSTANT
        if column.type == "DATETIME"
        else pa.string()
        for column in columns
    ]


def _wider(known: tuple[int, int], texts: pa.Array) -> tuple[int, int]:
    """Return the most digits before and behind the point, of what is known and of these texts (`-12.5`)."""
    points = pc.find_substring(texts, ".")
    before = pc.max(points).as_py() or 0  # a sign counts as a digit, which leaves room for one
    behind = pc.max(pc.subtract(pc.utf8_length(texts), points)).as_py() or 1
    return max(known[0], before), max(known[1], behind - 1)


def _decimal(before: int, behind: int) -> pa.DataType:
    for scale in (_SCALE, behind):
        if scale >= behind and before + scale <= _DIGITS:
            return pa.decimal128(_DIGITS, scale)
    return pa.decimal256(_WIDE_DIGITS, behind)


def _batches(source: Path, types: Mapping[str, pa.DataType]) -> pc_csv.CSVStreamingReader:
    return pc_csv.open_csv(
        source,
        read_options=pc_csv.ReadOptions(block_size=_BLOCK),
        parse_options=pc_csv.ParseOptions(newlines_in_values=True),
        convert_options=pc_csv.ConvertOptions(
            column_types=types, include_columns=list(types), null_values=[""], strings_can_be_null=True
        ),
    )
