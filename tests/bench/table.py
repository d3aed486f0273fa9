"""What every measurement prints and writes: lines with a figure, its ratio to a yardstick, and what both have to be."""

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FOLDER = Path("build/bench")


@dataclass(frozen=True)
class Line:
    """One measurement in `unit`, its ratio to another one, and the goals of both, 0 where there is none.

    Rates (`/s`) have to reach their goals, times (`ms`) and sizes (`MB`) must not exceed them.
    """

    name: str
    value: float
    ratio: float
    to: str
    goal: float = 0
    goal_ratio: float = 0
    unit: str = "/s"

    @property
    def holds(self) -> bool:
        pairs = [(found, goal) for found, goal in ((self.value, self.goal), (self.ratio, self.goal_ratio)) if goal]
        return all(found >= goal if self.unit == "/s" else found <= goal for found, goal in pairs)

    def __str__(self) -> str:
        goals = [f"{self.goal:,.0f}{self.unit}"] if self.goal else []
        goals += [f"{self.goal_ratio:.2f} x"] if self.goal_ratio else []
        verdict = ("ok" if self.holds else "MISSED") if goals else ""
        value = f"{self.value:>10,.0f}{self.unit}" if self.unit == "/s" else f"{self.value:>10,.1f}{self.unit}"
        return f"{self.name:<38} {value} {self.ratio:>7.3f} x {self.to:<12} {' and '.join(goals):<24} {verdict}"


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def write(name: str, lines: Iterable[Line], **circumstances: Any) -> int:  # noqa: ANN401 - whatever JSON can hold
    """Print the lines as they come, write them to `build/bench/<name>.json`, and return 1 if one does not hold."""
    found = []
    for line in lines:
        say(str(line))
        found.append(line)
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows = [{**asdict(line), "holds": line.holds} for line in found]
    text = json.dumps({**circumstances, "cpus": os.cpu_count(), "lines": rows}, indent=2)
    (FOLDER / f"{name}.json").write_text(f"{text}\n")
    return 0 if all(line.holds for line in found) else 1
