"""The API's shell: routes become one handler for API Gateway, with keys checked and every failure in one shape."""

from __future__ import annotations

import base64
import gzip
from collections import deque
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, CORSConfig, Response

from functions.api import health, openapi
from functions.api.auth import FindKey, authorize, no_stored_keys
from functions.api.encoding import encode
from functions.api.errors import (
    MethodNotAllowedError,
    TooLargeError,
    classify,
    error_body,
    headers_of,
    message_of,
    nearest,
)
from functions.api.request import lower_headers, read_request
from functions.api.routing import JSON, Answer, Route, Router, ShellApp
from shared.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.common import BaseProxyEvent

    from shared.config import Settings

logger = Logger(service="ai-cost-tracker", child=True)

A = TypeVar("A", bound=ShellApp)
Event: TypeAlias = dict[str, Any]
Handler: TypeAlias = Callable[[Event, Any], dict[str, Any]]

MAX_BODY = 4 * 1024 * 1024
# Methods whose body, if there is one, means nothing (RFC 9110, 9.3).
_BODILESS = frozenset({"GET", "HEAD", "DELETE"})
# Lambda answers hold 6 MB; reports shrink about tenfold, and small answers are not worth the time.
COMPRESS_FROM = 16 * 1024


def build_api(get_app: Callable[[], A], routers: Sequence[Router[A]], find_key: FindKey[A] = no_stored_keys) -> Handler:
    """Return the Lambda handler of the API. Safe to call from several threads at once.

    `get_app` is called at each request and must be cheap. `find_key` looks up stored keys; the bootstrap key of the
    settings is known anyway.

    Raises:
        ValueError: two routes with the same method and path.
    """
    routes: list[Route[A]] = []
    every: list[Router[A]] = [health.router(routes), openapi.router(routes), *routers]
    for router in every:
        for route in router.routes:
            if any((route.method, route.path) == (other.method, other.path) for other in routes):
                raise ValueError(f"{route.method} {route.path} is declared twice")
            routes.append(route)
    return _Api(get_app, routes, find_key)


class _Resolver(APIGatewayHttpResolver):
    """Powertools' resolver, with the event of a request on the instance: it keeps it on the class, for all threads."""

    def _to_proxy_event(self, event: Event) -> BaseProxyEvent:
        path = event["rawPath"]
        found: Any = super()._to_proxy_event({**event, "rawPath": path.rstrip("/") or "/"})
        self.current_event = found
        return self.current_event


