"""`cost-tracker import`: usage from files that lie on this machine."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, date, datetime
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from cost_tracker.connection import AsJson, Key, Url, connected, load_settings
from cost_tracker.options import day_option
from cost_tracker.output import ExitCode, note, print_json

if TYPE_CHECKING:
    from cost_tracker.imports.files import Target
    from cost_tracker.imports.state import State
    from cost_tracker.imports.units import Terms
    from cost_tracker.imports.work import Ask, Report
    from shared.config import Settings

_DATA = "data"

Sources = Annotated[
    list[str], typer.Argument(metavar="PATH|NAME...", help="Files, folders, or claude-code, openclaw, codex.")
]
Format = Annotated[str | None, typer.Option("--format", metavar="NAME", help="Read as this format; else recognised.")]
Account = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Whose usage it is; an account that is not there is made, and not polled."),
]
Project = Annotated[str | None, typer.Option(metavar="NAME", help="One project for everything.")]
Columns = Annotated[
    list[str] | None, typer.Option("--map", metavar="OURS=THEIRS", help="Which column holds what; may be repeated.")
]
Zone = Annotated[
    str | None, typer.Option("--tz", metavar="ZONE", help="Zone of times without an offset; default TIMEZONE.")
]


def import_(  # noqa: PLR0913 - the options of a command
    sources: Sources,
    *,
    form: Format = None,
    account: Account = None,
    project: Project = None,
    columns: Columns = None,
    since: Annotated[date | None, day_option("Leave out what is older.")] = None,
    zone: Zone = None,
    rescan: Annotated[bool, typer.Option("--rescan", help="Read everything again, whatever was read before.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; store nothing.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Stay and import what is added, until Ctrl-C.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Import usage from logs, exports and tables. Importing twice stores nothing twice. Exit 3 if nothing is new.

    Example: [bold]cost-tracker import claude-code[/bold]
    """
    from cost_tracker.imports.show import as_json as shown_as_json  # noqa: PLC0415 - not for `--help`
    from cost_tracker.imports.show import show  # noqa: PLC0415 - the same

    settings = load_settings()
    # Whoever names columns means a table, whatever its own are called.
    targets = _targets(sources, form or ("table" if columns else None))
    terms = _terms(settings, account, project, columns, since, zone)
    with closing(_state(settings, url, is_fresh=dry_run and rescan)) as state:
        if rescan and not dry_run:
            state.forget()
        if watch:
            if _asker(sources):
                raise typer.BadParameter("OpenClaw is asked for whole days; run this once a day.", param_hint="--watch")
            _watch(state, targets, terms, url, key)
            return
        try:
            report = _once(state, targets, terms, url, key, ask=_asker(sources), dry_run=dry_run)
        except KeyboardInterrupt:
            note("Stopped. What was sent is kept; the next import continues from there.")
            raise
    if as_json:
        print_json(shown_as_json(report, dry_run=dry_run))
    elif report.is_empty and not report.bytes:
        note(_nothing(report))
    else:
        show(report, dry_run=dry_run)
    if report.unreadable or report.rejected:
        raise typer.Exit(ExitCode.FAILED)
    if report.is_empty:
        raise typer.Exit(ExitCode.NOTHING)


def _once(
    state: State,
    targets: list[Target],
    terms: Terms,
    url: str | None,
    key: str | None,
    *,
    ask: Ask | None,
    dry_run: bool,
) -> Report:
    from cost_tracker.imports.show import Bars  # noqa: PLC0415 - not for `--help`
    from cost_tracker.imports.work import Report, find_new, is_same_ledger, run  # noqa: PLC0415 - the same

    found = find_new(state, targets, terms)
    here = "" if url else _data_mark(load_settings())
    if not found.pieces and ask is None and not state.refused() and here and state.note(_DATA) == here:
        return Report(unchanged=found.unchanged, unknown=found.unknown, unreadable=found.unreadable)
    with connected(url, key, real=True) as client:
        if not is_same_ledger(state, client):
            found = find_new(state, targets, terms)
        with Bars() as bars:
            report = run(client, state, found, terms, ask=ask, dry_run=dry_run, progress=bars)
    if not dry_run:
        state.save_note(_DATA, "" if url else _data_mark(load_settings()))
    return report


