"""API Gateway's side of a Lambda call: an HTTP request becomes an event (payload 2.0), the result a response."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote

Headers: TypeAlias = Sequence[tuple[str, str]]
Handler: TypeAlias = Callable[[dict[str, Any], Any], Any]

# API Gateway hands over these as text and everything else, forms included, as base64.
_TEXT_TYPES = ("text/", "application/json", "application/javascript", "application/xml")


@dataclass(frozen=True, slots=True)
class Call:
    """An HTTP request as it came: `target` is the path and query as sent, `host` with its port if it has one."""

    method: str
    target: str
    headers: Headers
    body: bytes
    host: str
    scheme: str = "http"
    source_ip: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response: `headers` may repeat names (`set-cookie`); a `file` is sent instead of the body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class LocalContext:
    """The Lambda context that handlers and Powertools look at."""

    aws_request_id: str
    function_name: str = "local"
    function_version: str = "$LATEST"
    memory_limit_in_mb: int = 1024
    invoked_function_arn: str = "arn:aws:lambda:local:000000000000:function:local"
    started: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        """Return what is left of API Gateway's 30 seconds."""
        return max(0, int((30 - (time.monotonic() - self.started)) * 1000))


def call_handler(handler: Handler, call: Call) -> Reply:
    """Answer a request with a Lambda handler. An exception becomes the 500 that API Gateway gives."""
    event = build_event(call)
    try:
        result = handler(event, LocalContext(event["requestContext"]["requestId"]))
    except Exception:  # noqa: BLE001 - Lambda reports the failure of a function as a response too
        return Reply(500, [("content-type", "application/json")], b'{"message":"Internal Server Error"}')
    return read_result(result)


def build_event(call: Call) -> dict[str, Any]:
    """Return the event of a request.

    Names of headers are in lower case and repeated ones joined by commas; cookies are apart; the path is decoded, the
    raw query string is as sent and its parsed form joins repeats by commas: all as API Gateway does it.
    """
    path, _, query = call.target.partition("?")
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for name, value in call.headers:
        if name.lower() == "cookie":
            cookies += [part.strip() for part in value.split(";") if part.strip()]
        else:
            headers[name.lower()] = ",".join(filter(None, (headers.get(name.lower()), value)))
    headers |= {"host": call.host, "x-forwarded-proto": call.scheme, "x-forwarded-for": call.source_ip}
    now = datetime.now(UTC)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": unquote(path, errors="replace"),
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": call.host,
            "domainPrefix": call.host.partition(".")[0],
            "http": {
                "method": call.method,
                "path": unquote(path, errors="replace"),
                "protocol": "HTTP/1.1",
                "sourceIp": call.source_ip,
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": uuid.uuid4().hex,
            "routeKey": "$default",
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now.timestamp() * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if query:
        joined: dict[str, str] = {}
        for name, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
            joined[name] = f"{joined[name]},{value}" if name in joined else value
        event["queryStringParameters"] = joined
    if call.body:
        event |= _body(call.body, headers.get("content-type", ""))
    return event


def _body(body: bytes, content_type: str) -> dict[str, Any]:
    if content_type.lower().startswith(_TEXT_TYPES):
        try:
            return {"body": body.decode("utf-8"), "isBase64Encoded": False}
        except UnicodeDecodeError:
            pass
    return {"body": base64.b64encode(body).decode("ascii"), "isBase64Encoded": True}


def read_result(result: Any) -> Reply:  # noqa: ANN401 - whatever a handler returned
    """Return the response that API Gateway makes of a handler's result; without a status it is 200 with JSON."""
    if not isinstance(result, dict) or "statusCode" not in result:
        return Reply(200, [("content-type", "application/json")], json.dumps(result).encode())
    headers = [(name.lower(), str(value)) for name, value in (result.get("headers") or {}).items()]
    for name, values in (result.get("multiValueHeaders") or {}).items():
        headers += [(name.lower(), str(value)) for value in values]
    headers += [("set-cookie", cookie) for cookie in result.get("cookies") or ()]
    if not any(name == "content-type" for name, _ in headers) and result.get("body"):
        headers.append(("content-type", "text/plain;charset=UTF-8"))
    body = result.get("body") or ""
    content = base64.b64decode(body) if result.get("isBase64Encoded") else body.encode("utf-8", "replace")
    # As web servers understand it: the handler names a file of this machine that is too big to be a result.
    files = [Path(value) for name, value in headers if name == "x-sendfile"]
    headers = [(name, value) for name, value in headers if name != "x-sendfile"]
    return Reply(int(result["statusCode"]), headers, content, files[0] if files else None)