class _Api(Generic[A]):
    """Lends each request a resolver of its own, because a resolver also keeps the context of its request."""

    def __init__(self, get_app: Callable[[], A], routes: Sequence[Route[A]], find_key: FindKey[A]) -> None:
        self._get_app = get_app
        self._routes = routes
        self._find_key = find_key
        self._idle: deque[_Resolver] = deque()  # its append and pop are atomic

    def __call__(self, event: Event, context: Any) -> dict[str, Any]:  # noqa: ANN401 - Lambda's context object
        try:
            resolver = self._borrow()
            result = resolver.resolve(event, context)
        except Exception as error:  # noqa: BLE001 - not even a wrong setting or event is answered in another shape
            return _plain(self._failure(error, event))
        self._idle.append(resolver)
        return result

    def _borrow(self) -> _Resolver:
        try:
            return self._idle.pop()
        except IndexError:
            return self._resolver()

    def _resolver(self) -> _Resolver:
        resolver = _Resolver(cors=_cors(self._get_app().settings), debug=False)
        for route in self._routes:
            methods = ["GET", "HEAD"] if route.method == "GET" else [route.method]
            rule = route.path.replace("{", "<").replace("}", ">")
            resolver.route(rule, methods)(self._adapter(resolver, route))

        def fail(error: Exception) -> Response[Any]:
            event = resolver.current_event.raw_event
            return _response(self._failure(error, event), event)

        def no_route(_error: Exception) -> Response[Any]:
            event = resolver.current_event.raw_event
            try:
                return _response(self._no_route(resolver.current_event.path, event), event)
            except Exception as error:  # noqa: BLE001 - as any other failure
                return fail(error)

        resolver.exception_handler(Exception)(fail)
        resolver.not_found(no_route)
        return resolver

    def _adapter(self, resolver: _Resolver, route: Route[A]) -> Callable[..., Response[Any]]:
        def adapted(**params: str) -> Response[Any]:
            return self._handle(resolver, route, params)

        return adapted

    def _handle(self, resolver: _Resolver, route: Route[A], params: dict[str, str]) -> Response[Any]:
        event = resolver.current_event
        app = self._get_app()
        caller = authorize(app, lower_headers(event.raw_event), route.scope, self._find_key)
        request = read_request(event, params, route.query, caller, app.clock())
        if len(request.content) > MAX_BODY:
            raise TooLargeError(
                f"The body has {len(request.content)} bytes; send at most {MAX_BODY} (4 MiB) or 5,000 rows at once, "
                "in several requests."
            )
        if route.body is None and request.method not in _BODILESS and request.json() != {}:
            raise InvalidInputError("This path takes no body; its parameters go into the query, `?name=value`.")
        result = route.handler(request, app)
        return _response(result if isinstance(result, Answer) else Answer(result, route.status), event.raw_event)

    def _no_route(self, path: str, event: Event) -> Answer:
        """Answer OPTIONS on a known path, and refuse the rest with the nearest path or the methods there are."""
        method = event["requestContext"]["http"]["method"].upper()
        exact = {route.method for route in self._routes if route.path == path}
        allowed = exact or {route.method for route in self._routes if _matches(route.path, path)}
        if method in allowed or (method == "HEAD" and "GET" in allowed):
            # The router refuses some characters in a parameter, which no id of ours has.
            raise NotFoundError("There is nothing at this path; its last part is no id of ours.")
        if not allowed:
            near = nearest(path, {route.path for route in self._routes})
            hint = f"did you mean {near}?" if near else "GET / lists every path."
            raise NotFoundError(f"There is no path {path[:200]}; {hint}")
        allowed |= {"OPTIONS"} | ({"HEAD"} if "GET" in allowed else set())
        if method == "OPTIONS":
            return Answer(status=HTTPStatus.NO_CONTENT, headers={"Allow": ", ".join(sorted(allowed))})
        # The path is not repeated: somebody may have put a key into it.
        message = f"This path does not answer {method[:20]}; use {', '.join(sorted(allowed))}."
        raise MethodNotAllowedError(message, allowed)

    def _failure(self, error: Exception, event: Event) -> Answer:
        known = classify(error)
        if known is None:
            request_id = event.get("requestContext", {}).get("requestId", "unknown")
            logger.error("Request %s failed", request_id, exc_info=error)
            message = f"Something failed on our side; report the request id {request_id}."
            return Answer(error_body("internal", message), HTTPStatus.INTERNAL_SERVER_ERROR)
        status, code = known
        details = error.details if isinstance(error, InvalidInputError) else ()
        return Answer(error_body(code, message_of(error), details), status, headers_of(error, status))


def _matches(template: str, path: str) -> bool:
    parts, given = template.split("/"), path.split("/")
    return len(parts) == len(given) and all(
        part == text or (part.startswith("{") and text) for part, text in zip(parts, given, strict=True)
    )


def _cors(settings: Settings) -> CORSConfig | None:
    if not settings.cors_origins:
        return None
    first, *more = settings.cors_origins
    return CORSConfig(
        first, more, allow_headers=["Idempotency-Key"], expose_headers=["Link", "Retry-After"], max_age=3600
    )


def _body(answer: Answer) -> str | bytes:
    if answer.content_type == JSON and answer.status != HTTPStatus.NO_CONTENT:
        return encode(answer.body)
    return answer.body if isinstance(answer.body, (str, bytes)) else ""


def _response(answer: Answer, event: Event) -> Response[Any]:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **answer.headers}
    body = _body(answer)
    is_base64 = False
    if len(body) >= COMPRESS_FROM and "gzip" in lower_headers(event).get("accept-encoding", ""):
        # The time of day stays out of the bytes: equal answers are equal.
        content = gzip.compress(body.encode() if isinstance(body, str) else body, 6, mtime=0)
        body, is_base64 = base64.b64encode(content).decode("ascii"), True
        headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    if event["requestContext"]["http"]["method"].upper() == "HEAD":
        body = ""
    has_type = answer.status != HTTPStatus.NO_CONTENT
    response: Response[Any] = Response(int(answer.status), answer.content_type if has_type else None, body, headers)
    response.base64_encoded = is_base64
    return response


def _plain(answer: Answer) -> dict[str, Any]:
    headers = {"Content-Type": JSON, **answer.headers}
    return {"statusCode": int(answer.status), "headers": headers, "body": encode(answer.body), "isBase64Encoded": False}
