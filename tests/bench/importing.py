"""How fast Claude Code's logs come in, as ratios to reading the same files, and to `ccusage` where Node is present.

python -m tests.bench.importing             100 MB of logs
python -m tests.bench.importing --full      1 GB, the size of the goals

The command runs as people run it, on an embedded Postgres of its own; what starting it takes is measured apart, on a
folder without logs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cost_tracker.imports.dedupe import Pool
from cost_tracker.imports.files import Target, plan
from cost_tracker.imports.scan import read_all
from cost_tracker.imports.units import Terms
from tests.bench.claude_logs import Logs
from tests.bench.table import Line, say, write

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = (sys.executable, "-c", "from cost_tracker.main import main; main()")
PERIOD = ("--start-date", "2026-09-01", "--end-date", "2026-12-31")
# The newest one whose program for this machine is published; its prices are its own.
CCUSAGE = "ccusage@20.0.24"
MOST_MEGABYTES = 300
NAMES = {
    "input": "inputTokens",
    "output": "outputTokens",
    "cache_read": "cacheReadTokens",
    "cache_write": "cacheCreationTokens",
}


class Tracker:
    """The command, with a home of its own."""

    def __init__(self, home: Path) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "XDG_RUNTIME_DIR") if name in os.environ}
        self._environment = {**kept, "COST_TRACKER_HOME": str(home)}
        self.most_megabytes = 0.0

    def __call__(self, *arguments: str) -> tuple[float, Any]:
        """Run it and return how many seconds it took and its JSON."""
        start = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*COMMAND, *arguments, "--json"],
            env=self._environment,
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while process.poll() is None:
            self.most_megabytes = max(self.most_megabytes, _megabytes(process.pid))
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        seconds = time.perf_counter() - start
        if process.returncode not in {0, 3} or process.stdout is None:
            said = process.stderr.read() if process.stderr else ""
            raise RuntimeError(f"{arguments[0]} ended with {process.returncode}: {said[-500:]}")
        text = process.stdout.read()
        return seconds, json.loads(text) if text.strip() else {}


def _megabytes(pid: int) -> float:
    """Return the memory of a process and of those it reads with: what each has alone, and its share of the rest.

    0 where the system does not tell.
    """
    try:
        kept = Path(f"/proc/{pid}/smaps_rollup").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        name = Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return 0
    if "postgres" in name:
        return 0
    share = next((line for line in kept.splitlines() if line.startswith("Pss:")), "Pss: 0 kB")
    return int(share.split()[1]) * 1024 / 1e6 + sum(_megabytes(int(child)) for child in children)


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder where an embedded Postgres may live, for root too."""
    home = Path(tempfile.mkdtemp(prefix="cost-bench-", dir="/var/lib" if os.geteuid() == 0 else None))
    home.chmod(0o755)
    yield home
    shutil.rmtree(home, ignore_errors=True)


def plain_read(root: Path) -> float:
    """Return the seconds that reading every file takes, once they are in the page cache."""
    paths = list(root.rglob("*.jsonl"))
    for _ in range(2):
        start = time.perf_counter()
        for path in paths:
            path.read_bytes()
    return time.perf_counter() - start


def scan(root: Path) -> tuple[float, int]:
    """Return the seconds that reading and de-duplicating takes, processes started included, and the responses left."""
    start = time.perf_counter()
    found = plan([Target(root / "projects", "claude-code")], {}, "")
    pool = Pool()
    for read in read_all(found.pieces, Terms()):
        pool.add(read.reading.units)
    return time.perf_counter() - start, len(pool)


def peer(root: Path) -> tuple[float, dict[str, Any]] | None:
    """Return the seconds and totals of ccusage; None where it cannot be run."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        say("(Node is not here: no comparison with ccusage)")
        return None
    folder = root / "peer"
    folder.mkdir()
    made = subprocess.run(  # noqa: S603 - a fixed package from the registry that this machine uses
        [npm, "install", "--silent", "--no-audit", "--no-fund", CCUSAGE], cwd=folder, capture_output=True, check=False
    )
    program = folder / "node_modules" / ".bin" / "ccusage"
    if made.returncode or not program.exists():
        say(f"({CCUSAGE} cannot be installed here: no comparison)")
        return None
    environment = {**os.environ, "CLAUDE_CONFIG_DIR": str(root)}
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        done = subprocess.run(  # noqa: S603 - as above
            [program, "claude", "daily", "--json", "--offline", "--timezone", "UTC"],
            env=environment,
            cwd=folder,
            capture_output=True,
            check=False,
        )
        seconds.append(time.perf_counter() - start)
    if done.returncode:
        say(f"({CCUSAGE} does not run here: no comparison)")
        return None
    return min(seconds), json.loads(done.stdout)["totals"]


def compare(report: dict[str, Any], totals: dict[str, Any]) -> None:
    """Say where the totals of the peer differ from ours."""
    tokens = report["tokens"]
    ours = {**tokens, "cache_write": tokens["cache_write_5m"] + tokens["cache_write_1h"]}
    for name, theirs in NAMES.items():
        verdict = "equal" if ours[name] == totals[theirs] else f"DIFFERENT: theirs {totals[theirs]:,}"
        say(f"  tokens, {name:<12} {ours[name]:>16,}  {verdict}")
    say(f"  cost                 ${report['total_cost']:>15,.2f}  theirs ${totals['totalCost']:,.2f}")


def measure(root: Path, tracker: Tracker, size: int) -> Iterator[Line]:
    """Yield every measurement of the logs at `root`."""
    megabytes = size / 1e6
    bare = megabytes / plain_read(root)
    yield Line("MB read, nothing else", bare, 1, "itself")
    seconds, responses = scan(root)
    say(f"({responses:,} responses)")
    yield Line("MB read and de-duplicated", megabytes / seconds, megabytes / seconds / bare, "read()", 400)
    empty = root / "empty"
    empty.mkdir()
    tracker("import", str(empty))
    starting = min(tracker("import", str(empty))[0] for _ in range(3))
    tracker.most_megabytes = 0
    seconds, found = tracker("import", str(root / "projects"))
    if found["created"] != responses:
        raise RuntimeError("every response is stored once")
    rate = megabytes / (seconds - starting)
    yield Line("MB imported, stored included", rate, rate / bare, "read()", 120)
    most = tracker.most_megabytes
    yield Line("memory meanwhile", most, most / MOST_MEGABYTES, "the most", MOST_MEGABYTES, unit="MB")
    again = min(tracker("import", str(root / "projects"))[0] for _ in range(3))
    yield Line("second run, beyond its start", (again - starting) * 1000, again / starting, "start", 500, unit="ms")
    reports = [tracker("report", *PERIOD) for _ in range(3)]
    taken = min(seconds for seconds, _ in reports)
    yield Line("report, start and database included", taken * 1000, taken / starting, "start", 1200, unit="ms")
    theirs = peer(root)
    if theirs is not None:
        yield Line("MB read by ccusage", megabytes / theirs[0], megabytes / theirs[0] / bare, "read()")
        compare(reports[0][1], theirs[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the size of the goals")
    parser.add_argument("--megabytes", type=int, help="how much to import")
    given = parser.parse_args()
    wanted = given.megabytes or (1000 if given.full else 100)
    with workplace() as home:
        root = home / "claude"
        size = Logs(root).write(wanted * 1_000_000)
        tracker = Tracker(home / "tracker")
        return write("importing", measure(root, tracker, size), megabytes=size / 1e6)


if __name__ == "__main__":
    sys.exit(main())
