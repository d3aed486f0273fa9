"""`cost-tracker init`: make or upgrade what a local tracker needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cost_tracker.connection import AsJson, load_settings
from cost_tracker.output import answer, note, print_json

if TYPE_CHECKING:
    from pathlib import Path

    from shared.config import Settings


def init(*, as_json: AsJson = False) -> None:
    """Create or upgrade this machine's tracker: home, database, tables, API key. Doing it again changes nothing.

    Example: [bold]cost-tracker init[/bold]
    """
    from infra.local.tracker import Tracker  # noqa: PLC0415 - it imports the whole service

    settings = load_settings()
    applied = {}
    with Tracker.open(settings, demo=False, say=note) as tracker:
        applied[tracker.database_name] = tracker.applied
        key_file = None if settings.api_key else tracker.key_path
    with Tracker.open(settings) as tracker:
        # Where the demo was served before, its database is upgraded too.
        applied.setdefault(tracker.database_name, tracker.applied)
    if as_json:
        print_json(_as_json(settings, applied, key_file))
        return
    answer(f"home: {settings.home}")
    for name, migrations in applied.items():
        answer(f"database {name}: {', '.join(migrations) or 'up to date'}")
    answer(f"API key: {key_file or 'as set in API_KEY'}")


def _as_json(settings: Settings, applied: dict[str, list[str]], key_file: Path | None) -> dict[str, object]:
    return {
        "home": str(settings.home),
        "databases": [{"name": name, "applied": migrations} for name, migrations in applied.items()],
        "api_key_file": None if key_file is None else str(key_file),
    }
