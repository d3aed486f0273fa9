"""How much memory a first collection of many accounts takes, and how fast it is, a kill on the way included.

python -m tests.bench.collecting            a minute: 4 accounts with 9 days of hourly figures, 41,000 rows
python -m tests.bench.collecting --full     10 accounts with 90 days, a million rows

The provider is the demo's server in a process of its own. The collection is one too: it is killed half way, without a
last word, and another one goes on. The figure is the larger peak of the two, everything imported, as the kernel counts.
"""

import argparse
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import httpx

from infra.demo.anthropic import ADMIN_KEY, FakeAnthropic
from infra.demo.dataset import ApiKey, CostRow, UsageRow, Workspace
from shared.core.windows import Plan, floor
from shared.prices.catalogue import Catalogue
from shared.providers.http import Budget
from shared.providers.registry import REGISTRY
from shared.store.database import Database, connect
from shared.workflows.collect import Progress, Source, collect
from shared.workflows.pricing import load_book
from tests.bench.server import Server, server
from tests.bench.table import Line, write

ROOT = Path(__file__).parents[2]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = datetime(2026, 11, 20, tzinfo=UTC)
KEYS = tuple(f"apikey_{number:02}" for number in range(12))
MODELS = ("claude-sonnet-4-5-20250929", "claude-opus-4-1-20250805", "claude-haiku-4-5-20251001", "claude-nobody-knows")
ROWS_AN_HOUR = len(KEYS) * len(MODELS)


@dataclass(frozen=True)
class Busy:
    """An organisation whose every key uses every model in every hour, without a row in memory."""

    number: int
    keys: Sequence[ApiKey] = tuple(ApiKey(key, f"peakpaws-{key}") for key in KEYS)
    workspaces: Sequence[Workspace] = ()

    def usage(self, start: datetime, end: datetime, now: datetime) -> Iterator[UsageRow]:
        at = floor(start, HOUR)
        while at < min(end, now):
            hour = int(at.timestamp()) // 3600
            for place, key in enumerate(KEYS):
                for which, model in enumerate(MODELS):
                    tokens = (hour * 31 + place * 17 + which * 7 + self.number) % 9973
                    yield UsageRow(
                        at, model, tokens, tokens // 3, tokens * 5, tokens // 7, api_key_id=key, workspace_id="wrkspc_1"
                    )
            at += HOUR

    def costs(self, _start: datetime, _end: datetime, _now: datetime) -> Iterable[CostRow]:
        return ()


def serve(accounts: int, pipe: Pipe) -> None:
    """Serve as many organisations, each at an address of its own, until the pipe closes."""
    with ExitStack() as stack:
        fakes = [
            stack.enter_context(
                FakeAnthropic(
                    Busy(number),
                    clock=lambda: NOW,
                    organisation={"id": f"org-{number}", "name": f"Organisation {number}", "type": "organization"},
                )
            )
            for number in range(accounts)
        ]
        pipe.send([fake.url for fake in fakes])
        try:
            pipe.recv()
        except EOFError:
            return


@contextmanager
def served(accounts: int) -> Iterator[list[str]]:
    """The addresses of a provider that serves in another process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(accounts, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours.recv()
    finally:
        ours.close()
        process.join(10)
        process.kill()


def collect_all(dsn: str, days: int, last: int, urls: Sequence[str]) -> None:
    """Collect every address, and die once `last` pages are kept, unless that is 0; print the peak of this process."""
    patient = Budget(deadline=inf, clock=lambda: 0.0, sleep=lambda _: None)
    pages = 0

    def progress(_: Progress) -> None:
        nonlocal pages
        pages += 1
        if pages == last:
            os.kill(os.getpid(), signal.SIGKILL)

    spec = REGISTRY["anthropic"]
    with httpx.Client(trust_env=False, timeout=120) as http:
        sources = [
            Source(f"account-{number}", "environment", spec.connect(ADMIN_KEY, http, patient, url))
            for number, url in enumerate(urls)
        ]
        plan = Plan(NOW, lookback=min(days, 3) * DAY, backfill=days * DAY)
        catalogue = Catalogue()
        reports = collect(Database(dsn), sources, lambda c: load_book(c, catalogue), plan, lambda: inf, progress)
    if any(report.status != "succeeded" for report in reports):
        raise RuntimeError([report.error for report in reports])
    sys.stdout.write(json.dumps({"pages": pages, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def run(dsn: str, days: int, last: int, urls: Sequence[str]) -> tuple[float, float, int]:
    """Collect in a process of its own; return its seconds, its peak in MB, and the pages it read (0 if it died)."""
    start = time.perf_counter()
    script = [sys.executable, "-m", "tests.bench.collecting", "--child", dsn, str(days), str(last), *urls]
    with subprocess.Popen(script, cwd=ROOT, stdout=subprocess.PIPE) as process:  # noqa: S603 - this file
        if process.stdout is None:
            raise AssertionError("the output is piped")
        text = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != (-signal.SIGKILL if last else 0):
        raise RuntimeError(f"the collection ended with {process.returncode}")
    return time.perf_counter() - start, used.ru_maxrss / 1024, 0 if last else json.loads(text)["pages"]


def check(dsn: str, accounts: int, days: int) -> int:
    """Return how many rows there are.

    Raises:
        RuntimeError: it is not all of them, each once, or the roll-up says something else.
    """
    with connect(dsn) as connection:
        found = connection.execute(
            """
            SELECT count(*) AS rows, sum(input_tokens)::bigint AS input, sum(cost) AS cost FROM ledger UNION ALL
            SELECT sum(lines)::bigint, sum(input_tokens)::bigint, sum(cost) FROM rollup_quarter
            """
        ).fetchall()
    rows = [row for number in range(accounts) for row in Busy(number).usage(NOW - days * DAY, NOW, NOW)]
    expected = {"rows": len(rows), "input": sum(row.uncached_input_tokens for row in rows)}
    if found[0] != found[1] or {name: found[0][name] for name in expected} != expected:
        raise RuntimeError(f"{found} in ledger and roll-up, {expected} at the provider")
    return len(rows)


def measure(home: Server, accounts: int, days: int) -> Iterator[Line]:
    """Yield the peak and the rate of a collection that was killed half way and of the one that went on."""
    # The most hours of a page of usage, and the most days of one of costs.
    pages = accounts * (-(-days * 24 // 168) - (-days // 31))
    with home.database("collecting") as dsn, served(accounts) as urls:
        first, before, _ = run(dsn, days, pages // 2, urls)
        second, after, read = run(dsn, days, 0, urls)
        rows = check(dsn, accounts, days)
    yield Line(
        f"{accounts} accounts, {rows:,} rows: peak",
        max(before, after),
        max(before, after) / 250,
        "250 MB",
        250,
        0,
        "MB",
    )
    yield Line("rows collected, with a kill half way", rows / (first + second), read / pages, "its pages")


def main() -> int:
    if sys.argv[1:2] == ["--child"]:
        dsn, span, last, *urls = sys.argv[2:]
        collect_all(dsn, int(span), int(last), urls)
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the size of the goal")
    parser.add_argument("--accounts", type=int)
    parser.add_argument("--days", type=int)
    given = parser.parse_args()
    accounts, days = given.accounts or (10 if given.full else 4), given.days or (90 if given.full else 9)
    with server() as home:
        return write("collecting", measure(home, accounts, days), accounts=accounts, days=days)


if __name__ == "__main__":
    sys.exit(main())
