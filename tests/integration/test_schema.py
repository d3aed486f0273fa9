"""Migrations: forward only, whole or not at all, safe for two at once, refused when edited."""

import threading
from dataclasses import replace

import psycopg
import pytest

from shared.errors import MigrationError
from shared.store import projects
from shared.store.database import Connection, connect
from shared.store.migrate import Migration, load, migrate, version
from tests.unit.test_projects import DEFAULTS

PUBLIC_TABLES = {
    "usage_records": "id event_id recorded_at collected_at updated_at provider account model model_raw input_tokens "
    "output_tokens cache_read_tokens cache_write_tokens cache_write_1h_tokens total_tokens requests cost_usd "
    "input_cost output_cost cache_cost reported_cost priced_by project agent user session_label session_type category "
    "description request_type source tags metadata raw_data reasoning_tokens audio_input_tokens audio_output_tokens "
    "image_input_tokens image_output_tokens web_searches service_tier batch speed inference_geo",
    "daily_summaries": "date total_cost total_requests by_model by_session_type by_project by_agent synced_to_cv "
    "synced_at payload_hash",
    "project_mappings": "pattern project_name priority",
}


def shape(connection: Connection) -> list[tuple[object, ...]]:
    rows = connection.execute(
        """
        SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
        WHERE table_schema = 'public' ORDER BY 1, 2
        """
    )
    return [tuple(row.values()) for row in rows]


def test_running_again_changes_nothing(connection: Connection) -> None:
    before = shape(connection)
    connection.execute("DELETE FROM project_mappings WHERE pattern = 'kanban-*'")
    assert migrate(connection) == []
    assert shape(connection) == before
    # A default rule that was deleted stays deleted.
    assert connection.execute("SELECT 1 FROM project_mappings WHERE pattern = 'kanban-*'").fetchall() == []


def test_the_default_rules_are_those_of_the_contract(connection: Connection) -> None:
    assert projects.rules(connection) == DEFAULTS


def test_two_migrators_at_once(blank_dsn: str) -> None:
    applied: list[list[str]] = []

    def run() -> None:
        with connect(blank_dsn) as own:
            applied.append(migrate(own))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(name for names in applied for name in names) == [f"{m.version:04} {m.name}" for m in load()]


def test_an_edited_file_is_refused(connection: Connection) -> None:
    first, *rest = load()
    with pytest.raises(MigrationError, match="0001 was edited"):
        migrate(connection, (replace(first, sql=first.sql + "\n-- a change"), *rest))


def test_a_failing_migration_leaves_the_version_before_it(blank_dsn: str) -> None:
    good = Migration(1, "good", "CREATE TABLE kept (id integer)")
    bad = Migration(2, "bad", "CREATE TABLE half (id integer); SELECT nonsense")
    with connect(blank_dsn) as connection:
        with pytest.raises(psycopg.Error):
            migrate(connection, (good, bad))
        assert version(connection) == 1
        assert connection.execute("SELECT to_regclass('kept') AS kept, to_regclass('half') AS half").fetchone() == {
            "kept": "kept",
            "half": None,
        }
        assert migrate(connection, (good, replace(bad, sql="CREATE TABLE half (id integer)"))) == ["0002 bad"]


def test_a_database_ahead_of_the_code_is_left_alone(connection: Connection) -> None:
    assert migrate(connection, load()[:1]) == []
    assert version(connection) == len(load())


@pytest.mark.parametrize("table", PUBLIC_TABLES)
def test_the_tables_that_people_query_have_their_columns(connection: Connection, table: str) -> None:
    columns = {str(row[1]) for row in shape(connection) if row[0] == table}
    assert set(PUBLIC_TABLES[table].split()) <= columns


@pytest.mark.parametrize("amount", ["'NaN'", "'Infinity'", "1e-31"])
def test_money_columns_refuse_what_would_poison_a_sum(connection: Connection, amount: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(f"SELECT {amount}::numeric::usd")
