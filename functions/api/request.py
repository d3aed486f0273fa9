"""From an API Gateway event (payload 2.0) to a `Request`."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from functions.api.encoding import check_text
from functions.api.query import Param, Query, pairs_of
from functions.api.routing import Caller, Request
from shared.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2


def content_of(event: Mapping[str, Any]) -> bytes:
    """Return the bytes of a request's body.

    Raises:
        InvalidInputError: it is declared as base64 and is not.
    """
    body: str = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return body.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInputError("The body is not valid base64; send it again.") from None


def base_url_of(event: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    """Return the address this service was called under, without a slash at the end."""
    context = event["requestContext"]
    scheme = headers.get("x-forwarded-proto", "https").partition(",")[0].strip()
    host = context.get("domainName") or headers.get("host", "localhost")
    stage = context.get("stage", "$default")
    path = event["rawPath"]
    # Behind a custom domain the stage is not part of the path.
    has_stage = stage != "$default" and (path == f"/{stage}" or path.startswith(f"/{stage}/"))
    return f"{'http' if scheme == 'http' else 'https'}://{host}" + (f"/{stage}" if has_stage else "")


def lower_headers(event: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of an event under lower-case names."""
    return {name.lower(): value for name, value in (event.get("headers") or {}).items()}


def read_request(
    event: APIGatewayProxyEventV2,
    params: Mapping[str, str],
    declared: Sequence[Param],
    caller: Caller,
    now: datetime,
) -> Request:
    """Return the request of an event, its query parsed by the parameters that its route declares.

    Raises:
        InvalidInputError: unknown or malformed parameters, or text that cannot be stored.
    """
    raw = event.raw_event
    headers = lower_headers(raw)
    return Request(
        method=event.http_method.upper(),
        path=event.path,
        # API Gateway decodes the path once; what is still encoded was encoded twice on purpose (a slash in an id).
        params={name: check_text(unquote(text)) for name, text in params.items()},
        query=Query(declared, pairs_of(raw.get("rawQueryString") or "")),
        headers=headers,
        content=content_of(raw),
        caller=caller,
        now=now,
        base_url=base_url_of(raw, headers),
        id=str(raw["requestContext"].get("requestId", "")),
    )
