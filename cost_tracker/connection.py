"""Which tracker a command talks to: a deployed one (`--url`), or this machine's, in process."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from cost_tracker import loading
from cost_tracker.environment import load_settings
from cost_tracker.output import note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cost_tracker.client import Client

__all__ = ["AsJson", "Key", "Url", "connected", "load_settings"]

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
def connected(url: str | None, key: str | None, *, real: bool = False) -> Iterator[Client]:
    """Yield a client of the tracker in question; in process it is opened, migrated and closed again.

    `real` is for commands that store usage: in process, what they store does not go into the demo.

    Raises:
        ClientError: `url` is not an address.
        SettingError: a setting is malformed, or home or database cannot be used.
    """
    from cost_tracker.client import Client  # noqa: PLC0415 - `--help` does without it

    if url:
        with Client(url, key) as client:
            loading.end()
            yield client
        return
    from infra.local import whereabouts  # noqa: PLC0415 - a deployed tracker needs none of it
    from infra.local.tracker import Tracker  # noqa: PLC0415 - the same

    settings, demo = load_settings(), False if real else None
    if real and whereabouts.is_demo_served(settings.home):
        note("The service that runs shows the demo; start it again to see usage of your own there.")
    with Tracker.open(settings, demo=demo) as tracker, Client(http=tracker.client()) as client:
        loading.end()
        yield client
