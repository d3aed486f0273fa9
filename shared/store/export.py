"""Every ledger line of a question as text, made by Postgres and passed on row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from shared.store.records import COLUMNS
from shared.store.reports import Filters, conditions

if TYPE_CHECKING:
    from collections.abc import Generator
    from datetime import datetime

    from shared.store.database import Connection

Format: TypeAlias = Literal["csv", "json", "jsonl"]

_INSTANTS = ("recorded_at", "collected_at", "updated_at")
_MONEY = ("cost_usd", "input_cost", "output_cost", "cache_cost", "reported_cost")
_TEXTS = (
    "event_id", "provider", "account", "model", "model_raw", "priced_by", "project", "agent", "user", "session_label",
    "session_type", "category", "description", "request_type", "source", "service_tier", "speed", "inference_geo",
)  # fmt: skip
# What spreadsheets take for the beginning of a formula.
_FORMULA = "ARRAY['=', '+', '-', '@', E'\\t', E'\\r']"


def stream(
    connection: Connection, form: Format, span: tuple[datetime, datetime], filters: Filters
) -> Generator[bytes, None, None]:
    """Yield the lines of `[start, end)` (UTC) that pass the filters, newest first, as UTF-8 text in pieces.

    Voided events are left out, balance lines are not: the sum is that of the reports. Money has all of its digits,
    instants are ISO 8601 in UTC. CSV is RFC 4180 with a heading; texts that a spreadsheet would run begin with a quote.
    Read it to its end, or close it, before the transaction ends.
    """
    where, values = conditions("facts.recorded_at", filters, "facts")
    columns = ", ".join(f'{_expression(name, form)} AS "{name}"' for name in COLUMNS)
    query = (
        f"SELECT {columns} FROM kept_records JOIN facts USING (id) WHERE {where} "
        "ORDER BY facts.recorded_at DESC, id DESC"
    )
    if form != "csv":
        query = f"SELECT row_to_json(line) FROM ({query}) AS line"
    statement = f"COPY ({query}) TO STDOUT {'(FORMAT csv, HEADER)' if form == 'csv' else ''}"
    bounds = {"start": span[0], "end": span[1]}
    with connection.cursor().copy(statement, {**values, **bounds}) as copy:
        if form == "csv":
            # Postgres ends its rows with a line feed alone, those inside of texts it leaves as they are.
            yield from (bytes(row)[:-1] + b"\r\n" for row in copy)
            return
        rows = (str(row[0]).encode() for row in copy.rows())
        if form == "jsonl":
            yield from (row + b"\n" for row in rows)
            return
        yield b"["
        for number, row in enumerate(rows):
            yield b",\n" + row if number else b"\n" + row
        yield b"\n]\n"


def _expression(name: str, form: Format) -> str:
    column = f'kept_records."{name}"' if name != "id" else "id"
    if name in _INSTANTS:
        # As in answers: fractions of a second only where there are any.
        utc = f"{column} AT TIME ZONE 'UTC'"
        return (
            f"to_char({utc}, CASE WHEN date_trunc('second', {column}) = {column} "
            """THEN 'YYYY-MM-DD"T"HH24:MI:SS"Z"' ELSE 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"' END)"""
        )
    if name in _MONEY:
        return f"trim_scale({column})"
    if name in _TEXTS and form == "csv":
        return f"CASE WHEN left({column}, 1) = ANY({_FORMULA}) THEN '''' || {column} ELSE {column} END"
    return column
