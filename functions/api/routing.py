"""How a route is declared: once, with its scope, parameters, summary and schemas.

    router: Router[App] = Router("Reports")

    @router.get(
        "/costs/daily",
        scope=Scope.USAGE_READ,
        summary="What one day cost",
        query=(DATE, TZ, *FILTERS),
        response=schema({"date": DATE_TEXT, "total_cost": MONEY}),
    )
    def daily(request: Request, app: App) -> Result:
        zone = request.query.get("tz", ZoneInfo) or app.settings.zone
        date_ = request.query.get("date", date) or local_date(request.now, zone)
        return app.database.run(lambda connection: reports.daily(connection, date_, zone))

Routers are given to `build_api`, which checks the key and the scope, parses the query by the declared parameters and
encodes the answer; the OpenAPI document and the index are made from the same declarations. A handler returns a
mapping (200) or an `Answer`, and raises errors of shared/errors.py. Path parameters are `{id}`: `request.params["id"]`,
or `request.number("id")` for ids that are integers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, NotRequired, Protocol, Required, TypeAlias, TypedDict, TypeVar, Unpack
from urllib.parse import quote, urlencode

from functions.api.encoding import decode
from functions.api.query import Param, Query, replaced
from shared.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from datetime import datetime

    from functions.api.schemas import Schema
    from shared.config import Settings
    from shared.store.database import Database

JSON = "application/json"


class Scope(StrEnum):
    """What a key may do; `PUBLIC` needs no key and is for the paths in `PUBLIC_PATHS` only."""

    PUBLIC = "public"
    USAGE_WRITE = "usage:write"
    USAGE_READ = "usage:read"
    CONFIG_WRITE = "config:write"
    ADMIN = "admin"


KEY_SCOPES = frozenset(Scope) - {Scope.PUBLIC}
# Two declarations open a route: its scope and this list. Everything else needs a key.
PUBLIC_PATHS = frozenset({"/", "/health", "/api/health", "/openapi.json", "/docs", "/docs/{file}"})


class ShellApp(Protocol):
    """What the shell itself needs of the application."""

    @property
    def settings(self) -> Settings:
        """All settings."""

    @property
    def database(self) -> Database:
        """Where readiness is asked for."""

    @property
    def clock(self) -> Callable[[], datetime]:
        """The present instant, aware, in UTC."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: the name of its key and what that may do."""

    name: str
    scopes: frozenset[Scope]


@dataclass(frozen=True, slots=True)
class Request:
    """One request, checked against its route.

    `headers` have lower-case names; `now` is the instant it arrived (UTC); `base_url` is this service's own address
    without a slash at the end; `id` is the gateway's id of the request.
    """

    method: str
    path: str
    params: Mapping[str, str]
    query: Query
    headers: Mapping[str, str]
    content: bytes
    caller: Caller
    now: datetime
    base_url: str
    id: str

    def json(self) -> Any:  # noqa: ANN401 - JSON is any shape until it is validated
        """Return the decoded body, numbers as int or Decimal, `{}` where it is empty.

        Raises:
            InvalidInputError: it is not JSON.
        """
        return decode(self.content)

    def json_object(self) -> dict[str, Any]:
        """Return the decoded body of a route that takes one object.

        Raises:
            InvalidInputError: it is not JSON, or not an object.
        """
        value = self.json()
        if not isinstance(value, dict):
            raise InvalidInputError("Send one JSON object as the body.")
        return value

    def number(self, name: str) -> int:
        """Return a path parameter that is a whole number.

        Raises:
            NotFoundError: it is not, so there is nothing under that id.
        """
        text = self.params[name]
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(2**63))) or int(text) >= 2**63:
            raise NotFoundError(f"There is nothing at {self.path}; ids are whole numbers.")
        return int(text)

    def url(self, **changed: str | None) -> str:
        """Return the absolute URL of this request with parameters changed, or removed by None: `next` of a list."""
        pairs = replaced(changed, self.query.pairs)
        return self.base_url + quote(self.path, safe="/:@") + (f"?{urlencode(pairs)}" if pairs else "")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that is not simply 200 with an object. `body` is encoded as JSON, or sent as it is otherwise."""

    body: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON


Result: TypeAlias = Mapping[str, object] | Answer
A_contra = TypeVar("A_contra", contravariant=True)
HandlerT: TypeAlias = Callable[[Request, A_contra], Result]


@dataclass(frozen=True, slots=True)
class Body:
    """The JSON body of a route: its schema and an example, which the cURL line sends."""

    schema: Schema
    example: object


class Declaration(TypedDict):
    """The keywords of a route's declaration; `Route` says what each means."""

    scope: Required[Scope]
    summary: Required[str]
    response: Required[Schema]
    description: NotRequired[str]
    query: NotRequired[tuple[Param, ...]]
    body: NotRequired[Body]
    status: NotRequired[int]
    also: NotRequired[Mapping[int, Schema]]
    also_as: NotRequired[Mapping[str, Schema]]
    errors: NotRequired[tuple[int, ...]]
    content_type: NotRequired[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Generic[A_contra]):
    """One operation: `response` is the JSON schema of its `status` answer.

    `also` has the schemas of other successful answers by status, `also_as` those by content type. `errors` are the
    statuses it may fail with besides 400, 401, 403, 500 and 503. `tag` is its router's.
    """

    method: str
    path: str
    tag: str
    handler: HandlerT[A_contra]
    scope: Scope
    summary: str
    response: Schema
    description: str = ""
    query: tuple[Param, ...] = ()
    body: Body | None = None
    status: int = 200
    also: Mapping[int, Schema] = field(default_factory=dict)
    also_as: Mapping[str, Schema] = field(default_factory=dict)
    errors: tuple[int, ...] = ()
    content_type: str = JSON

    @property
    def name(self) -> str:
        """The operation's id: the handler's name."""
        return getattr(self.handler, "__name__", self.summary).rstrip("_")


class Router(Generic[A_contra]):
    """The routes of one resource; `tag` is its heading in the documentation."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.routes: list[Route[A_contra]] = []

    def route(
        self, method: str, path: str, **declared: Unpack[Declaration]
    ) -> Callable[[HandlerT[A_contra]], HandlerT[A_contra]]:
        """Declare the decorated handler as a route.

        Raises:
            ValueError: it is public without being listed as such.
        """
        if declared["scope"] is Scope.PUBLIC and path not in PUBLIC_PATHS:
            raise ValueError(f"{path} is declared public but not listed in PUBLIC_PATHS")

        def declare(handler: HandlerT[A_contra]) -> HandlerT[A_contra]:
            self.routes.append(Route(method=method, path=path, tag=self.tag, handler=handler, **declared))
            return handler

        return declare

    def get(self, path: str, **declared: Unpack[Declaration]) -> Callable[[HandlerT[A_contra]], HandlerT[A_contra]]:
        """Declare a GET route; HEAD is answered with it."""
        return self.route("GET", path, **declared)

    def post(self, path: str, **declared: Unpack[Declaration]) -> Callable[[HandlerT[A_contra]], HandlerT[A_contra]]:
        """Declare a POST route."""
        return self.route("POST", path, **declared)

    def put(self, path: str, **declared: Unpack[Declaration]) -> Callable[[HandlerT[A_contra]], HandlerT[A_contra]]:
        """Declare a PUT route."""
        return self.route("PUT", path, **declared)

    def delete(self, path: str, **declared: Unpack[Declaration]) -> Callable[[HandlerT[A_contra]], HandlerT[A_contra]]:
        """Declare a DELETE route."""
        return self.route("DELETE", path, **declared)
