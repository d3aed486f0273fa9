"""A fake of OpenRouter's management API on loopback, strict where the real one is, over any `Dataset`."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from infra.demo.anthropic import utc_now
from infra.demo.dataset import Json
from infra.demo.faults import Fault
from infra.demo.openrouter.data import COUNTS, LONG_AGO, PERSON, ActivityRow, Dataset, Key, Workspace
from infra.demo.openrouter.team import DECIMALS, Team
from infra.demo.query import floor
from infra.demo.server import Answer, LoopbackServer, Request

MANAGEMENT_KEY = "sk-or-v1-demo-management"
INFERENCE_KEY = "sk-or-v1-demo-inference"
ROOT = "/api/v1"
DAY = timedelta(days=1)
DAYS = 30
CREDITS = 500
MESSAGES = {
    400: "Date must be within the last 30 (completed) UTC days",
    401: "Missing Authentication header",
    403: "Only management keys can perform this operation",
    404: "Not Found",
    429: "Rate limit exceeded",
    500: "Internal Server Error",
}


class ApiError(Exception):
    """An error as the API documents it."""

    def __init__(self, status: int, message: str | None = None) -> None:
        super().__init__(message or MESSAGES[status])
        self.status = status


class FakeOpenRouter(LoopbackServer):
    """The fake server: `with FakeOpenRouter() as fake: fake.base_url`.

    Args:
        dataset: what it reports on; the synthetic team with 90 days of history when left out.
        clock: tells the time (aware UTC) that reports are made at; may be replaced while serving.
        page: how many keys or workspaces an answer lists.
        is_binary: add amounts up as binary fractions, which leaves digits far behind the point that no part has.
        faults: what goes wrong, in order; see `Fault`.
        port: 0 takes a free one.
    """

    def __init__(
        self,
        dataset: Dataset | None = None,
        *,
        clock: Callable[[], datetime] = utc_now,
        page: int = 100,
        is_binary: bool = False,
        faults: Iterable[Fault] = (),
        port: int = 0,
    ) -> None:
        super().__init__(self._respond, _error_body, faults=faults, port=port)
        self.dataset: Dataset = Team(clock()) if dataset is None else dataset
        self.clock = clock
        self.page = page
        self.is_binary = is_binary

    @property
    def base_url(self) -> str:
        """What the setting of the address is for this server."""
        return f"{self.url}{ROOT}"

    def raw_activity(self) -> Iterator[ActivityRow]:
        """Yield every row of the last 30 days that are over, key by key, those of unlisted keys included."""
        today = floor(self.clock(), DAY)
        yield from self.dataset.activity(today - DAYS * DAY, today)

    def _respond(self, request: Request) -> Answer:
        try:
            return Answer(200, self._report(request, self._admit(request)))
        except ApiError as error:
            return Answer(error.status, _envelope(error.status, str(error)))

    def _admit(self, request: Request) -> str:
        """Check the key first, then the method; return the key."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise ApiError(401)
        if key not in {MANAGEMENT_KEY, INFERENCE_KEY}:
            raise ApiError(401, "User not found.")
        if request.method != "GET":
            raise ApiError(404)
        return key

    def _report(self, request: Request, key: str) -> Json:
        path = request.path.removeprefix(ROOT)
        if path == "/key":
            return {"data": _key(is_management=key == MANAGEMENT_KEY)}
        reports = {
            "/activity": self._activity,
            "/keys": self._keys,
            "/workspaces": self._workspaces,
            "/credits": self._credits,
        }
        if path not in reports:
            raise ApiError(404)
        if key != MANAGEMENT_KEY:
            raise ApiError(403)
        return reports[path](request)

    def _keys(self, request: Request) -> Json:
        now, space = self.clock(), _one(request, "workspace_id") or self.dataset.workspaces[0].id
        shown = [
            key.wire()
            for key in self.dataset.keys
            if key.workspace_id == space
            and (not key.disabled or _one(request, "include_disabled") == "true")
            and (not _is_over(key, now) or _one(request, "include_expired") == "true")
        ]
        first = int(_one(request, "offset") or 0)
        return {"data": shown[first : first + self.page]}

    def _workspaces(self, request: Request) -> Json:
        spaces: list[Workspace] = list(self.dataset.workspaces)
        first = int(_one(request, "offset") or 0)
        return {"data": [space.wire() for space in spaces[first : first + self.page]], "total_count": len(spaces)}

    def _credits(self, _request: Request) -> Json:
        """Answer what was ever used, that of the day so far included."""
        now = self.clock()
        today = floor(now, DAY)
        past = sum((row.usage for row in self.dataset.activity(LONG_AGO, today)), Decimal(0))
        day = sum((row.usage for row in self.dataset.activity(today, today + DAY)), Decimal(0))
        used = past + (day * ((now - today) // timedelta(minutes=1)) / (24 * 60)).quantize(DECIMALS)
        return {"data": {"total_credits": CREDITS, "total_usage": float(used)}}

    def _activity(self, request: Request) -> Json:
        rows: Iterable[ActivityRow] = self.raw_activity()
        if (date := _one(request, "date")) is not None:
            day = self._day(date)
            rows = (row for row in rows if row.at == day)
        if (key := _one(request, "api_key_hash")) is not None:
            rows = (row for row in rows if row.key == key)
        if (space := _one(request, "workspace_id")) is not None:
            rows = (row for row in rows if row.workspace_id == space)
        group = _one(request, "group_by")
        if group not in {None, "workspace"}:
            raise ApiError(400, "Invalid group_by: expected 'workspace'")
        return {"data": fold(rows, by_workspace=group is not None, is_binary=self.is_binary)}

    def _day(self, text: str) -> datetime:
        today = floor(self.clock(), DAY)
        try:
            day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError as exc:
            raise ApiError(400, "Invalid date format. Expected YYYY-MM-DD") from exc
        if not today - DAYS * DAY <= day < today:
            raise ApiError(400)
        return day


def fold(rows: Iterable[ActivityRow], *, by_workspace: bool, is_binary: bool) -> list[Json]:
    """Sum rows over keys, and over workspaces unless they are told apart; newest first."""
    sums: dict[tuple[object, ...], list[ActivityRow]] = {}
    for row in rows:
        place = row.at, row.endpoint, row.workspace_id if by_workspace else None
        sums.setdefault(place, []).append(row)
    found = [_wire(some, by_workspace=by_workspace, is_binary=is_binary) for some in sums.values()]
    return sorted(found, key=lambda row: str(row["date"]), reverse=True)


def _wire(rows: list[ActivityRow], *, by_workspace: bool, is_binary: bool) -> Json:
    first = rows[0]
    usage, byok = ([float(row.usage) for row in rows], [float(row.byok) for row in rows])
    exact = (sum((row.usage for row in rows), Decimal(0)), sum((row.byok for row in rows), Decimal(0)))
    return {
        "date": f"{first.at:%Y-%m-%d}",
        "model": first.endpoint.model,
        "model_permaslug": first.endpoint.permaslug,
        "endpoint_id": first.endpoint.id,
        "provider_name": first.endpoint.provider,
        "usage": sum(usage) if is_binary else float(exact[0]),
        "byok_usage_inference": sum(byok) if is_binary else float(exact[1]),
        **{name: sum(row.counts[place] for row in rows) for place, name in enumerate(COUNTS)},
        **({"workspace_id": first.workspace_id} if by_workspace else {}),
    }


def _key(*, is_management: bool) -> Json:
    return {
        "label": "sk-or-v1-dem...ent",
        "limit": None,
        "limit_remaining": None,
        "limit_reset": None,
        "usage": 0,
        "is_free_tier": False,
        "is_management_key": is_management,
        "is_provisioning_key": is_management,
        "organization_id": "org_2DemoPeakPine",
        "creator_user_id": PERSON,
        "workspace_id": None,
        "expires_at": None,
    }


def _is_over(key: Key, now: datetime) -> bool:
    return key.expires_at is not None and key.expires_at <= now


def _one(request: Request, name: str) -> str | None:
    return next(iter(request.values(name)), None)


def _error_body(status: int) -> Json:
    return _envelope(status, MESSAGES.get(status, f"The demo was told to fail with {status}."))


def _envelope(status: int, message: str) -> Json:
    return {"error": {"code": status, "message": message}, "user_id": None}
