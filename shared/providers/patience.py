"""Asking a provider again: bounded tries inside a deadline, and waits that it asks for or that grow by chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import httpx

from shared.core.retry_after import seconds_to_wait
from shared.errors import ProviderUnavailableError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.providers.http import Budget

BACKOFF_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 30.0
RETRIED_STATUSES = frozenset({408, 425, 429})
SERVER_ERROR = 500

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """A try that may be repeated: what happened, and what the provider or the socket said about it."""

    what: str
    retry_after: float | None = None
    cause: Exception | None = None


def is_passing(status: int) -> bool:
    """Tell whether an answer of this status may be another one in a while."""
    return status in RETRIED_STATUSES or status >= SERVER_ERROR


def answered(response: httpx.Response, budget: Budget) -> Failure:
    """Return the failure that an answer with a passing status is."""
    asked = response.headers.get("retry-after", "")
    return Failure(f"answered with status {response.status_code}", seconds_to_wait(asked, budget.now()))


def unreached(error: httpx.TransportError) -> Failure:
    """Return the failure that a broken exchange is."""
    if isinstance(error, httpx.TimeoutException):
        return Failure("did not answer in time", cause=error)
    what = "could not be reached" if isinstance(error, httpx.ConnectError) else "broke the connection"
    return Failure(what, cause=error)


def persist(title: str, budget: Budget, attempt: Callable[[], T | Failure]) -> T:
    """Return what the first try returns that is no failure; `title` is whom we ask.

    Raises:
        ProviderUnavailableError: still failing after the tries, or no time left.
    """
    failure = Failure("was not asked")
    for number in range(1, budget.tries + 1):
        if budget.left() <= 0:
            raise out_of_time(title)
        outcome = attempt()
        if not isinstance(outcome, Failure):
            return outcome
        failure = outcome
        if number < budget.tries:
            _wait(title, budget, failure, number)
    raise ProviderUnavailableError(
        f"{title} {failure.what}, at the last of {budget.tries} tries; the next run asks again."
    ) from failure.cause


def read_body(response: httpx.Response, title: str, path: str, max_bytes: int, budget: Budget) -> bytes:
    """Return the body of an answer to `path`, decompressed.

    Raises:
        TooLargeError: it is larger than `max_bytes`.
        ProviderUnavailableError: the time is used up.
    """
    chunks: list[bytes] = []
    size = 0
    for chunk in response.iter_bytes():
        size += len(chunk)
        if size > max_bytes:
            raise TooLargeError(f"{title} answered {path} with more than {max_bytes} bytes.")
        if budget.left() <= 0:
            raise out_of_time(title)
        chunks.append(chunk)
    return b"".join(chunks)


def out_of_time(title: str) -> ProviderUnavailableError:
    """Return the error for a deadline that has passed."""
    return ProviderUnavailableError(f"The time for asking {title} is used up; the next run asks again.")


def _wait(title: str, budget: Budget, failure: Failure, number: int) -> None:
    left = budget.left()
    if failure.retry_after is None:
        delay = budget.random() * min(MAX_BACKOFF_SECONDS, BACKOFF_SECONDS * 2 ** (number - 1))
        if delay >= left:
            raise ProviderUnavailableError(
                f"{title} {failure.what} and no time is left to try again; the next run asks again."
            ) from failure.cause
    else:
        delay = failure.retry_after
        if delay >= left:
            raise ProviderUnavailableError(
                f"{title} {failure.what} and asks to wait {delay:.0f} seconds, more than the {max(left, 0):.0f} that "
                "this run has left; the next run asks again."
            )
    budget.sleep(delay)
