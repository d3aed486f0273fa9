"""Questions to AWS: botocore signs them and reads the answers, our HTTP client carries them within our budget."""

from __future__ import annotations

import re
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

import httpx

from shared import VERSION
from shared.errors import (
    CostTrackerError,
    CredentialError,
    CursorRefusedError,
    MalformedResponseError,
    ProviderError,
)
from shared.providers.aws_credentials import Credential
from shared.providers.decoding import decode
from shared.providers.http import ERROR_BYTES, MAX_BYTES
from shared.providers.patience import Failure, answered, is_passing, persist, read_body, unreached
from shared.providers.payload import Payload, Text, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.providers.http import Budget

_TITLES = {"cloudwatch": "Amazon CloudWatch", "ce": "AWS Cost Explorer", "sts": "AWS STS"}
# Codes and statuses do not agree: AWS's JSON services refuse keys, limit requests and deny access with status 400.
# Source: docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html and the services' own error lists.
_LIMITED = re.compile(r"Throttl|TooManyRequests|LimitExceeded|SlowDown|RequestTimeout|PriorRequestNotComplete")
_DENIED = re.compile(r"AccessDenied|UnauthorizedOperation|NotAuthorized|OptInRequired|AuthorizationError")
_UNKNOWN_KEY = re.compile(
    r"InvalidClientTokenId|UnrecognizedClient|InvalidAccessKeyId|InvalidToken|Signature|ExpiredToken|RequestExpired"
    r"|MissingAuthenticationToken|AuthFailure"
)
_CLOCK = re.compile(r"RequestTimeTooSkewed|Signature (?:expired|not yet current)")
_TOKEN_REFUSED = re.compile(r"InvalidNextToken|RequestChanged")
_ACTION = re.compile(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)")
_UNAUTHORIZED, _FORBIDDEN = 401, 403


class _Keys(Payload):
    AccessKeyId: Text
    SecretAccessKey: Text
    SessionToken: str


class _Assumed(Payload):
    Credentials: _Keys


