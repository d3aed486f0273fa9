"""`make bench`: what a cold start of the API costs beyond importing its dependencies, in the artefact, on Python 3.13.

The first request (process start to the answer of GET /costs/summary/monthly) is set against a process that only imports
the third-party modules which that request loaded. Both run in turn, several times; medians are compared. The database
is a real Postgres on this machine, so neither the network nor Neon's waking up is in the figures.
"""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from statistics import median

import httpx

from functions import jobs, runtime
from infra.demo.anthropic import ADMIN_KEY, FakeAnthropic
from infra.local import postgres
from shared.config import Settings
from shared.store import runs
from shared.store.database import connect
from shared.store.migrate import migrate
from tests.fixtures.events import API_KEY, load
from tests.runtime import machine

REPETITIONS = 15
AIM = 1.4
OUT = machine.ROOT / "build" / "bench" / "cold_start.json"
_SHOWN = 12

REQUEST = """
import time; started = time.perf_counter()
import functions.api.main as api; imported = time.perf_counter()
from tests_event import EVENT, Context
answer = api.handler(EVENT, Context()); answered = time.perf_counter()
print(answer["statusCode"], round(imported - started, 4), round(answered - imported, 4), flush=True)
"""
# Loaded by the request, in the order of loading, and neither ours nor part of Python.
LIST = """
import json, sys
import functions.api.main as api
from tests_event import EVENT, Context
api.handler(EVENT, Context())
root = sys.argv[1]
found = [
    name for name, module in sys.modules.items()
    if (getattr(module, "__file__", None) or "").startswith(root) and name.split(".")[0] not in ("functions", "shared")
]
print(json.dumps(found))
"""
IMPORTS = """
import importlib
for name in {names!r}:
    importlib.import_module(name)
print("imported", flush=True)
"""
CLIENT = """
import boto3
boto3.client("ssm", region_name="eu-central-1")
print("made", flush=True)
"""
EVENT_MODULE = """
EVENT = {event!r}


class Context:
    aws_request_id = "bench"
    function_name = "bench"
    memory_limit_in_mb = 1024
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:bench"

    def get_remaining_time_in_millis(self):
        return 28000
"""


