"""Project rules as people edit them, and which lines they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.core import jsontext
from shared.core.projects import Rule, ordered
from shared.store import rollups
from shared.store.connection import notes_of
from shared.store.dimensions import KEY_ID, WORKSPACE_ID

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from datetime import datetime

    from shared.store.database import Connection

Record = dict[str, Any]

_RULE = "id, pattern, project_name AS project, priority, created_at"
_IDS_AT_ONCE = 100_000
_NAMES = ("label", "agent", "key_name", "workspace_name")
_NAMED = f"""
    LEFT JOIN provider_names AS keys ON keys.account_id = buckets.account_id AND keys.kind = 'key'
        AND keys.external_id = {KEY_ID}
    LEFT JOIN provider_names AS spaces ON spaces.account_id = buckets.account_id AND spaces.kind = 'workspace'
        AND spaces.external_id = {WORKSPACE_ID}
"""
# Lines that rules decide on, under the names they go by today: a polled line's are those of its key and workspace, an
# event's its own label and agent. Whoever named the project has decided; manual entries are a person's word.
_DECIDED = f"""
    SELECT ledger.id, ledger.account_id, ledger.project, ledger.requests, ledger.cost,
        input_tokens + output_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens AS tokens,
        CASE WHEN ledger.bucket_id IS NULL THEN session_label ELSE coalesce(keys.name, spaces.name) END AS label,
        ledger.agent, keys.name AS key_name, spaces.name AS workspace_name
    FROM ledger
    LEFT JOIN buckets ON buckets.id = ledger.bucket_id
    {_NAMED}
    WHERE ledger.source IN ('api', 'event', 'import') AND NOT ledger.project_given AND ledger.voided_at IS NULL
        AND ledger.recorded_at >= %(start)s AND ledger.recorded_at < %(end)s
