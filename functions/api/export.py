"""Exports: every line that passes the filters, or what FOCUS makes of them, with all digits, in constant memory."""

from __future__ import annotations

from contextlib import closing
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from functions.api.export_sinks import FOLDER, Directory, bucket_url, new_name, to_bucket
from functions.api.parameters import FILTERS, RANGE
from functions.api.query import Param
from functions.api.questions import ask
from functions.api.records import bounds
from functions.api.routing import Answer, Request, Result, Router, Scope
from functions.api.schemas import TEXT, array, schema
from shared import VERSION
from shared.core.focus_columns import FOCUS_1_2
from shared.errors import InvalidInputError, NotFoundError
from shared.store import export, focus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from functions.api.export_sinks import Sink
    from functions.api.schemas import Schema
    from functions.runtime import App
    from shared.store.database import Connection
    from shared.store.export import Format

router: Router[App] = Router("Usage")

# Lambda answers hold 6 MB.
MAX_INLINE = 5 * 1024 * 1024
FOCUS, METADATA = "focus", "focus-metadata"
_LINES: dict[str, Format] = {"csv": "csv", "json": "json", "jsonl": "jsonl"}
# By what the file's name ends with.
_TYPES: dict[str, str] = {
    "csv": "text/csv; charset=utf-8; header=present",
    # Not plainly JSON: the text is made already.
    "json": "application/json; charset=utf-8",
    "jsonl": "application/x-ndjson; charset=utf-8",
}
_FORMAT = Param(
    "format",
    "How the lines are written; `focus` is a CSV of the FOCUS 1.2 dataset, `focus-metadata` what belongs beside it.",
    choices=(*_LINES, FOCUS, METADATA),
    default="csv",
)
_OBJECTS = array({"type": "object"})
_JSON: Schema = {"anyOf": [_OBJECTS, schema({"DataGenerator": {"type": "object"}, "Schema": _OBJECTS})]}
_UTC = ZoneInfo("UTC")


@router.get(
    "/api/usage/export",
    scope=Scope.USAGE_READ,
    summary="Every usage record that passes the filters, as CSV, JSON or JSON lines, or summed as FOCUS 1.2",
    description="More than 5 MB are answered with 303 and the URL of a file, which is there for an hour. FOCUS has one "
    "row per UTC day, account, workspace, key, model, token class and tier.",
    query=(_FORMAT, *RANGE, *FILTERS),
    response=TEXT,
    content_type="text/csv",
    also_as={"application/json": _JSON, "application/x-ndjson": TEXT},
    errors=(303,),
)
def export_usage(request: Request, app: App) -> Result:
    """Answer the lines themselves, or where they are."""
    form = request.query.need("format", str)
    if form == METADATA:
        return FOCUS_1_2.metadata(VERSION)
    zone = _focus_zone(request) if form == FOCUS else None

    def run(connection: Connection) -> Answer:
        question = ask(request, app, connection, zone)
        span = bounds(request, question.zone)
        lines = (
            focus.stream(connection, FOCUS_1_2, span, question.filters)
            if form == FOCUS
            else export.stream(connection, _LINES[form], span, question.filters)
        )
        # An answer that fails half way must leave the connection to the end of its transaction.
        with closing(lines):
            return _answer(request, app, form, lines)

    return app.database.run(run)


def _focus_zone(request: Request) -> ZoneInfo:
    """Return the zone of the dataset's days, whatever the TIMEZONE setting is."""
    if request.query.get("tz", ZoneInfo) not in {None, _UTC}:
        raise InvalidInputError(
            "FOCUS has days and months of UTC; leave tz out.", [{"field": "tz", "message": "It can only be UTC."}]
        )
    return _UTC


@router.get(
    "/api/usage/exports/{file}",
    scope=Scope.USAGE_READ,
    summary="A big export, where this machine keeps it",
    query=(
        Param("expires", "Until when the link holds.", "integer", minimum=0),
        Param("signature", "That the link is ours."),
    ),
    response=TEXT,
    content_type="text/csv",
    errors=(404,),
)
def exported_file(request: Request, app: App) -> Result:
    """Answer a file that an export left here."""
    name = request.params["file"]
    expires, signature = request.query.get("expires", int), request.query.get("signature", str)
    form = name.rpartition(".")[2]
    if expires is None or signature is None or form not in _TYPES:
        raise NotFoundError("This link is not complete; export again for a new one.")
    path = Directory(app.settings).find(name, str(expires), signature, request.now)
    # Whoever stands in for API Gateway sends the file itself, so that it never has to fit into memory.
    return Answer("", headers={**_attachment(name), "X-Sendfile": str(path)}, content_type=_TYPES[form])


def _answer(request: Request, app: App, form: str, lines: Iterator[bytes]) -> Answer:
    subject, extension = ("focus", "csv") if form == FOCUS else ("usage", form)
    head, size = [], 0
    for piece in lines:
        head.append(piece)
        size += len(piece)
        if size > MAX_INLINE:
            break
    else:
        name = f"{subject}-{request.now:%Y-%m-%d}.{extension}"
        return Answer(b"".join(head).decode(), headers=_attachment(name), content_type=_TYPES[extension])
    name = new_name(subject, extension, request.now)
    bucket = app.settings.export_bucket
    if bucket is None:
        directory = Directory(app.settings)
        with directory.open(name) as sink:
            _copy(chain(head, lines), sink)
        parameters = urlencode(directory.query(name, request.now))
        return _see(f"{request.base_url}/api/usage/exports/{name}?{parameters}")
    key = f"{FOLDER}/{name}"
    with to_bucket(bucket, key, _TYPES[extension]) as sink:
        _copy(chain(head, lines), sink)
    return _see(bucket_url(bucket, key, name))


def _copy(pieces: Iterable[bytes], sink: Sink) -> None:
    for piece in pieces:
        sink.write(piece)


def _see(url: str) -> Answer:
    return Answer({"success": True, "url": url}, HTTPStatus.SEE_OTHER, {"Location": url})


def _attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
