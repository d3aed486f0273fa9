"""Every measurement, one after the other, each in a process of its own.

python -m tests.bench            the sizes of the goals, most of an hour
python -m tests.bench --quick    small sizes, a few minutes: does anything stand out?
"""

import argparse
import subprocess
import sys
import time

from tests.bench.table import FOLDER, say

# What each takes at the size of its goals.
SIZED = {
    "ingest": "5 min",
    "reports": "30 min",
    "pricing": "5 min",
    "export": "5 min",
    "importing": "5 min",
    "collecting": "5 min",
}
ALWAYS = {"statusline": "1 min", "cold_start": "2 min"}


def main() -> int:
    """Run them all, whatever becomes of each, and return 1 if a line was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes")
    is_quick = parser.parse_args().quick
    missed = []
    for name, usual in {**SIZED, **ALWAYS}.items():
        say(f"\n== {name}{'' if is_quick else f' (about {usual})'}")
        size = ["--full"] if name in SIZED and not is_quick else []
        start = time.monotonic()
        if subprocess.run([sys.executable, "-m", f"tests.bench.{name}", *size], check=False).returncode:  # noqa: S603 - ours
            missed.append(name)
        say(f"({time.monotonic() - start:.0f} s)")
    say(f"\nMissed a goal: {', '.join(missed)}" if missed else "\nEvery goal is met.")
    say(f"The figures are in {FOLDER}/.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
