"""A collection in a process of its own that is killed, without a last word, once it has kept page `last`.

`python -m tests.integration.doomed DSN PROVIDER_URL LAST NOW`
"""

import os
import signal
import sys
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NoReturn

from infra.demo.anthropic import ADMIN_KEY
from shared.providers.base import Bucket, Name, Owner, Page, Provider, Row, Stream, Window
from shared.store.database import Database
from tests.integration.collecting import provider_at, run


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


@dataclass
class Doomed:
    """A provider that kills the process when it is asked for a page after the last one."""

    inner: Provider
    last: int
    read: int = 0
    name: str = field(init=False)
    streams: tuple[Stream, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.name, self.streams = self.inner.name, self.inner.streams

    def owner(self) -> Owner:
        return self.inner.owner()

    def names(self) -> tuple[Name, ...]:
        return self.inner.names()

    def fetch(self, stream: Stream, window: Window, cursor: str | None) -> Page:
        if self.read == self.last:
            die()
        self.read += 1
        return self.inner.fetch(stream, window, cursor)

    def parse(self, stream: Stream, row: Row) -> Bucket:
        return self.inner.parse(stream, row)


if __name__ == "__main__":
    dsn, url, last, now, days = sys.argv[1:]
    source = Doomed(provider_at(url, ADMIN_KEY), int(last))
    run(Database(dsn), source, now=datetime.fromisoformat(now), backfill=timedelta(days=int(days)))