"""


def rules(connection: Connection) -> tuple[Rule, ...]:
    """Return every rule in the order they are tried."""
    rows = connection.execute("SELECT id, pattern, project_name, priority FROM project_mappings")
    return ordered(Rule(row["pattern"], row["project_name"], row["priority"], row["id"]) for row in rows)


def listed(connection: Connection) -> list[Record]:
    """Return every rule (`id, pattern, project, priority, created_at`) in the order they are tried."""
    rows = {row["id"]: row for row in connection.execute(f"SELECT {_RULE} FROM project_mappings")}
    return [rows[rule.id] for rule in rules(connection) if rule.id in rows]


def lock_rules(connection: Connection) -> None:
    """Let nobody else change a rule until this transaction ends; reading goes on."""
    connection.execute("LOCK TABLE project_mappings IN SHARE ROW EXCLUSIVE MODE")


def get(connection: Connection, rule_id: int) -> Record | None:
    """Return one rule, None if there is none of that id."""
    return connection.execute(f"SELECT {_RULE} FROM project_mappings WHERE id = %s", [rule_id]).fetchone()


def namesake(connection: Connection, pattern: str) -> Record | None:
    """Return the rule with this pattern; upper and lower case do not matter."""
    rows = connection.execute(f"SELECT {_RULE} FROM project_mappings ORDER BY id")
    return next((row for row in rows if row["pattern"].lower() == pattern.lower()), None)


def draw_id(connection: Connection) -> int:
    """Return the id of a rule that is about to be added; the same one when a lost COMMIT is tried again."""
    notes = notes_of(connection)
    if "rule" not in notes:
        row = connection.execute("SELECT nextval(pg_get_serial_sequence('project_mappings', 'id')) AS id").fetchone()
        if row is None:
            raise AssertionError("a sequence gives a number")
        notes["rule"] = int(row["id"])
    found: int = notes["rule"]
    return found


def save(connection: Connection, rule: Rule) -> Record:
    """Store a rule under its id, new or changed, and return it."""
    row = connection.execute(
        f"""
        INSERT INTO project_mappings (id, pattern, project_name, priority) OVERRIDING SYSTEM VALUE
        VALUES (%s, %s, %s, %s)
        ON CONFLICT (id) DO UPDATE SET
            pattern = excluded.pattern, project_name = excluded.project_name, priority = excluded.priority
        RETURNING {_RULE}
        """,
        [rule.id, rule.pattern, rule.project, rule.priority],
    ).fetchone()
    if row is None:
        raise AssertionError("RETURNING gives a row")
    return row


def delete(connection: Connection, rule_id: int) -> Record | None:
    """Delete a rule and return what it was, None if there is none; also when a lost COMMIT is tried again."""
    row = connection.execute(f"DELETE FROM project_mappings WHERE id = %s RETURNING {_RULE}", [rule_id]).fetchone()
    found: Record | None = notes_of(connection).setdefault(f"rule {rule_id}", row)
    return found


def names_of(connection: Connection, bucket_id: int) -> Record:
    """Return `label, key_name, workspace_name` that a bucket goes by today, None where there is no such name."""
    row = connection.execute(
        f"""
        SELECT coalesce(keys.name, spaces.name) AS label, keys.name AS key_name, spaces.name AS workspace_name
        FROM buckets {_NAMED} WHERE buckets.id = %s
        """,
        [bucket_id],
    ).fetchone()
    if row is None:
        raise AssertionError("a row in quarantine goes with its bucket")
    return row


def next_line(connection: Connection, start: datetime, end: datetime) -> datetime | None:
    """Return the first instant in `[start, end)` with a line, None if there is none."""
    row = connection.execute(
        "SELECT min(recorded_at) AS first FROM ledger WHERE recorded_at >= %s AND recorded_at < %s", [start, end]
    ).fetchone()
    return None if row is None else row["first"]


def groups(connection: Connection, start: datetime, end: datetime) -> Generator[Record, None, None]:
    """Yield the lines of `[start, end)` that rules decide on, summed by project and the names they go by.

    Labels may be as many as lines, so a few thousand rows are in memory. Close the generator before the transaction
    ends.
    """
    columns = ", ".join(("project", *_NAMES))
    with connection.cursor(name="lines_by_name") as cursor:
        cursor.itersize = 5000
        yield from cursor.execute(
            f"""
            SELECT {columns}, count(*) AS lines, sum(requests) AS requests, sum(tokens) AS tokens,
                trim_scale(coalesce(sum(cost), 0)) AS cost
            FROM ({_DECIDED}) AS decided GROUP BY {columns}
            """,
            {"start": start, "end": end},
        )


def move(connection: Connection, start: datetime, end: datetime, moves: Sequence[Mapping[str, Any]]) -> list[Record]:
    """Move every line of `[start, end)` whose names are in `moves` to the project given there, with its sums.

    `moves` has the names of `groups` (missing ones as empty text) and `to`. The lines are locked until the transaction
    ends, so that nobody moves them meanwhile. Returns `source, target, lines, requests, tokens, cost` per pair.
    """
    connection.execute(
        """
        CREATE TEMP TABLE moved (
            id bigint, account_id bigint, source text, target text, requests bigint, tokens bigint, cost numeric
        ) ON COMMIT DROP
        """
    )
    same = " AND ".join(f"move.{name} = coalesce(decided.{name}, '')" for name in _NAMES)
    connection.execute(
        f"""
        INSERT INTO moved
        WITH move AS MATERIALIZED (
            SELECT * FROM jsonb_to_recordset(%(moves)s::jsonb)
                AS listed ("to" text, {", ".join(f"{name} text" for name in _NAMES)})
        )
        SELECT decided.id, decided.account_id, decided.project, move."to", decided.requests, decided.tokens,
            decided.cost
        FROM ({_DECIDED}) AS decided JOIN move ON {same} WHERE decided.project <> move."to"
        """,
        {"start": start, "end": end, "moves": jsontext.dumps(moves)},
    )
    connection.execute("ANALYZE moved (id)")
    connection.execute(
        """
        SELECT 1 FROM ledger JOIN moved ON moved.id = ledger.id
        WHERE ledger.recorded_at >= %(start)s AND ledger.recorded_at < %(end)s ORDER BY ledger.id FOR UPDATE OF ledger
        """,
        {"start": start, "end": end},
    )
    return connection.execute(
        """
        SELECT source, target, count(*) AS lines, sum(requests) AS requests, sum(tokens) AS tokens,
            trim_scale(coalesce(sum(cost), 0)) AS cost
        FROM moved GROUP BY source, target ORDER BY source, target
        """
    ).fetchall()


def moved_accounts(connection: Connection) -> list[int]:
    """Return the accounts of the lines that `move` found and that have one."""
    rows = connection.execute("SELECT DISTINCT account_id FROM moved WHERE account_id IS NOT NULL ORDER BY account_id")
    return [row["account_id"] for row in rows]


def apply(connection: Connection, start: datetime, end: datetime, now: datetime) -> None:
    """Bring ledger and roll-ups of `[start, end)` to what `move` found."""
    rows = connection.execute("SELECT id FROM moved ORDER BY id").fetchall()
    chunks = [[row["id"] for row in rows[at : at + _IDS_AT_ONCE]] for at in range(0, len(rows), _IDS_AT_ONCE)]
    for ids in chunks:
        rollups.subtract(connection, ids)
    connection.execute(
        """
        UPDATE ledger SET project = moved.target, updated_at = %(now)s FROM moved
        WHERE ledger.id = moved.id AND ledger.recorded_at >= %(start)s AND ledger.recorded_at < %(end)s
        """,
        {"start": start, "end": end, "now": now},
    )
    for ids in chunks:
        rollups.add(connection, ids)