@dataclass
class Bench:
    """A Python with the artefact, and the seconds of every timed process by name."""

    python: Path
    artefact: Path
    path: str
    environment: dict[str, str]
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def start(self, script: str, *args: str, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """Start a script without this Python's own packages, as Lambda's image has few."""
        return subprocess.Popen(  # noqa: S603 - ours
            [str(self.python), "-S", *options, "-c", script, *args],
            cwd=self.artefact,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": self.path, "PYTHONDONTWRITEBYTECODE": "1", **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, script: str, *args: str, options: tuple[str, ...] = ()) -> tuple[str, str]:
        """Run a script to its end; what it wrote to stdout and stderr."""
        with self.start(script, *args, options=options) as process:
            out, errors = process.communicate(timeout=60)
        if process.returncode:
            raise SystemExit(f"A process of the bench failed:\n{out}{errors}")
        return out, errors

    def time(self, name: str, script: str) -> str:
        """Time a process from its start to its first line, which is returned; how long it takes to end is nobody's."""
        started = time.perf_counter()
        with self.start(script) as process:
            said = process.stdout.readline() if process.stdout else ""
            self.seconds.setdefault(name, []).append(time.perf_counter() - started)
            _, errors = process.communicate(timeout=60)
        if process.returncode:
            raise SystemExit(f"A process of the bench failed:\n{said}{errors}")
        return said

    def median(self, name: str) -> float:
        """Return the median seconds of a name."""
        return median(self.seconds[name])


@contextmanager
def small_database() -> Iterator[str]:
    """A Postgres of its own with a week of the demo organisation in it; its address."""
    with tempfile.TemporaryDirectory(prefix="tracker-bench-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        home.chmod(0o755)
        fake = FakeAnthropic().start()
        try:
            url = postgres.start(home)
            _fill(url, fake.url)
            yield url
        finally:
            fake.stop()
            postgres.stop(home)


def _fill(url: str, provider: str) -> None:
    with connect(url) as connection:
        migrate(connection)
    given = {
        "DATABASE_URL": url,
        "ANTHROPIC_ADMIN_KEY": ADMIN_KEY,
        "ANTHROPIC_BASE_URL": provider,
        "COLLECTION_BACKFILL_DAYS": "7",
    }
    with httpx.Client(trust_env=False) as http:
        app = runtime.build(Settings.load(given), http, dispatch=runtime.in_a_thread)
        run_id = app.database.run(lambda c: runs.start(c, "collect", {}, datetime.now(UTC)))
        outcome = jobs.work(app, run_id, lambda: inf)
        app.database.close()
    if outcome.status != "succeeded":
        raise SystemExit(f"The bench has no data: {outcome.error}")


def _compile(python: Path, folder: Path) -> None:
    """Compile Lambda's own libraries, as they are on Lambda."""
    command = [str(python), "-m", "compileall", "-q", str(folder)]
    subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, check=False)  # noqa: S603 - ours


def by_package(importtime: str) -> list[tuple[str, float]]:
    """Return the milliseconds that modules took by themselves, summed by package, dearest first."""
    own: Counter[str] = Counter()
    for line in importtime.splitlines():
        match = re.match(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", line)
        if match:
            top = match[2].split(".")[0]
            own["Python's own" if top.lstrip("_") in sys.stdlib_module_names | {""} else top] += int(match[1])
    return [(name, micros / 1000) for name, micros in own.most_common(_SHOWN)]


def measure(bench: Bench, libraries: str) -> dict[str, object]:
    """Run everything in turn and return the figures."""
    loaded: list[str] = json.loads(bench.run(LIST, str(bench.artefact))[0])
    imports = IMPORTS.format(names=loaded)
    inside: list[tuple[float, float]] = []
    for round_ in range(REPETITIONS + 1):
        said = bench.time("first request", REQUEST).split()
        if said[0] != "200":
            raise SystemExit(f"The request was answered with status {said[0]}.")
        inside.append((float(said[1]), float(said[2])))
        bench.time("dependencies only", imports)
        bench.time("Python alone", "print(flush=True)")
        if round_ == 0:  # the files were not in memory yet
            bench.seconds.clear()
            inside.clear()
    with_client = Bench(bench.python, bench.artefact, f"{bench.path}:{libraries}", bench.environment)
    for _ in range(5):
        with_client.time("SSM client", CLIENT)
    listed = bench.run("import functions.api.main", options=("-X", "importtime"))[1]
    floor = bench.median("Python alone")
    return {
        "ratio": round(bench.median("first request") / bench.median("dependencies only"), 3),
        "aim": AIM,
        "milliseconds": {name: round(bench.median(name) * 1000, 1) for name in bench.seconds},
        "spread": {name: [round(f(found) * 1000, 1) for f in (min, max)] for name, found in bench.seconds.items()},
        "inside_the_first_request": {
            "imports": round(median(each[0] for each in inside) * 1000, 1),
            "answer": round(median(each[1] for each in inside) * 1000, 1),
        },
        "ssm_client_on_top_where_SSM_PREFIX_is_set": round((with_client.median("SSM client") - floor) * 1000, 1),
        "imports_by_package_ms": dict(by_package(listed)),
        "not_loaded": ", ".join(sorted({"boto3", "genai_prices", "httpx"} - {name.split(".")[0] for name in loaded})),
        "modules": len(loaded),
        "repetitions": REPETITIONS,
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
    }


def report(figures: dict[str, object]) -> str:
    """Return the figures as a table."""
    lines = ["cold first request of the built API, medians in ms", ""]
    sections = ("milliseconds", "inside_the_first_request", "imports_by_package_ms")
    for section in sections:
        found = figures[section]
        if isinstance(found, dict):
            lines += [section.replace("_", " "), *(f"  {name:<28}{value:>8.1f}" for name, value in found.items()), ""]
    met = "met" if float(str(figures["ratio"])) <= AIM else "missed"
    lines += [
        f"first request / dependencies only  {figures['ratio']}  (aim {AIM} or less: {met})",
        f"SSM client, where SSM_PREFIX is set  {figures['ssm_client_on_top_where_SSM_PREFIX_is_set']} ms on top",
        f"not loaded on the read path: {figures['not_loaded']}",
        f"written to {OUT.relative_to(machine.ROOT)}",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure, print and write the figures; a machine without Python 3.13 says so and is no failure."""
    try:
        python, libraries = machine.find_python(), machine.runtime_libraries()
        _compile(python, libraries)
        with tempfile.TemporaryDirectory(prefix="tracker-artefact-") as name, small_database() as url:
            artefact = machine.build(Path(name) / "artefact")
            event = Path(name) / "event"
            event.mkdir()
            (event / "tests_event.py").write_text(EVENT_MODULE.format(event=load("api_monthly")))
            environment = {"DATABASE_URL": url, "API_KEY": API_KEY}
            figures = measure(Bench(python, artefact, f"{artefact}:{event}", environment), str(libraries))
    except machine.MissingError as missing:
        sys.stdout.write(f"No bench here: {missing}\n")
        return 0
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(figures, indent=1) + "\n")
    sys.stdout.write(report(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
