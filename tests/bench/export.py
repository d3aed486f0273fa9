"""How fast lines go out, as ratios to a bare COPY of the same view, and how much memory that takes.

python -m tests.bench.export            200,000 lines
python -m tests.bench.export --full     2 million lines, the size of the goal
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus

import httpx

from functions import runtime
from functions.api import main as api
from infra.local.transport import HandlerTransport
from shared.config import Settings
from shared.store.database import connect
from tests.bench.events import preload
from tests.bench.ingest import KEY
from tests.bench.server import server
from tests.bench.table import Line, write

NOW = datetime(2026, 11, 24, tzinfo=UTC)
FORMATS = ("csv", "jsonl", "json", "focus")
MOST_MEGABYTES = 200


def export(dsn: str, home: str, form: str) -> None:
    """Take a whole export from the API's handler, as the command line does."""
    settings = Settings.load({"DATABASE_URL": dsn, "API_KEY": KEY, "COST_TRACKER_HOME": home})
    app = runtime.build(settings, httpx.Client(), clock=lambda: NOW, dispatch=runtime.in_a_thread)
    transport = HandlerTransport(api.build(lambda: app))
    with (
        httpx.Client(transport=transport, base_url="http://bench", headers={"X-API-Key": KEY}) as http,
        http.stream("GET", f"/api/usage/export?format={form}", follow_redirects=True, timeout=None) as response,
    ):
        if response.status_code != HTTPStatus.OK:
            raise RuntimeError(response.read()[:500].decode())
        for _ in response.iter_bytes():
            pass
    app.database.close()


def bare_copy(dsn: str) -> float:
    """Return the seconds that COPY takes to write the same view to this process."""
    start = time.perf_counter()
    with (
        connect(dsn) as connection,
        connection.cursor().copy("COPY (SELECT * FROM usage_records) TO STDOUT CSV") as copy,
    ):
        for _ in copy:
            pass
    return time.perf_counter() - start


def measure(lines: int) -> Iterator[Line]:
    """Export in each format, in a process of its own, in turns with COPY."""
    with server() as postgres, postgres.database("export") as dsn, tempfile.TemporaryDirectory() as home:
        preload(dsn, lines, lines // 10)
        for form in FORMATS:
            copying = bare_copy(dsn)
            words = [sys.executable, "-m", "tests.bench.export", "--export", form, "--dsn", dsn, "--home", home]
            done = subprocess.run(words, capture_output=True, text=True, check=True)  # noqa: S603 - our own words
            found = json.loads(done.stdout)
            yield Line(form, lines / found["seconds"], copying / found["seconds"], "COPY")
            used, before = found["megabytes"], found["before"]
            yield Line(f"{form}, peak memory", used, used / before, "before", MOST_MEGABYTES, unit="MB")


def peak() -> int:
    """Return this process' most memory so far in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the size of the goal")
    for name in ("--export", "--dsn", "--home"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.export:
        before, start = peak(), time.perf_counter()
        export(given.dsn, given.home, given.export)
        seconds = time.perf_counter() - start
        sys.stdout.write(json.dumps({"seconds": seconds, "megabytes": peak(), "before": before}))
        return 0
    lines = 2_000_000 if given.full else 200_000
    return write("export", measure(lines), exported=lines)


if __name__ == "__main__":
    sys.exit(main())
