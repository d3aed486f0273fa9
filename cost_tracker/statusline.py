"""The figures of a shell prompt: today, month and burn, asked for at most every 30 seconds and never at much expense.

A prompt must not wait, and must not start a database that nobody else needs. So it asks in turn: what was answered
lately; the service that runs; the database, where it runs anyway; what was answered at last, if the database was not
used since. Only then is the database started, once.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from cost_tracker.environment import environment, home
from cost_tracker.output import ExitCode, answer, money, note, print_json
from infra.local import whereabouts
from shared.core import jsontext
from shared.errors import CostTrackerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

FRESH_SECONDS = 30.0
# A prompt that waits longer is worse than one with an older figure.
_PATIENCE_SECONDS = 2.0
_HOUR = 3600.0
_SHOWN = ("today", "month", "burn_per_hour", "date", "tz", "unpriced_tokens", "demo")


class NothingYetError(CostTrackerError):
    """Run `cost-tracker init` or `make run`; there is no tracker on this machine yet."""


@dataclass(frozen=True, slots=True)
class Figures:
    """USD of today, of the month to date, and per hour over the last one to two hours.

    `date` is the tracker's today in its zone `tz`, `asked_at` when it said so (seconds since 1970), `touched` the mark
    of the embedded database then.
    """

    today: Decimal
    month: Decimal
    burn_per_hour: Decimal
    date: str
    tz: str
    unpriced_tokens: int
    demo: bool
    asked_at: float
    touched: float | None = None

    def line(self, now: float) -> str:
        """Return the line of the prompt."""
        parts = [f"today {money(self.today)}", f"month {money(self.month)}"]
        if self.burn_per_hour:
            parts.append(f"{money(self.burn_per_hour)}/h")
        if self.unpriced_tokens:
            parts.append("some unpriced")
        if self.demo:
            parts.append("demo")
        age = now - self.asked_at
        return " | ".join(parts) + (f" ({_age(age)} ago)" if age > 2 * FRESH_SECONDS else "")


def show(url: str | None, key: str | None, project: Sequence[str] = (), *, as_json: bool = False) -> ExitCode:
    """Print the line, and return how the process ends.

    Raises:
        CostTrackerError: as `look`.
    """
    try:
        found = look(url or None, key, {"project": list(project)} if project else {})
    except NothingYetError as error:
        note(str(error))
        return ExitCode.NOTHING
    if as_json:
        print_json({name: getattr(found, name) for name in _SHOWN})
    else:
        answer(found.line(time.time()))
    return ExitCode.DONE


def look(url: str | None, key: str | None, filters: Mapping[str, list[str]]) -> Figures:
    """Return the figures, from wherever they cost least.

    Raises:
        CostTrackerError: nobody can say, and nobody ever could; the sentence says why.
    """
    now = time.time()
    given = environment()
    place = home(given)
    kept = _Kept(place, [url, key, given.get("DATABASE_URL"), filters])
    known, tried_at, reason = kept.read()
    if known is not None and 0 <= now - max(known.asked_at, tried_at) < FRESH_SECONDS:
        return known
    if reason is not None and 0 <= now - tried_at < FRESH_SECONDS:
        raise CostTrackerError(reason)
    try:
        found = _ask(url, key, filters, given, place, known)
    except CostTrackerError as error:
        kept.write(known, tried_at=now, reason=str(error))
        if known is None:
            raise
        return known
    kept.write(found)
    return found


def _ask(
    url: str | None,
    key: str | None,
    filters: Mapping[str, list[str]],
    given: Mapping[str, str],
    place: Path,
    known: Figures | None,
) -> Figures:
    if url:
        from cost_tracker.caller import Caller, over_http  # noqa: PLC0415 - a tenth of a second that only they need

        with Caller(over_http(url, key, _PATIENCE_SECONDS), url) as caller:
            return _figures(caller.get, filters)
    if service := whereabouts.service(place):
        # Its key may be one that only its own environment had; its database runs, and is the next to be asked.
        with (
            suppress(OSError, HTTPException, ValueError, KeyError),
            closing(_Beside(service, _key(given, place))) as api,
        ):
            return _figures(api.get, filters)
    if not given.get("DATABASE_URL", "").strip():
        if not whereabouts.has_database(place):
            raise NothingYetError("There is no tracker on this machine yet; run `cost-tracker init` or `make run`.")
        is_unused = known is not None and known.touched == whereabouts.touched(place)
        if known is not None and is_unused and not whereabouts.is_database_up(place):
            return _later(known)
    return _in_process(filters)


def _in_process(filters: Mapping[str, list[str]]) -> Figures:
    from cost_tracker.connection import connected, load_settings  # noqa: PLC0415 - only where nothing runs
    from infra.local import postgres  # noqa: PLC0415 - the same

    with connected(None, None) as client:
        found = _figures(client.get, filters)
    settings = load_settings()
    # Stopped before its mark is read, unless others use it.
    postgres.stop(settings.home)
    return replace(found, touched=whereabouts.touched(settings.home))


def _figures(get: Callable[..., Any], filters: Mapping[str, list[str]]) -> Figures:
    month = get("/costs/range", **filters)
    today = date.fromisoformat(month["end"])
    yesterday = today - timedelta(days=1)
    hours = get("/costs/range", start=yesterday, end=today, group_by="hour", shape="flat", **filters)
    coverage = month["coverage"]
    return Figures(
        today=Decimal(month["periods"][-1]["total_cost"]),
        month=Decimal(month["total_cost"]),
        burn_per_hour=_burn(hours, datetime.now(UTC)),
        date=month["end"],
        tz=month["tz"],
        unpriced_tokens=coverage["unpriced_tokens"],
        demo=bool(coverage.get("demo")),
        asked_at=time.time(),
    )


def _burn(hours: Any, now: datetime) -> Decimal:  # noqa: ANN401 - rows of JSON
    """Return USD per hour over this hour so far and the whole one before it."""
    costs, seconds = Decimal(0), Decimal(0)
    for row in hours:
        start, end = datetime.fromisoformat(row["start"]), datetime.fromisoformat(row["end"])
        if start <= now and end > now - timedelta(seconds=_HOUR):
            costs += Decimal(row["total_cost"])
            seconds += Decimal((min(end, now) - start).total_seconds())
    return costs * Decimal(_HOUR) / seconds if seconds else Decimal(0)


def _later(known: Figures) -> Figures:
    """Return what the tracker would say now, given that nothing was recorded since: the day may be another one."""
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - only where nothing runs

    now = datetime.now(UTC)
    today = now.astimezone(ZoneInfo(known.tz)).date().isoformat()
    is_over = now.timestamp() - known.asked_at > _HOUR
    return replace(
        known,
        today=known.today if today == known.date else Decimal(0),
        month=known.month if today[:7] == known.date[:7] else Decimal(0),
        burn_per_hour=Decimal(0) if is_over else known.burn_per_hour,
        date=today,
        asked_at=now.timestamp(),
    )


def _key(given: Mapping[str, str], place: Path) -> str | None:
    with suppress(OSError):
        return given.get("API_KEY", "").strip() or (place / "api-key").read_text(encoding="utf-8").strip()
    return None


def _age(seconds: float) -> str:
    for unit, size in (("d", 24 * _HOUR), ("h", _HOUR)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 60:.0f} min"


class _Beside:
    """Asks the service of this machine, by the standard library alone: a whole HTTP client takes longer to load."""

    def __init__(self, url: str, key: str | None) -> None:
        self._http = HTTPConnection(url.removeprefix("http://"), timeout=_PATIENCE_SECONDS)
        self._headers = {"X-API-Key": key or ""}

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def get(self, path: str, **params: object) -> Any:  # noqa: ANN401 - JSON is any shape
        """Return the decoded answer; one that is no success is a ValueError."""
        self._http.request("GET", f"{path}?{urlencode(params, doseq=True)}", headers=self._headers)
        response = self._http.getresponse()
        content = response.read()
        if response.status != HTTPStatus.OK:
            raise ValueError(f"It answers {response.status}.")
        return jsontext.loads(content)


class _Kept:
    """The last answer to one question, in a file of the home; whoever cannot write there asks every time."""

    def __init__(self, place: Path, question: object) -> None:
        digest = hashlib.sha256(json.dumps(question).encode()).hexdigest()[:12]
        self._path = place / f"statusline-{digest}.json"

    def read(self) -> tuple[Figures | None, float, str | None]:
        """Return the figures, when they were last asked for in vain (0: they were not), and why it was in vain."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            note = jsontext.loads(self._path.read_bytes())
            found = note["figures"]
            if found is not None:
                money_ = {name: Decimal(found[name]) for name in ("today", "month", "burn_per_hour")}
                times = {name: None if found[name] is None else float(found[name]) for name in ("asked_at", "touched")}
                found = Figures(**{**found, **money_, **times})
            return found, float(note["tried_at"]), note["reason"]
        return None, 0.0, None

    def write(self, figures: Figures | None, *, tried_at: float = 0.0, reason: str | None = None) -> None:
        """Keep an answer, or that there was none."""
        found = None if figures is None else asdict(figures)
        if found is not None:
            found |= {name: Decimal(repr(found[name])) for name in ("asked_at", "touched") if found[name] is not None}
        note = {"figures": found, "tried_at": Decimal(repr(tried_at)), "reason": reason}
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o755 if os.geteuid() == 0 else 0o700)
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(jsontext.dumps(note))
            draft.replace(self._path)
