"""A fake of OpenAI's administration API on loopback, strict where the real one is, over any `Dataset`."""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from infra.demo.anthropic import utc_now
from infra.demo.dataset import Json
from infra.demo.faults import Fault
from infra.demo.openai import reports
from infra.demo.openai.data import REPORTS, CostRow, Dataset, UsageRow
from infra.demo.openai.query import ApiError, Query, refuse
from infra.demo.openai.team import Team
from infra.demo.query import floor
from infra.demo.server import Answer, LoopbackServer, Request

ADMIN_KEY = "sk-admin-demo-organisation"
PROJECT_KEY_PREFIXES = ("sk-proj-", "sk-svcacct-")
ROOT = "/v1/organization"
DEFAULT_LIMIT, MAX_LIMIT = 20, 100
MESSAGES = {
    401: "Incorrect API key provided: sk-admin-****. You can find your API key in your account.",
    403: "You have insufficient permissions for this operation. Missing scopes: api.usage.read.",
    404: "Invalid URL",
    429: "Rate limit reached for requests",
    500: "The server had an error while processing your request",
}
CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}


class FakeOpenAI(LoopbackServer):
    """The fake server: `with FakeOpenAI() as fake: fake.base_url`.

    Args:
        dataset: what it reports on; the synthetic team with 90 days of history when left out.
        clock: tells the time (aware UTC) that reports are made at; may be replaced while serving.
        admin_key: the one key it accepts.
        as_numbers: write amounts as JSON numbers instead of text of 34 digits.
        rows_per_page: a page ends inside a bucket once it has so many rows.
        faults: what goes wrong, in order; see `Fault`.
        port: 0 takes a free one.
    """

    def __init__(
        self,
        dataset: Dataset | None = None,
        *,
        clock: Callable[[], datetime] = utc_now,
        admin_key: str = ADMIN_KEY,
        as_numbers: bool = False,
        rows_per_page: int = 300,
        faults: Iterable[Fault] = (),
        port: int = 0,
    ) -> None:
        super().__init__(self._respond, _error_body, faults=faults, port=port)
        self.dataset: Dataset = Team(clock()) if dataset is None else dataset
        self.clock = clock
        self.admin_key = admin_key
        self.as_numbers = as_numbers
        self.rows_per_page = rows_per_page

    @property
    def base_url(self) -> str:
        """What the setting of the address is for this server."""
        return f"{self.url}/v1"

    def raw_usage(self, start: datetime, end: datetime) -> Iterator[UsageRow]:
        """Yield every usage row of `[start, end)` of every report at the finest dimensions, as reported now."""
        for name in REPORTS:
            yield from self.dataset.usage(name, start, end, self.clock())

    def raw_costs(self, start: datetime, end: datetime) -> Iterator[CostRow]:
        """Yield every cost row of the UTC days in `[start, end)` as reported now, today's included."""
        yield from self.dataset.costs(floor(start, timedelta(days=1)), end, self.clock())

    def _respond(self, request: Request) -> Answer:
        try:
            self._admit(request)
            return Answer(200, self._report(request))
        except ApiError as error:
            return Answer(error.status, _envelope(str(error), error.param, error.code))

    def _admit(self, request: Request) -> None:
        """Check the key first, then the method."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise ApiError(401, "You didn't provide an API key.")
        if key.startswith(PROJECT_KEY_PREFIXES):
            raise ApiError(403, MESSAGES[403])
        if key != self.admin_key:
            raise ApiError(401, MESSAGES[401], code=CODES[401])
        if request.method != "GET":
            raise ApiError(405, "Not allowed to use this method.")

    def _report(self, request: Request) -> Json:
        now = self.clock()
        path = request.path.removeprefix(ROOT)
        if path == "/costs":
            return reports.costs(request, self.dataset, now, self.rows_per_page, as_numbers=self.as_numbers)
        if path.startswith("/usage/") and path.removeprefix("/usage/") in REPORTS:
            return reports.usage_report(path.removeprefix("/usage/"), request, self.dataset, now, self.rows_per_page)
        if path == "/projects":
            return self._projects(request)
        if found := re.fullmatch(r"/projects/([^/]+)/api_keys", path):
            return self._keys(request, found[1])
        raise ApiError(404, f"{MESSAGES[404]} ({request.method} {request.path})")

    def _projects(self, request: Request) -> Json:
        query = Query(request, ("limit", "after", "include_archived"))
        archived = query.text("include_archived", ("true", "false")) == "true"
        return _list(query, [one.wire() for one in self.dataset.projects if archived or one.archived_at is None])

    def _keys(self, request: Request, project_id: str) -> Json:
        query = Query(request, ("limit", "after", "owner_project_access"))
        if all(project.id != project_id for project in self.dataset.projects):
            raise ApiError(404, f"Project with ID {project_id} not found.")
        return _list(query, [key.wire() for key in self.dataset.keys if key.project_id == project_id])


def _list(query: Query, items: list[Json]) -> Json:
    limit, after = query.whole("limit", DEFAULT_LIMIT, MAX_LIMIT), query.text("after")
    if after is not None:
        place = next((index for index, item in enumerate(items) if item["id"] == after), None)
        if place is None:
            raise refuse(f"No object with the id '{after}'.", "after", "invalid_value")
        items = items[place + 1 :]
    page = items[:limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(items) > len(page),
    }


def _error_body(status: int) -> Json:
    return _envelope(MESSAGES.get(status, f"The demo was told to fail with {status}."), None, CODES.get(status))


def _envelope(message: str, param: str | None, code: str | None) -> Json:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}