def _watch(state: State, targets: list[Target], terms: Terms, url: str | None, key: str | None) -> None:
    from cost_tracker.imports.watch import watch  # noqa: PLC0415 - not for `--help`

    with connected(url, key, real=True) as client:
        watch(client, state, targets, terms)


def _targets(sources: list[str], form: str | None) -> list[Target]:
    from cost_tracker.imports.files import Target  # noqa: PLC0415 - not for `--help`
    from cost_tracker.imports.registry import FORMATS  # noqa: PLC0415 - the same

    if form is not None and form not in FORMATS:
        raise typer.BadParameter(f"There is no format {form}; choose {', '.join(FORMATS)}.", param_hint="--format")
    found = []
    for source in sources:
        known = FORMATS.get(source)
        if known is not None and known.find is not None and not Path(source).exists():
            if _is_asked(source):
                continue
            places = known.find()
            if not places:
                note(f"There are no files of {known.title} on this machine; name their folder instead.")
                raise typer.Exit(ExitCode.NOTHING)
            found += [Target(place, known.name) for place in places]
        elif Path(source).expanduser().exists():
            found.append(Target(Path(source).expanduser().absolute(), form))
        else:
            named = ", ".join(name for name, made in FORMATS.items() if made.find)
            raise typer.BadParameter(f"There is no file {source}; name a file, a folder, or one of {named}.")
    return found


def _is_asked(source: str) -> bool:
    """Return whether a source answers by itself: OpenClaw where it is installed, whose transcripts are old then."""
    from cost_tracker.imports import openclaw, openclaw_cli  # noqa: PLC0415 - not for `--help`

    return source == openclaw.NAME and openclaw_cli.is_installed()


def _asker(sources: list[str]) -> Ask | None:
    from cost_tracker.imports import openclaw_cli  # noqa: PLC0415 - not for `--help`

    if not any(_is_asked(source) for source in sources if not Path(source).exists()):
        return None
    return lambda terms, until: openclaw_cli.read(terms, until, datetime.now(UTC))


def _terms(
    settings: Settings,
    account: str | None,
    project: str | None,
    columns: list[str] | None,
    since: date | None,
    zone: str | None,
) -> Terms:
    from cost_tracker.imports.times import utc  # noqa: PLC0415 - not for `--help`
    from cost_tracker.imports.units import Terms  # noqa: PLC0415 - the same
    from shared.core.periods import PeriodError, midnight, parse_zone  # noqa: PLC0415 - the same

    try:
        chosen = parse_zone(zone or settings.timezone)
    except PeriodError as error:
        raise typer.BadParameter(str(error), param_hint="--tz") from error
    pairs = []
    for text in columns or ():
        ours, equals, theirs = text.partition("=")
        if not equals or not ours.strip() or not theirs.strip():
            raise typer.BadParameter(f"Write {text} as ours=theirs, such as tokens_in=prompt.", param_hint="--map")
        pairs.append((ours.strip(), theirs.strip()))
    first = utc(midnight(since, chosen).isoformat()) if since else None
    return Terms(account=account, project=project, since=first or "", zone=chosen.key, columns=tuple(pairs))


def _state(settings: Settings, url: str | None, *, is_fresh: bool) -> State:
    """Open what is known about the tracker in question; a fresh one forgets itself."""
    from cost_tracker.imports.state import State  # noqa: PLC0415 - not for `--help`

    if is_fresh:
        return State(None)
    name = blake2b((url or _database(settings)).encode(), digest_size=8).hexdigest()
    return State(settings.home / "imports" / f"{name}.sqlite")


def _database(settings: Settings) -> str:
    """Return what tells this machine's database from others, without its password."""
    if settings.database_url is None:
        return "embedded"
    parts = urlsplit(settings.database_url.get_secret_value())
    return f"{parts.hostname}:{parts.port}{parts.path}?{parts.query}"


def _data_mark(settings: Settings) -> str:
    """Return what changes when the embedded database is made anew, empty for other databases."""
    version = settings.home / "postgres" / "PG_VERSION"
    if settings.database_url is not None or not version.exists():
        return ""
    stat = version.stat()
    return f"{stat.st_ino}:{stat.st_mtime_ns}"


def _nothing(report: Report) -> str:
    if report.unchanged:
        return f"Nothing new: {report.unchanged:,} files have been imported before."
    if report.unknown:
        return f"Nothing to import: the format of {report.unknown[0]} is not known; --format names it."
    return "Nothing to import: no usage was found."
