"""How long a prompt and a reader wait, process start and all, as ratios to a Python process that does nothing.

python -m tests.bench.statusline        half a minute: 20,000 events over 90 days

Everything is real: the command as installed, the service on its port, the embedded Postgres, started and stopped.
"""

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cost_tracker.client import Client
from infra.local import whereabouts
from tests.bench.events import Stream
from tests.bench.table import Line, say, write

DAYS, EVENTS = 90, 20_000
TURNS = 15
BARE = (sys.executable, "-c", "pass")
COMMAND = (sys.executable, "-c", "from cost_tracker.main import main; main()")
START_SECONDS = 60.0


def seconds(command: tuple[str, ...], environ: Mapping[str, str], cwd: Path) -> float:
    """Run a command and return how long it took; whatever it says, it has to succeed."""
    start = time.perf_counter()
    subprocess.run(command, env=dict(environ), cwd=cwd, check=True, capture_output=True)  # noqa: S603 - our own command
    return time.perf_counter() - start


def in_turns(
    arguments: tuple[str, ...], environ: Mapping[str, str], home: Path, before: Callable[[], object] = lambda: None
) -> tuple[float, float]:
    """Return the medians (ms) of a command and of a bare Python, run in turns: the machine is shared.

    `before` is called before each run of the command.
    """
    ours, bare = [], []
    for _ in range(TURNS):
        bare.append(seconds(BARE, environ, home))
        before()
        ours.append(seconds((*COMMAND, *arguments), environ, home))
    return statistics.median(ours) * 1000, statistics.median(bare) * 1000


def fill(home: Path) -> None:
    """Store events of the days before today."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    os.environ["COST_TRACKER_HOME"] = str(home)
    with Client() as client:
        for ago in range(1, DAYS + 1):
            for body in Stream(ago, EVENTS // DAYS, EVENTS, today - timedelta(days=ago)).bodies():
                client.post("/api/usage", body)


@contextmanager
def served(environ: Mapping[str, str], home: Path) -> Iterator[None]:
    """Serve the home in a process of its own, as `make run` does."""
    command = (*COMMAND, "serve", "--no-demo")
    service = subprocess.Popen(  # noqa: S603 - our own command
        command, env=dict(environ), cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + START_SECONDS
    while whereabouts.service(home) is None:
        if time.monotonic() > deadline:
            raise RuntimeError("The service does not start.")
        time.sleep(0.05)
    yield
    service.send_signal(signal.SIGTERM)
    service.wait(START_SECONDS)


def measure(home: Path) -> Iterator[Line]:
    """Yield every measurement."""
    environ = {"PATH": os.environ["PATH"], "COST_TRACKER_HOME": str(home), "PORT": "0"}

    def forget() -> None:
        for path in home.glob("statusline-*.json"):
            path.unlink()

    def line(name: str, found: tuple[float, float], goal: float = 0) -> Line:
        return Line(name, found[0], found[0] / found[1], "bare python", goal, unit="ms")

    fill(home)
    yield line("report, embedded database", in_turns(("report",), environ, home), 1200)
    yield line("report --json, the same", in_turns(("report", "--json"), environ, home), 1200)
    yield line("statusline, nothing runs, used since", in_turns(("statusline",), environ, home, forget))
    yield line("statusline, nothing runs, known", in_turns(("statusline",), environ, home))
    with served(environ, home):
        yield line("statusline, warm service", in_turns(("statusline",), environ, home, forget), 300)
        yield line("statusline, asked lately", in_turns(("statusline",), environ, home), 300)
        yield line("report, the service's database", in_turns(("report",), environ, home))


def main() -> int:
    home = Path(tempfile.mkdtemp(prefix="cost-bench-"))
    home.chmod(0o755)
    say(f"({EVENTS:,} events over {DAYS} days; medians of {TURNS})")
    try:
        return write("statusline", measure(home), events=EVENTS, days=DAYS, turns=TURNS)
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
