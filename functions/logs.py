"""One structured log for every function: what belongs together carries one id, and no secret gets in."""

from __future__ import annotations

import json
import logging
import os
import re
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote, unquote, urlsplit

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from pydantic import SecretStr

from shared.errors import CostTrackerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from shared.config import Settings

Handler: TypeAlias = "Callable[[dict[str, Any], Any], dict[str, Any]]"

SERVICE = "ai-cost-tracker"
MASK = "***"
# Shorter ones are words: hiding them would make the log unreadable and protect nothing.
SHORTEST_SECRET = 8

# What looks like a secret is hidden even where it is not one of ours: keys of providers and of this API, passwords in
# addresses, bearer tokens, and what signs an address of AWS (CloudFormation's ResponseURL among them). None of them
# takes a backslash, which would break the JSON around it.
_PATTERNS = (
    (re.compile(r"\b(sk-(?:ant-|or-|proj-|admin-|svcacct-)?)[A-Za-z0-9_-]{8,}"), rf"\1{MASK}"),
    (re.compile(r"\b(act_)[A-Za-z0-9_-]{8,}"), rf"\1{MASK}"),
    (re.compile(r"(\w+(?:\+\w+)?://[^\s:/@\"'\\]*):[^\s/@\"'\\]+@"), rf"\1:{MASK}@"),
    (re.compile(r"(?i)(\bbearer\s+)[A-Za-z0-9._~+/=-]{8,}"), rf"\1{MASK}"),
    (re.compile(r"(?i)(\bpassword\s*=\s*)[^\s\"'\\]+"), rf"\1{MASK}"),
    (re.compile(r"(?i)(X-Amz-(?:Signature|Credential|Security-Token)=)[^\s&\"'\\]+"), rf"\1{MASK}"),
)


class _Hidden:
    """The secret values of this process, in every spelling that a log line may hold them in."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, values: Iterable[str]) -> None:
        long = {value for value in values if len(value) >= SHORTEST_SECRET}
        plain = long | {quote(value, safe="") for value in long} | {repr(value)[1:-1] for value in long}
        once = {json.dumps(value)[1:-1] for value in plain}
        spelt = plain | once | {json.dumps(value)[1:-1] for value in once}
        if not spelt <= self._values:
            # Another thread keeps the pattern it has until this one is whole.
            self._values = self._values | spelt
            longest_first = sorted(self._values, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def mask(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub(MASK, text)


_hidden = _Hidden()


def hide(settings: Settings) -> None:
    """Keep the secrets of these settings out of every line that is logged from now on."""
    secrets = [value.get_secret_value() for _, value in settings if isinstance(value, SecretStr)]
    passwords = [
        password
        for text in secrets
        if "://" in text and (parts := urlsplit(text)).password and (password := parts.password) != parts.username
    ]
    _hidden.add([*secrets, *passwords, *map(unquote, passwords)])


def hide_texts(secrets: Iterable[str]) -> None:
    """Keep secrets that are no settings, such as stored credentials, out of every line that is logged from now on.

    Of one with several parts, as AWS's keys are, each part is one.
    """
    _hidden.add(part for secret in secrets for part in (secret, *secret.split(":")))


def redact(text: str) -> str:
    """Return a text without the secrets of this process and without anything that looks like one."""
    text = _hidden.mask(text)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


class RedactingFormatter(LambdaPowertoolsFormatter):
    """Powertools' JSON, with secrets hidden wherever in a record they are: message, extra fields, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of JSON."""
        return redact(super().format(record))


class RedactingFilter(logging.Filter):
    """The same for lines of libraries, which go through the handler that Lambda's runtime brings."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record and let it pass."""
        record.msg, record.args = redact(record.getMessage()), None
        if record.exc_info:
            record.exc_text = redact(record.exc_text or logging.Formatter().formatException(record.exc_info))
        return True


logger = Logger(service=SERVICE, logger_formatter=RedactingFormatter(utc=True))
_library_filter = RedactingFilter()


def guard_libraries() -> None:
    """Put the filter on the root logger's handlers, once; on Lambda they exist before our code is loaded."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(_library_filter)


class FunctionFailedError(CostTrackerError):
    """Look the invocation up in the log; Lambda tries it again, or puts it into the dead-letter queue."""


def entry(correlation: Callable[[Any], str | None]) -> Callable[[Handler], Handler]:
    """Make a function an entry point: log context of its own, one id for its lines, failures without secrets.

    `correlation` takes the event and gives the id; None where it has none. An exception of the function is logged in
    full and raised again as `FunctionFailedError`, because Lambda prints what it is given.
    """

    def decorate(function: Handler) -> Handler:
        @wraps(function)
        def invoked(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - Lambda's context object
            guard_libraries()
            try:
                logger.set_correlation_id(correlation(event))
                return function(event, context)
            except Exception as error:
                logger.exception("the function failed")
                raise FunctionFailedError(redact(f"{type(error).__name__}: {error}")) from None

        # An event may hold keys and a signed address: never logged, whatever the environment says.
        return traced(logger.inject_lambda_context(invoked, log_event=False, clear_state=True))

    return decorate


def traced(handler: Handler, environ: Mapping[str, str] | None = None) -> Handler:
    """Return the handler with an X-Ray segment around it where POWERTOOLS_TRACE_DISABLED is `false`, else as it is.

    Without the X-Ray SDK, which does not ship, Lambda's own segments are all there is.
    """
    disabled = (os.environ if environ is None else environ).get("POWERTOOLS_TRACE_DISABLED", "true")
    if disabled.strip().lower() not in {"false", "0", "no", "off"}:
        return handler
    try:
        from aws_lambda_powertools import Tracer  # noqa: PLC0415 - needs the X-Ray SDK, which only tracing should load

        tracer = Tracer(service=SERVICE)
    except ImportError:
        logger.info("tracing is on without the X-Ray SDK: Lambda's own segments only")
        return handler
    # What was answered and how it failed may hold figures and keys: times are all that a trace is for.
    found: Handler = tracer.capture_lambda_handler(handler, capture_response=False, capture_error=False)
    return found
