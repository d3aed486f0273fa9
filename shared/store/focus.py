"""Ledger lines summed by day and everything FOCUS tells apart, and written as its CSV while they are read."""

from __future__ import annotations

import csv
import io
from contextlib import closing
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from shared.core import jsontext
from shared.core.focus import Row, rows
from shared.core.focus_parts import BALANCE, BILLED, COST_COMPONENTS, ESTIMATED, MANUAL, REPORTED, UNPRICED, Lines
from shared.core.pricing import TOKEN_CLASSES, Rates
from shared.store.dimensions import KEY_ID, WORKSPACE_ID
from shared.store.reports import Filters, conditions

if TYPE_CHECKING:
    from collections.abc import Generator
    from datetime import datetime

    from shared.core.focus_columns import Dataset
    from shared.store.database import Connection

_PIECE = 64 * 1024
_NO_ACCOUNT = "none"

# What lines are told apart by. A manual entry is a row of its own, because its note is what an accountant reads.
_KEYS = {
    "day": "(ledger.recorded_at AT TIME ZONE 'UTC')::date",
    "account_id": "ledger.account_id",
    "provider": "ledger.provider",
    "model": "ledger.model",
    "basis": f"""
        CASE WHEN ledger.source = 'attribution' THEN '{BALANCE}' WHEN ledger.cost IS NULL THEN '{UNPRICED}'
            WHEN ledger.source = 'manual' THEN '{MANUAL}' WHEN ledger.rates_id IS NOT NULL THEN '{ESTIMATED}'
            WHEN ledger.source = 'api' THEN '{BILLED}' ELSE '{REPORTED}' END""",
    "source": "ledger.source",
    "rates_id": "CASE WHEN ledger.cost IS NOT NULL THEN ledger.rates_id END",
    "workspace_id": f"coalesce({WORKSPACE_ID}, named.workspace_id)",
    "key_id": f"coalesce({KEY_ID}, named.key_id)",
    "service_tier": "ledger.service_tier",
    "is_batch": "ledger.is_batch",
    "speed": "ledger.speed",
    "region": "ledger.inference_geo",
    "project": "ledger.project",
    "session_type": "ledger.session_type",
    "agent": "ledger.agent",
    "category": "ledger.category",
    "user_name": "ledger.user_name",
    "tags": "ledger.tags",
    "entry_id": "CASE WHEN ledger.source = 'manual' THEN ledger.id END",
    "notes": "CASE WHEN ledger.source = 'manual' THEN ledger.description END",
}
# Parts are counted inside their wholes: what is left of a whole is a class of its own. They are cut to it as pricing
# does, line by line. Balance lines are negative throughout.
_CUT = {
    "audio_input": "least(abs(audio_input_tokens), abs(input_tokens))",
    "audio_output": "least(abs(audio_output_tokens), abs(output_tokens))",
    "image_input": "least(abs(image_input_tokens), abs(input_tokens) - audio_input)",
    "image_output": "least(abs(image_output_tokens), abs(output_tokens) - audio_output)",
    "reasoning": "least(abs(reasoning_tokens), abs(output_tokens) - audio_output - image_output)",
}
_COUNTS = {
    "input": "input_tokens - sign * (audio_input + image_input)",
    "output": "output_tokens - sign * (audio_output + image_output + reasoning)",
    **{name: f"sign * {name}" for name in _CUT},
    **{name: f"{name}_tokens" for name in ("cache_read", "cache_write_5m", "cache_write_1h")},
}
# Everything that a row of the answer holds, in order; text where psycopg would make objects that are not needed.
_ANSWER = {
    "day": "text",
    "basis": "text",
    "source": "text",
    "provider": "text",
    "model": "text",
    "project": "text",
    "session_type": "text",
    "account_id": "text",
    "account_name": "text",
    "is_organization": "bool",
    "rates": "text",
    "workspace_id": "text",
    "workspace_name": "text",
    "key_id": "text",
    "key_name": "text",
    "service_tier": "text",
    "is_batch": "bool",
    "speed": "text",
    "region": "text",
    "agent": "text",
    "user_name": "text",
    "category": "text",
    "notes": "text",
    "tags": "text",
    **{f"{name}_count": "text" for name in TOKEN_CLASSES},
    "web_searches": "text",
    "requests": "text",
    "cost": "text",
    **{f"{name}_cost": "text" for name in COST_COMPONENTS},
}
_SHOWN = {
    "account_id": f"coalesce(accounts.owner_id, line.account_id::text, '{_NO_ACCOUNT}')",
    "account_name": f"coalesce(accounts.name, '{_NO_ACCOUNT}')",
    "is_organization": "accounts.owner_id IS NOT NULL",
    "rates": "rates.detail",
    "workspace_name": "workspaces.name",
    "key_name": "api_keys.name",
}


