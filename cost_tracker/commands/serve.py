"""`cost-tracker serve`: the whole service on this machine; what `make run` starts."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cost_tracker.connection import AsJson, load_settings
from cost_tracker.output import ExitCode, answer, count, money, note, print_json

if TYPE_CHECKING:
    from cost_tracker.client import Client, Run
    from infra.local.service import LocalService

# Progress in steps that are worth a line.
_STEP = 25


def serve(
    *,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port on 127.0.0.1, 0 for any that is free; default PORT.")
    ] = None,
    demo: Annotated[
        bool | None,
        typer.Option("--demo/--no-demo", help="Serve invented figures; default only where no provider's key is set."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start the service: database, API and docs at http://127.0.0.1:8000, collection now and on schedule.

    Ctrl-C stops it and keeps the data.

    Example: [bold]cost-tracker serve --port 8123 --demo[/bold]
    """
    from infra.local.service import LocalService  # noqa: PLC0415 - it imports the whole service
    from infra.local.tracker import refused_keys  # noqa: PLC0415 - the same

    settings = load_settings(**({} if port is None else {"PORT": str(port)}))
    service = LocalService(settings, demo=demo, say=note)
    try:
        for sentence in refused_keys(settings):
            note(sentence)
        service.start()
        _announce(service, as_json=as_json)
        _watch(service)
        threading.Event().wait()
    except KeyboardInterrupt:
        note("stopping; the data stays")
    finally:
        # A second Ctrl-C must not leave Postgres behind; stopping is bounded to a few seconds.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        service.stop()
    raise typer.Exit(ExitCode.DONE)


def _announce(service: LocalService, *, as_json: bool) -> None:
    tracker = service.tracker
    if as_json:
        print_json({"ready": service.url, "key": tracker.key, "demo": tracker.is_demo})
    else:
        answer(f"ready: {service.url}")
        answer(f"key: {tracker.key}")
    sys.stdout.flush()
    if tracker.key_path.exists():
        note(f"the key is kept in {tracker.key_path}; docs: {service.url}/docs; stop with Ctrl-C")


def _watch(service: LocalService) -> None:
    """Follow the first collection on stderr; whatever becomes of it, the service goes on."""
    from cost_tracker.client import Client, ClientError  # noqa: PLC0415 - imported late, like the service

    if service.first_run is None:
        note("no provider's key is set: nothing is collected; usage events are accepted")
        return
    with Client(http=service.tracker.client()) as client:
        try:
            run = client.get(f"/admin/runs/{service.first_run}")
            _conclude(client.follow(run, _Steps()), client)
        except ClientError as error:
            note(f"the first collection cannot be followed: {error}")


class _Steps:
    """Writes a line whenever a collection is a step further."""

    def __init__(self) -> None:
        self._last: tuple[object, ...] = ()

    def __call__(self, run: Run) -> None:
        at: dict[str, Any] | None = (run["result"] or {}).get("progress")
        if at and run["status"] == "running":
            step = (at["account"], at["stream"], at["done"] // _STEP)
            if step != self._last:
                note(f"collecting {at['account']}: {at['stream']} {at['done']} % ({count(at['pages'])} pages)")
            self._last = step


def _conclude(run: Run, client: Client) -> None:
    if run["error"]:
        note(f"collection {run['status']}: {run['error']}")
    if run["status"] != "failed":
        month = client.get("/costs/summary/monthly")
        note(f"collected: {money(month['total_cost'])} in the last {month['days']} days, {month['start']} to now")
