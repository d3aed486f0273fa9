"""Who is calling: the key of a request and the scopes it has. Every reason to refuse gives the same answer."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import psycopg
from aws_lambda_powertools import Logger

from functions.api.errors import ForbiddenError, UnauthorizedError
from functions.api.routing import KEY_SCOPES, Caller, Scope, ShellApp
from shared.errors import CostTrackerError

if TYPE_CHECKING:
    from functions.runtime import App
    from shared.config import Settings

logger = Logger(service="ai-cost-tracker", child=True)

A = TypeVar("A", bound=ShellApp)
# Looks a key up among the stored ones; None where it is unknown, revoked or forged.
FindKey: TypeAlias = Callable[[A, str], Caller | None]

ANYONE = Caller("anyone", frozenset({Scope.PUBLIC}))


def authorize(app: A, headers: Mapping[str, str], scope: Scope, find_key: FindKey[A]) -> Caller:
    """Return the caller of a request, given its headers in lower case and the scope that its route needs.

    Raises:
        UnauthorizedError: no known key.
        ForbiddenError: a known key without the scope.
    """
    if scope is Scope.PUBLIC:
        return ANYONE
    caller = next(filter(None, (_known(app, key, find_key) for key in _keys(headers))), None)
    if caller is None:
        raise UnauthorizedError
    if scope not in caller.scopes:
        raise ForbiddenError(f"The key {caller.name} lacks the scope {scope.value}; use one that has it.")
    return caller


def no_stored_keys(_app: ShellApp, _key: str) -> None:
    """Know no key but the bootstrap one."""


def stored_key(app: App, key: str) -> Caller | None:
    """Look a key up among the stored ones; None where it is forged, unknown, expired or revoked, or without a pepper.

    Raises:
        DatabaseUnavailableError: a key that may be valid was not seen for a minute, and Postgres does not answer.
    """
    if app.settings.key_pepper is None:
        return None
    now = app.clock()
    found = app.keyring.find(app.database, key, app.settings.key_pepper.get_secret_value(), now)
    if found is None:
        return None
    try:
        app.keyring.note_use(app.database, found, now)
    except (psycopg.Error, CostTrackerError) as error:
        # The driver's own text may quote the statement and where the database is.
        logger.warning("use of a key not noted", extra={"key": found.id, "reason": type(error).__name__})
    # A scope that this version does not know opens nothing.
    return Caller(found.name, frozenset(Scope(scope) for scope in found.scopes if scope in KEY_SCOPES))


def _known(app: A, key: str, find_key: FindKey[A]) -> Caller | None:
    if _is_bootstrap(app.settings, key):
        return Caller("API_KEY", KEY_SCOPES)
    return find_key(app, key)


def _is_bootstrap(settings: Settings, key: str) -> bool:
    if settings.api_key is None:
        return False
    # Digests are of one length, so the time taken tells nothing about the length of the key either.
    # Half a surrogate pair, which JSON can carry, is a wrong key and not an error.
    known, given = (
        hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        for text in (settings.api_key.get_secret_value(), key)
    )
    return hmac.compare_digest(known, given)


def _keys(headers: Mapping[str, str]) -> Iterator[str]:
    direct = headers.get("x-api-key", "").strip()
    if direct:
        yield direct
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and bearer.strip():
        yield bearer.strip()