class _PassingError(Exception):
    """Carries a failure through botocore."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.what)
        self.failure = failure


class Aws:
    """AWS as one identity sees it: keys, or those of the machine where there are none, in a role if one is named.

    `endpoint` answers for every service; None: each has its own. `needed` is the sentence that a refusal ends with.
    """

    def __init__(
        self,
        credential: Credential | None,
        region: str,
        http: httpx.Client,
        budget: Budget,
        *,
        needed: str,
        endpoint: str | None = None,
        role_arn: str | None = None,
    ) -> None:
        self._credential = credential
        self._region = region
        self._http = http
        self._budget = budget
        self._needed = needed
        self._endpoint = endpoint
        self._role_arn = role_arn
        self._session: Any = None
        self._clients: dict[tuple[str, str], Any] = {}
        self._status = 0

    def call(self, service: str, operation: str, asked: dict[str, Any], region: str | None = None) -> dict[str, Any]:
        """Return the answer to an operation by its name in Python (`list_metrics`), as botocore reads it.

        Raises:
            CredentialError: the keys are refused, or may not do this; the missing permission is named.
            ProviderUnavailableError: still failing or throttled after the tries, or no time left.
            MalformedResponseError: the answer cannot be read.
            CursorRefusedError: the token of the next page is not valid any more.
            ProviderError: any other refusal.
        """
        if self._role_arn is not None:
            self._assume(self._role_arn)

        def attempt() -> dict[str, Any] | Failure:
            # Raised here, where no error of botocore's is around that would be told along with what it quotes.
            outcome = self._ask(service, operation, asked, region or self._region)
            if isinstance(outcome, CostTrackerError):
                raise outcome
            return outcome

        return persist(_TITLES[service], self._budget, attempt)

    def _assume(self, role_arn: str) -> None:
        asked = {"RoleArn": role_arn, "RoleSessionName": "ai-cost-tracker"}
        self._role_arn = None
        try:
            answer = read(_Assumed, self.call("sts", "assume_role", asked), "AWS STS's AssumeRole")
        except ProviderError:
            self._role_arn = role_arn
            raise
        keys = answer.Credentials
        self._credential = Credential(keys.AccessKeyId, keys.SecretAccessKey, keys.SessionToken)
        self._clients.clear()

    def _ask(  # noqa: PLR0911 - one line per way to fail reads best flat
        self, service: str, operation: str, asked: dict[str, Any], region: str
    ) -> dict[str, Any] | Failure | CostTrackerError:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError  # noqa: PLC0415 - slow to import
        from botocore.parsers import ResponseParserError  # noqa: PLC0415 - the same

        title, self._status = _TITLES[service], 0
        try:
            found: dict[str, Any] = getattr(self._client(service, region), operation)(**asked)
        except _PassingError as passing:
            return passing.failure
        except httpx.TransportError as error:
            return unreached(error)
        except httpx.DecodingError:
            return MalformedResponseError(f"{title} answered {operation} with broken compression.")
        except CostTrackerError as error:
            return error
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            told = error.response.get("Error", {})
            return self._refusal(title, operation, str(told.get("Code", "")), told.get("Message"), status)
        except NoCredentialsError:
            return CredentialError(f"There are no credentials of AWS on this machine. {self._needed}")
        except BotoCoreError as error:
            return ProviderError(f"{title} cannot be asked ({type(error).__name__}): check the account's options.")
        except (ResponseParserError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            # What botocore's parsers fail with depends on where an answer strays; its text quotes the answer.
            if self._status >= httpx.codes.BAD_REQUEST:
                return self._refusal(title, operation, f"status {self._status}", None, self._status)
            return MalformedResponseError(
                f"{title} answered {operation} with something that cannot be read ({type(error).__name__})."
            )
        return found

    def _refusal(
        self, title: str, operation: str, code: str, message: object, status: object
    ) -> Failure | CostTrackerError:
        said = self._said(code, message)
        if _LIMITED.search(code):
            return Failure(f"limits requests ({code})")
        if _CLOCK.search(f"{code} {message}"):
            return ProviderError(f"{title} does not take this machine's time for its own ({said}): set the clock.")
        if _UNKNOWN_KEY.search(code) or status == _UNAUTHORIZED:
            return CredentialError(f"{title} refused the key ({said}). {self._needed}", _UNAUTHORIZED, said)
        if _DENIED.search(code) or status == _FORBIDDEN:
            return CredentialError(f"{title} refused {operation} ({said}). {self._needed}", _FORBIDDEN, said)
        if _TOKEN_REFUSED.search(code):
            return CursorRefusedError(f"{title} does not know the next page of {operation} any more ({said}).")
        return ProviderError(f"{title} refused {operation} ({said}).")

    def _said(self, code: str, message: object) -> str:
        """Return AWS's own words, short; of a missing permission only which one, for the rest names who asked."""
        text = message if isinstance(message, str) else ""
        if action := _ACTION.search(text):
            return f"{action[1]} is not allowed"
        text = f"{code}: {text}" if text else code
        text = text if self._credential is None else self._credential.hidden(text)
        return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:300].rstrip(". ")

    def _client(self, service: str, region: str) -> Any:  # noqa: ANN401 - botocore makes its classes at run time
        if (service, region) not in self._clients:
            from botocore.config import Config  # noqa: PLC0415 - slow, and only paid where AWS is asked

            keys = self._credential
            self._session = self._session or _session(is_ambient=keys is None)
            client = self._session.create_client(
                service,
                region_name=region,
                endpoint_url=self._endpoint,
                # Tries are ours to count, each signed anew; and keys go nowhere but where the account says.
                config=Config(
                    retries={"mode": "standard", "total_max_attempts": 1},
                    ignore_configured_endpoint_urls=True,
                    user_agent_extra=f"AICostTracker/{VERSION}",
                ),
                aws_access_key_id=keys.key_id if keys else None,
                aws_secret_access_key=keys.secret if keys else None,
                aws_session_token=keys.token if keys else None,
            )
            client.meta.events.register("before-send", self._send)
            self._clients[service, region] = client
        return self._clients[service, region]

    def _send(self, request: Any, **_: object) -> Any:  # noqa: ANN401 - botocore has no types
        """Send what botocore has signed, and answer in its stead, as its event `before-send` provides for."""
        from botocore.awsrequest import AWSResponse  # noqa: PLC0415 - slow to import

        headers = {
            name: value.decode() if isinstance(value, bytes) else str(value) for name, value in request.headers.items()
        }
        headers.pop("Content-Length", None)
        with self._http.stream(
            request.method,
            request.url,
            content=request.body,
            headers={**headers, "Accept-Encoding": "gzip"},
            timeout=self._budget.patience(),
            follow_redirects=False,
        ) as response:
            self._status = response.status_code
            if is_passing(response.status_code):
                raise _PassingError(answered(response, self._budget))
            if response.is_redirect:
                raise ProviderError("AWS redirects elsewhere, which is not followed; check the account's base_url.")
            body = self._body(response, is_json="X-Amz-Target" in headers)
            plain = {name: value for name, value in response.headers.items() if name != "content-encoding"}
            return AWSResponse(request.url, response.status_code, plain, _Raw(body))

    def _body(self, response: httpx.Response, *, is_json: bool) -> bytes:
        if not response.is_success:
            try:
                return read_body(response, "AWS", "a question", ERROR_BYTES, self._budget)
            except (httpx.HTTPError, MalformedResponseError):
                return b""  # the refusal stands whatever became of its text
        body = read_body(response, "AWS", "a question", MAX_BYTES, self._budget)
        if is_json:
            # botocore takes NaN, anything that is no JSON, and text that no database keeps.
            try:
                decode(body)
            except (ValueError, ArithmeticError, RecursionError) as error:
                raise MalformedResponseError(
                    f"AWS answered with something that is not usable JSON: {error}."
                ) from error
        return body


class _Raw(BytesIO):
    """A body as botocore wants to read it."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()


def _session(*, is_ambient: bool) -> Any:  # noqa: ANN401 - botocore has no types
    from botocore.session import Session  # noqa: PLC0415 - slow to import

    # Keys of their own need no profile, least of all one that AWS_PROFILE names and nobody has.
    session = Session() if is_ambient else Session(session_vars={"profile": (None, None, None, None)})
    session.register_component("data_loader", _loader())
    return session


@cache
def _loader() -> Any:  # noqa: ANN401 - botocore has no types
    """Return what reads the descriptions of services: megabytes of JSON, read once for all accounts."""
    from botocore.loaders import Loader  # noqa: PLC0415 - slow to import

    return Loader()