def stream(
    connection: Connection, dataset: Dataset, span: tuple[datetime, datetime], filters: Filters
) -> Generator[bytes, None, None]:
    """Yield the lines of `[start, end)`, UTC midnights, that pass the filters as CSV of the dataset, in pieces.

    Newest day first, in an order that does not change. Voided events are left out, balance lines are not: the sum of
    any cost is that of the reports. Read it to its end, or close it, before the transaction ends.
    """
    held = io.StringIO(newline="")
    writer = csv.writer(held, lineterminator="\r\n")
    # A row in the order of the columns, nulls where it says nothing.
    empty: Row = dict.fromkeys(dataset.names)
    writer.writerow(empty)
    with closing(_lines(connection, span, filters)) as groups:
        for lines in groups:
            for row in rows(lines):
                writer.writerow((empty | row).values())
            if held.tell() > _PIECE:
                yield _taken(held)
    yield _taken(held)


def _taken(held: io.StringIO) -> bytes:
    piece = held.getvalue().encode()
    held.seek(0)
    held.truncate()
    return piece


def _lines(connection: Connection, span: tuple[datetime, datetime], filters: Filters) -> Generator[Lines, None, None]:
    where, values = conditions("facts.recorded_at", filters, "facts")
    with connection.cursor().copy(
        f"COPY ({_query(where)}) TO STDOUT", {**values, "start": span[0], "end": span[1]}
    ) as copy:
        copy.set_types(list(_ANSWER.values()))
        for row in copy.rows():
            yield _group(dict(zip(_ANSWER, row, strict=True)))


def _query(where: str) -> str:
    cuts = ""
    for name, expression in _CUT.items():
        cuts += f"CROSS JOIN LATERAL (SELECT {expression} AS {name}) AS cut_{name} "
    sums = [f"sum({expression}) AS {name}_count" for name, expression in _COUNTS.items()]
    sums += [f"sum(ledger.{name}) AS {name}" for name in ("web_searches", "requests", "cost")]
    sums += [f"sum(ledger.{name}_cost) AS {name}_cost" for name in COST_COMPONENTS]
    shown = ", ".join(f"{_SHOWN.get(name, f'line.{name}')} AS {name}" for name in _ANSWER)
    return f"""
        SELECT {shown}
        FROM (
            SELECT {", ".join(f"{expression} AS {name}" for name, expression in _KEYS.items())}, {", ".join(sums)}
            FROM ledger JOIN (SELECT id FROM facts WHERE {where}) AS kept USING (id)
            LEFT JOIN buckets ON buckets.id = ledger.bucket_id
            -- A balance line knows the label of its bucket, which is the name of a key or a workspace.
            LEFT JOIN (
                SELECT account_id, name, max(external_id) FILTER (WHERE kind = 'workspace') AS workspace_id,
                    max(external_id) FILTER (WHERE kind = 'key') AS key_id
                FROM provider_names GROUP BY account_id, name HAVING count(*) = 1
            ) AS named ON ledger.source = 'attribution' AND named.account_id = ledger.account_id
                AND named.name = ledger.session_label
            CROSS JOIN LATERAL (SELECT CASE ledger.source WHEN 'attribution' THEN -1 ELSE 1 END AS sign) AS signs
            {cuts}
            GROUP BY {", ".join(str(place) for place in range(1, len(_KEYS) + 1))}
        ) AS line
        LEFT JOIN accounts ON accounts.id = line.account_id
        LEFT JOIN rates ON rates.id = line.rates_id
        LEFT JOIN provider_names AS workspaces ON workspaces.account_id = line.account_id
            AND workspaces.kind = 'workspace' AND workspaces.external_id = line.workspace_id
        LEFT JOIN provider_names AS api_keys ON api_keys.account_id = line.account_id
            AND api_keys.kind = 'key' AND api_keys.external_id = line.key_id
        ORDER BY line.day DESC, {", ".join(f"line.{name}" for name in _KEYS if name != "day")}
    """


def _group(row: dict[str, Any]) -> Lines:
    return Lines(
        day=date.fromisoformat(row["day"]),
        basis=row["basis"],
        source=row["source"],
        provider=row["provider"],
        model=row["model"],
        project=row["project"],
        session_type=row["session_type"],
        account_id=row["account_id"],
        account_name=row["account_name"],
        is_organization=row["is_organization"],
        tokens={name: int(row[f"{name}_count"]) for name in TOKEN_CLASSES},
        web_searches=int(row["web_searches"]),
        requests=int(row["requests"]),
        cost=None if row["cost"] is None else Decimal(row["cost"]),
        costs={name: Decimal(row[f"{name}_cost"]) for name in COST_COMPONENTS},
        rates=None if row["rates"] is None else _rates(row["rates"]),
        workspace_id=row["workspace_id"],
        workspace_name=row["workspace_name"],
        key_id=row["key_id"],
        key_name=row["key_name"],
        service_tier=row["service_tier"],
        is_batch=row["is_batch"],
        speed=row["speed"],
        region=row["region"],
        agent=row["agent"],
        user=row["user_name"],
        category=row["category"],
        notes=row["notes"],
        tags=jsontext.loads(row["tags"]) if row["tags"] else {},
    )


@lru_cache(maxsize=512)
def _rates(detail: str) -> Rates:
    return Rates.from_json(jsontext.loads(detail))
