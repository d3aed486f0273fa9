"""The one map from errors to HTTP, and the body that every 4xx and 5xx has.

CostTrackerError (shared/errors.py) has the errors of the work itself; HTTP adds:
├── UnauthorizedError      no key, or none that we know (401)
├── ForbiddenError         the key is known but lacks the scope (403)
├── MethodNotAllowedError  the path exists, the method does not (405)
└── TooLargeError          the body or what was asked is too big; the message says how to split (413)
"""

from __future__ import annotations

import difflib
from http import HTTPStatus
from typing import TYPE_CHECKING

import psycopg

from shared.core.periods import PeriodError
from shared.errors import (
    ConflictError,
    CostTrackerError,
    CredentialError,
    DatabaseUnavailableError,
    InvalidInputError,
    MigrationError,
    NotFoundError,
    ProviderError,
    SettingError,
    SupersededError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class UnauthorizedError(CostTrackerError):
    """Send a valid key. One sentence for every reason: what was wrong with a key helps only those who guess."""

    def __init__(self) -> None:
        super().__init__("Send a valid API key in the X-API-Key header or as Authorization: Bearer <key>.")


class ForbiddenError(CostTrackerError):
    """Use a key that has the scope which the message names."""


class MethodNotAllowedError(CostTrackerError):
    """Use one of the methods that the message names."""

    def __init__(self, message: str, allowed: Iterable[str]) -> None:
        super().__init__(message)
        self.allowed = ", ".join(sorted(allowed))


class TooLargeError(CostTrackerError):
    """Send or ask for less at once; the message says how."""


# Status and code of an error and of everything derived from it; what is not listed is a 500 without its message.
STATUS: Mapping[type[BaseException], tuple[HTTPStatus, str]] = {
    InvalidInputError: (HTTPStatus.BAD_REQUEST, "invalid_input"),
    PeriodError: (HTTPStatus.BAD_REQUEST, "invalid_input"),
    UnauthorizedError: (HTTPStatus.UNAUTHORIZED, "unauthorized"),
    ForbiddenError: (HTTPStatus.FORBIDDEN, "forbidden"),
    NotFoundError: (HTTPStatus.NOT_FOUND, "not_found"),
    MethodNotAllowedError: (HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed"),
    ConflictError: (HTTPStatus.CONFLICT, "conflict"),
    SupersededError: (HTTPStatus.CONFLICT, "superseded"),
    TooLargeError: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large"),
    SettingError: (HTTPStatus.INTERNAL_SERVER_ERROR, "setting"),
    CredentialError: (HTTPStatus.BAD_GATEWAY, "provider_credential"),
    ProviderError: (HTTPStatus.BAD_GATEWAY, "provider"),
    MigrationError: (HTTPStatus.SERVICE_UNAVAILABLE, "migration"),
    DatabaseUnavailableError: (HTTPStatus.SERVICE_UNAVAILABLE, "database_unavailable"),
    psycopg.OperationalError: (HTTPStatus.SERVICE_UNAVAILABLE, "database_unavailable"),
}

RETRY_AFTER_SECONDS = "5"


def classify(error: BaseException) -> tuple[HTTPStatus, str] | None:
    """Return status and code of an error, None where it is unexpected."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), None)


def message_of(error: BaseException) -> str:
    """Return the sentence for the caller; a driver's own text names hosts and statements, so it is replaced."""
    if isinstance(error, psycopg.Error):
        return "The database did not answer; try again in a few seconds."
    return str(error)


def headers_of(error: BaseException, status: HTTPStatus) -> dict[str, str]:
    """Return the headers that belong to an error."""
    if isinstance(error, MethodNotAllowedError):
        return {"Allow": error.allowed}
    if status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": "Bearer"}
    return {"Retry-After": RETRY_AFTER_SECONDS} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}


def error_body(code: str, message: str, details: Iterable[Mapping[str, str]] = ()) -> dict[str, object]:
    """Return `{"success": false, "error": {"code", "message", "details": [{"field", "message"}]}}`."""
    return {"success": False, "error": {"code": code, "message": message, "details": list(details)}}


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like what was written, None if nothing is near."""
    names = {candidate.casefold(): candidate for candidate in known}
    found = difflib.get_close_matches(name.casefold(), names, n=1, cutoff=0.6)
    return names[found[0]] if found else None


def refuse_unknown(kind: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Accept names that are all known.

    Raises:
        InvalidInputError: names each unknown one (`kind` is `parameter` or `field`) and the nearest known one.
    """
    names = sorted(set(known))
    details = []
    for name in sorted(set(given) - set(names)):
        near = nearest(name, names)
        hint = f"did you mean {near}?" if near else f"known are {', '.join(names)}." if names else "none is known here."
        details.append({"field": name, "message": f"Unknown {kind} {name[:60]!r}; {hint}"})
    if details:
        raise InvalidInputError(details[0]["message"], details)
