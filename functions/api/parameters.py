"""The parameters that many routes share: ranges, filters, pages, shapes."""

from __future__ import annotations

from functions.api.query import Param

TZ = Param("tz", "IANA zone that dates are in and days are cut in; default the TIMEZONE setting.", "zone")
DATE = Param("date", "A date in `tz`, YYYY-MM-DD; default today.", "date", example="2026-11-23")
START = Param("start", "First date, inclusive.", "date", aliases=("start_date",), example="2026-11-01")
END = Param("end", "Last date, inclusive.", "date", aliases=("end_date",), example="2026-11-23")
RANGE = (START, END, TZ)

_FILTERED = {
    "provider": "Provider, such as anthropic.",
    "account": "Account name or id; `none` for events without one.",
    "model": "Model id, alias or dated id.",
    "project": "Project.",
    "session_type": "main, subagent, heartbeat, cron, ...",
    "session_label": "Session label.",
    "agent": "Agent; `unassigned` for lines without one.",
    "category": "Category; `unassigned` for lines without one.",
    "user": "User; `unassigned` for lines without one.",
    "request_type": "Request type.",
    "source": "api, event, manual, import or attribution.",
    "tag": "key:value of an event's tags.",
}
FILTERS = tuple(
    Param(name, f"Only lines with this: {text} May be repeated; any of the values counts.", repeatable=True)
    for name, text in _FILTERED.items()
)

LIMIT = Param("limit", "Rows in a page.", "integer", default="100", minimum=1, maximum=1000)
CURSOR = Param("cursor", "`next_cursor` of the page before.")
OFFSET = Param("offset", "Rows to skip, instead of a cursor.", "integer", minimum=0, maximum=10**9)
PAGE = (LIMIT, CURSOR, OFFSET)

SHAPE = Param("shape", "`flat` answers with the bare array of flat objects.", choices=("flat",))
DRY_RUN = Param("dry_run", "Say what would happen and change nothing.", "flag")
WAIT = Param("wait", "Seconds to wait for the run.", "integer", default="25", minimum=0, maximum=28)
