"""A fake of Anthropic's Admin API on loopback, strict where the real one is, over any `Dataset`.

It serves `make run` without keys and every test of the collector; nothing in it is patched, everything is HTTP.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import count
from types import MappingProxyType

from infra.demo import analytics, claude_code, listings, reports
from infra.demo.dataset import Dataset, Json
from infra.demo.faults import Fault
from infra.demo.organisation import Organisation
from infra.demo.query import ApiError, floor
from infra.demo.server import Answer, LoopbackServer, Request

ADMIN_KEY = "sk-ant-admin01-demo-organisation"
WORKSPACE_KEY_PREFIX = "sk-ant-api03-"
ORGANISATION = {"id": "6f1d2c0e-7a54-4f7b-9b1e-2d8c5a0f4e11", "type": "organization", "name": "Peak & Pine (demo)"}
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
MESSAGES = {
    401: "invalid x-api-key",
    403: "This endpoint requires an Admin API key",
    429: "This request would exceed your organization's rate limit",
    500: "Internal server error",
    529: "Overloaded",
}


class Path(StrEnum):
    """What the fake serves."""

    USAGE = "/v1/organizations/usage_report/messages"
    COST = "/v1/organizations/cost_report"
    ANALYTICS_USAGE = "/v1/organizations/analytics/usage"
    ANALYTICS_COST = "/v1/organizations/analytics/cost"
    CLAUDE_CODE = "/v1/organizations/usage_report/claude_code"
    API_KEYS = "/v1/organizations/api_keys"
    WORKSPACES = "/v1/organizations/workspaces"
    ME = "/v1/organizations/me"


REPORTS: Mapping[str, Callable[[Request, Dataset, datetime], Json]] = {
    Path.USAGE: reports.usage_report,
    Path.COST: reports.cost_report,
    Path.ANALYTICS_USAGE: analytics.usage,
    Path.ANALYTICS_COST: analytics.cost,
    Path.CLAUDE_CODE: claude_code.report,
}
LISTINGS: Mapping[str, Callable[[Request, Dataset], Json]] = {
    Path.API_KEYS: listings.api_keys,
    Path.WORKSPACES: listings.workspaces,
}


def utc_now() -> datetime:
    """Return the present instant, aware, in UTC."""
    return datetime.now(UTC)


class FakeAnthropic(LoopbackServer):
    """The fake server: `with FakeAnthropic() as fake: fake.url`.

    Args:
        dataset: what it reports on; the synthetic organisation with 90 days of history when left out.
        clock: tells the time (aware UTC) that reports are made at; may be replaced while serving.
        admin_key: the one key it accepts in `x-api-key`.
        faults: what goes wrong, in order; see `Fault`.
        port: 0 takes a free one.
        organisation: what it says of whom the key belongs to: `id`, `name` and `type`.
    """

    def __init__(
        self,
        dataset: Dataset | None = None,
        *,
        clock: Callable[[], datetime] = utc_now,
        admin_key: str = ADMIN_KEY,
        faults: Iterable[Fault] = (),
        port: int = 0,
        organisation: Mapping[str, str] = MappingProxyType(ORGANISATION),
    ) -> None:
        super().__init__(self._respond, self._error_body, faults=faults, port=port)
        self.dataset: Dataset = Organisation(clock()) if dataset is None else dataset
        self.clock = clock
        self.admin_key = admin_key
        self.organisation = organisation
        self._numbers = count(1)

    def raw_usage(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, Json]]:
        """Yield every usage row of `[start, end)` at the finest dimensions, as reported now.

        Each is `(start of its interval, wire shape with every dimension and speed filled)`: what brute-force sums
        are taken over, without HTTP, buckets or grouping. The synthetic organisation has hourly rows.
        """
        for row in self.dataset.usage(start, end, self.clock()):
            yield row.at, row.wire()

    def raw_costs(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, Json]]:
        """Yield every cost row of the complete UTC days in `[start, end)` as reported now: `(day, wire shape)`."""
        now = self.clock()
        for row in self.dataset.costs(start, min(end, floor(now, timedelta(days=1))), now):
            yield row.at, row.wire()

    def _respond(self, request: Request) -> Answer:
        try:
            self._admit(request)
            return Answer(200, self._report(request))
        except ApiError as error:
            return Answer(error.status, self._envelope(error.kind, str(error)))

    def _admit(self, request: Request) -> None:
        """Check the key first, then the version, then the method."""
        key = request.headers.get("x-api-key")
        if key is None:
            raise ApiError(401, "authentication_error", "x-api-key header is required")
        if key.startswith(WORKSPACE_KEY_PREFIX):
            raise ApiError(403, "permission_error", MESSAGES[403])
        if key != self.admin_key:
            raise ApiError(401, "authentication_error", MESSAGES[401])
        if "anthropic-version" not in request.headers:
            raise ApiError(400, "invalid_request_error", "anthropic-version: header is required")
        if request.method != "GET":
            raise ApiError(405, "invalid_request_error", "Method Not Allowed")

    def _report(self, request: Request) -> Json:
        if request.path == Path.ME:
            return dict(self.organisation)
        if (answer := REPORTS.get(request.path)) is not None:
            return answer(request, self.dataset, self.clock())
        if (listing := LISTINGS.get(request.path)) is not None:
            return listing(request, self.dataset)
        raise ApiError(404, "not_found_error", f"Not found: {request.path}")

    def _error_body(self, status: int) -> Json:
        kind = ERROR_TYPES.get(status, "api_error")
        return self._envelope(kind, MESSAGES.get(status, f"The demo was told to fail with {status}."))

    def _envelope(self, kind: str, message: str) -> Json:
        error = {"type": kind, "message": message}
        return {"type": "error", "error": error, "request_id": f"req_demo{next(self._numbers):08d}"}
