"""Which tracker a command talks to: a deployed one (`--url`), or this machine's, in process."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cost_tracker.client import Client
    from shared.config import Settings

Url = Annotated[
    str | None,
    typer.Option(
        "--url", envvar="COST_TRACKER_URL", metavar="URL", help="A tracker to ask; without it this machine's own."
    ),
]
Key = Annotated[
    str | None, typer.Option("--key", envvar="COST_TRACKER_KEY", metavar="KEY", help="API key of the tracker at --url.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, with all digits.")]


@contextmanager
def connected(url: str | None, key: str | None) -> Iterator[Client]:
    """Yield a client of the tracker in question; in process it is opened, migrated and closed again.

    Raises:
        ClientError: `url` is not an address.
        SettingError: a setting is malformed, or home or database cannot be used.
    """
    from cost_tracker.client import Client  # noqa: PLC0415 - `--help` does without it

    if url:
        with Client(url, key) as client:
            yield client
        return
    from infra.local.tracker import Tracker  # noqa: PLC0415 - a deployed tracker needs none of it

    with Tracker.open(load_settings()) as tracker, Client(http=tracker.client()) as client:
        yield client


def load_settings(**changed: str) -> Settings:
    """Return the settings of the environment over the `.env` of the working directory, with some replaced.

    Raises:
        SettingError: one is malformed.
    """
    import os  # noqa: PLC0415 - read here only

    from shared.config import Settings  # noqa: PLC0415 - `--help` does without pydantic

    return Settings.load({**os.environ, **changed}, dotenv_path=Path(".env"))
