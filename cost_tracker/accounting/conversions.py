"""What becomes of an export on this machine. The libraries for it are loaded when they are needed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from shared.core import jsontext

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from cost_tracker.client import Client


def to_parquet(
    client: Client, source: Path, target: BinaryIO, _asked: Mapping[str, Any], _done: Callable[[int], object]
) -> None:
    """Write a FOCUS CSV as Parquet, its metadata in the footer."""
    from cost_tracker.accounting import parquet  # noqa: PLC0415 - not for `--help`

    parquet.write(source, target, focus_metadata(client))


def to_workbook(
    client: Client, source: Path, target: BinaryIO, asked: Mapping[str, Any], done: Callable[[int], object]
) -> None:
    """Write a CSV of ledger lines as a workbook, days in the zone that the tracker reports in."""
    from cost_tracker.accounting import usage_workbook  # noqa: PLC0415 - not for `--help`

    zone, about, _ = circumstances(client, asked)
    usage_workbook.write(source, target, zone, about, done)


def circumstances(client: Client, asked: Mapping[str, Any]) -> tuple[ZoneInfo, dict[str, str], bool]:
    """Return the zone of an export's days, what to say of it, and whether it is the demo's.

    `asked` are its filters, `tz`, and the dates `start` and `end`, None where it has none.
    """
    report = client.get("/costs/range", tz=asked["tz"])
    is_demo = bool(report["coverage"].get("demo"))
    about = {
        "From": str(asked["start"] or "the beginning"),
        "Until": str(asked["end"] or "now"),
        "Days of": report["tz"],
        "Exported": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "Tracker": f"{client.address if client.is_remote else 'this machine'}{', demo figures' if is_demo else ''}",
        **{
            name.replace("_", " ").capitalize(): ", ".join(values)
            for name, values in asked.items()
            if isinstance(values, list)
        },
    }
    return ZoneInfo(report["tz"]), about, is_demo


def focus_metadata(client: Client) -> dict[str, Any]:
    """Return the metadata that belongs beside a FOCUS file."""
    found: dict[str, Any] = client.get("/api/usage/export", format="focus-metadata")
    return found


def write_metadata(client: Client, beside: Path) -> Path:
    """Write the metadata of the FOCUS file `NAME.csv` beside it, as `NAME.metadata.json`, and return where."""
    path = beside.with_suffix(".metadata.json")
    path.write_text(jsontext.dumps(focus_metadata(client)) + "\n", encoding="utf-8")
    return path
