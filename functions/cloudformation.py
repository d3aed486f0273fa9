"""The answer that CloudFormation waits for: one PUT to a signed address, tried again until it arrives."""

from __future__ import annotations

import http.client
import json
import random
import ssl
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from functions.events import EventError
from functions.logs import redact
from shared.errors import CostTrackerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.events import CustomResource

SUCCESS = "SUCCESS"
FAILED = "FAILED"
# The whole body may have 4,096 bytes, and a character up to 6 of them.
LONGEST_REASON = 400
_TRIES = 5
_TIMEOUT_SECONDS = 5.0
_BACKOFF_SECONDS = 0.5
# Not begun with less: a try needs a moment.
_LAST_SECONDS = 0.3
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class AnswerError(CostTrackerError):
    """Nothing to do by hand: Lambda delivers the event again, and the work is found done."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How the request ended: SUCCESS or FAILED, a sentence for the stack's events, and attributes of the resource."""

    status: str
    reason: str
    data: dict[str, str] = field(default_factory=dict)


def send(request: CustomResource, answer: Answer, physical_id: str, remaining: Callable[[], float]) -> None:
    """Tell CloudFormation; up to five tries within the seconds of `remaining`.

    `physical_id` names the resource for as long as it lives: another one would have CloudFormation delete the old.

    Raises:
        EventError: the address is not one that may be called.
        AnswerError: it could not be delivered. The address is in no error: who has it can answer.
    """
    url = _checked(request.response_url)
    body = json.dumps(
        {
            "Status": answer.status,
            "Reason": redact(answer.reason)[:LONGEST_REASON],
            "PhysicalResourceId": physical_id,
            "StackId": request.stack_id,
            "RequestId": request.request_id,
            "LogicalResourceId": request.logical_id,
            "Data": answer.data,
        }
    ).encode()
    failure = "no time was left"
    for attempt in range(_TRIES):
        if attempt:
            pause = random.uniform(0, _BACKOFF_SECONDS * 2 ** (attempt - 1))  # noqa: S311 - jitter, not a secret
            time.sleep(max(0.0, min(pause, remaining() - _LAST_SECONDS)))
        seconds = min(_TIMEOUT_SECONDS, remaining())
        if seconds < _LAST_SECONDS:
            break
        try:
            status = _put(url, body, seconds)
        except (OSError, http.client.HTTPException) as error:
            failure = type(error).__name__
            continue
        if status < HTTPStatus.MULTIPLE_CHOICES:
            return
        failure = f"status {status}"
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            break  # the address has run out
    raise AnswerError(f"CloudFormation could not be told that the request ended as {answer.status} ({failure}).")


def _checked(address: str) -> SplitResult:
    url = urlsplit(address)
    if not url.hostname or not (url.scheme == "https" or (url.scheme == "http" and url.hostname in _LOOPBACK)):
        raise EventError("The ResponseURL is not an https address; only CloudFormation invokes this function.")
    return url


def _put(url: SplitResult, body: bytes, seconds: float) -> int:
    host = url.hostname or ""
    connection: http.client.HTTPConnection
    if url.scheme == "https":
        connection = http.client.HTTPSConnection(host, url.port, timeout=seconds, context=ssl.create_default_context())
    else:
        connection = http.client.HTTPConnection(host, url.port, timeout=seconds)
    try:
        # The signature covers an empty content type, so none may be sent.
        connection.request(
            "PUT", f"{url.path or '/'}?{url.query}", body, {"Content-Type": "", "Content-Length": str(len(body))}
        )
        return connection.getresponse().status
    finally:
        connection.close()


def as_data(**values: Any) -> dict[str, str]:  # noqa: ANN401 - whatever has a text
    """Return attributes as CloudFormation keeps them: texts."""
    return {name: str(value) for name, value in values.items()}
