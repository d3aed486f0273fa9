"""OpenClaw's usage from its own command, because its database is private: the sums of each session and day.

A day is asked for by itself, so that the classes of its tokens are its own, and only once it is over (UTC): sums of a
day that goes on would have to be corrected every time.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from cost_tracker.imports.units import Reading, single
from shared.core import jsontext
from shared.core.event_ids import digest
from shared.core.sessions import openclaw_type
from shared.errors import CostTrackerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cost_tracker.imports.units import Terms, Unit

COMMAND = "openclaw"
_METHOD = "sessions.usage"
_PAUSES = (5.0, 10.0, 20.0)
_LIMIT = 5000
_SECONDS = 120
# What a gateway may still have to add to a day after its end.
_LOOK_BACK = timedelta(days=2)
_CLASSES = {
    "tokens_in": "input", "tokens_out": "output", "cache_read_tokens": "cacheRead", "cache_write_tokens": "cacheWrite",
}  # fmt: skip


class OpenClawError(CostTrackerError):
    """The command failed; its sentence says how."""


class Run(Protocol):
    """Runs a command and returns what it wrote."""

    def __call__(self, arguments: list[str]) -> str:
        """Raise OpenClawError where it fails."""


def is_installed() -> bool:
    """Return whether OpenClaw's command is on the PATH."""
    return shutil.which(COMMAND) is not None


def read(
    terms: Terms,
    until: str,
    now: datetime,
    run: Run | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Reading, str]:
    """Return the usage of whole days up to yesterday (UTC), and the last day that was read, to be given as `until`.

    Args:
        terms: the caller's.
        until: the last day (ISO) of an earlier call, empty for all of them; the days before it are looked at again.
        now: an instant with a time zone.
        run: what runs the command.
        sleep: waits while the gateway still counts.

    Raises:
        OpenClawError: the command cannot be run, or answers something else.
    """
    ask = _Asker(run or _run, sleep)
    reading = Reading()
    first = date.fromisoformat(until) - _LOOK_BACK if until else None
    if terms.since:
        first = max(first or date.min, date.fromisoformat(terms.since[:10]))
    last = now.astimezone(UTC).date() - timedelta(days=1)
    days = [day for day in ask.days() if (first is None or day >= first) and day <= last]
    done = until
    for day in days:
        sessions, is_fresh = ask.sessions(day)
        for session in sessions:
            reading.units += _units(session, day, terms, reading)
        if not is_fresh:
            reading.skip("days that OpenClaw still counts")
            break
        done = max(done, day.isoformat())
    else:
        done = max(done, last.isoformat())
    return reading, done


class _Asker:
    def __init__(self, run: Run, sleep: Callable[[float], None]) -> None:
        self._run = run
        self._sleep = sleep

    def days(self) -> list[date]:
        """Return every day with usage, in order."""
        found = self._ask({"range": "all"})[0]
        listed = {
            row["date"]
            for session in found.get("sessions") or ()
            for row in (session.get("usage") or {}).get("dailyModelUsage") or ()
        }
        return sorted(date.fromisoformat(day) for day in listed)

    def sessions(self, day: date) -> tuple[list[dict[str, Any]], bool]:
        """Return the sessions of a day and whether nothing is missing."""
        found, is_fresh = self._ask({"startDate": day.isoformat(), "endDate": day.isoformat()})
        sessions = found.get("sessions") or []
        return sessions, is_fresh and len(sessions) < _LIMIT

    def _ask(self, span: dict[str, str]) -> tuple[dict[str, Any], bool]:
        params = json.dumps({**span, "agentScope": "all", "limit": _LIMIT, "mode": "utc"})
        for pause in (*_PAUSES, None):
            text = self._run([COMMAND, "gateway", "call", _METHOD, "--params", params, "--json"])
            try:
                found = jsontext.loads(text[text.index("{") :])
            except ValueError as error:
                raise OpenClawError(
                    f"{COMMAND} gateway call {_METHOD} did not answer with JSON; is the gateway running?"
                ) from error
            found = found.get("result", found)
            is_fresh = (found.get("cacheStatus") or {}).get("status", "fresh") == "fresh"
            if is_fresh or pause is None:
                return found, is_fresh
            self._sleep(pause)
        raise AssertionError


def _units(session: dict[str, Any], day: date, terms: Terms, reading: Reading) -> Iterator[Unit]:
    usage = session.get("usage") or {}
    key = str(session.get("key") or session.get("sessionId") or "unknown")
    for row in usage.get("dailyModelUsage") or ():
        if row.get("date") != day.isoformat():
            continue
        reading.lines += 1
        provider, model = row.get("provider") or "", row.get("model") or "unknown"
        tokens, cost = int(row.get("tokens") or 0), row.get("cost")
        counts = _counts(usage, provider, model, tokens)
        if not counts and not cost:
            reading.refuse(f"The tokens of {model} on a day are known in sum only, without a price.")
            continue
        event_id = f"openclaw-day:{day}:{digest(f'{key} {provider} {model}').hex()}"
        event = {
            "model": model,
            "provider": provider,
            **counts,
            # A zero means that OpenClaw knows no price.
            "cost": cost or None,
            "requests": int(row.get("count") or 1),
            "account": terms.account_of(""),
            "project": terms.project,
            "agent": str(session.get("agentId") or ""),
            "session_label": key,
            "session_type": openclaw_type(key.lower()) or "main",
        }
        yield single(event_id, event, f"{day}T12:00:00.000Z", tokens)


def _counts(usage: dict[str, Any], provider: str, model: str, tokens: int) -> dict[str, int]:
    """Return the tokens of a day by class; nothing where the session's classes are not those of the day alone."""
    for row in usage.get("modelUsage") or ():
        totals = row.get("totals") or {}
        found = {ours: int(totals.get(theirs) or 0) for ours, theirs in _CLASSES.items()}
        if (row.get("provider") or "", row.get("model")) == (provider, model) and sum(found.values()) == tokens:
            return found
    return {}


def _run(arguments: list[str]) -> str:
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603 - no shell; the name is looked up as any command's
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OpenClawError(f"{COMMAND} cannot be run ({type(error).__name__}); try it by hand.") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise OpenClawError(f"{COMMAND} failed: {last[:200]}")
    return done.stdout
