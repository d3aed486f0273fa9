"""Query parameters the way the Admin API takes them: known names, bracketed arrays, fixed values, page tokens."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from infra.demo.dataset import Dataset, Detailed, stamp
from infra.demo.server import Request

RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DIGEST = 16


class ApiError(Exception):
    """An error as the API documents it: HTTP status, error type, sentence."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


def refuse(message: str) -> ApiError:
    """Return the 400 for a request that does not make sense."""
    return ApiError(400, "invalid_request_error", message)


def detailed(dataset: Dataset) -> Detailed:
    """Return a dataset that has what newer reports tell; 404 for one that has not."""
    if not isinstance(dataset, Detailed):
        raise ApiError(404, "not_found_error", "This organisation does not have this report")
    return dataset


def floor(instant: datetime, width: timedelta) -> datetime:
    """Return the start of the UTC interval of `width` that holds `instant`."""
    return instant - (instant - EPOCH) % width


class Query:
    """The parameters of one request, read against the names that its endpoint knows.

    Args:
        request: the request as it came.
        scalars: names that may be given once.
        arrays: names (without brackets) that may be repeated as `name[]`.
    """

    def __init__(self, request: Request, scalars: Collection[str], arrays: Collection[str] = ()) -> None:
        self._request = request
        for name, _ in request.query:
            if name not in scalars and name.removesuffix("[]") not in arrays:
                raise refuse(f"{name}: Extra inputs are not permitted")
            if name in arrays:
                raise refuse(f"{name}: Input should be a valid array; write {name}[]=")
            if name in scalars and len(request.values(name)) > 1:
                raise refuse(f"{name}: Input should be given once")

    def text(self, name: str, allowed: Collection[str] = ()) -> str | None:
        """Return a parameter, None when absent; 400 when it is not one of `allowed`."""
        value = next(iter(self._request.values(name)), None)
        if value is not None and allowed:
            _check(name, value, allowed)
        return value

    def many(self, name: str, allowed: Collection[str] = ()) -> tuple[str, ...]:
        """Return the values of `name[]`; 400 when one is not among `allowed`."""
        values = self._request.values(f"{name}[]")
        for value in values if allowed else ():
            _check(f"{name}[]", value, allowed)
        return tuple(values)

    def whole(self, name: str, default: int, maximum: int) -> int:
        """Return a whole number from 1 to `maximum`; 400 outside."""
        text = self.text(name)
        if text is None:
            return default
        if not re.fullmatch(r"\d{1,6}", text) or not 1 <= int(text) <= maximum:
            raise refuse(f"{name}: Input should be a whole number between 1 and {maximum}")
        return int(text)

    def instant(self, name: str) -> datetime | None:
        """Return an RFC 3339 timestamp in UTC; 400 when it is something else."""
        text = self.text(name)
        if text is None:
            return None
        if not RFC3339.fullmatch(text):
            raise refuse(f"{name}: Input should be an RFC 3339 timestamp with an offset")
        try:
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError) as exc:
            raise refuse(f"{name}: Input should be a valid datetime") from exc

    def token(self, resume: datetime) -> str:
        """Return an opaque page token for this very query that resumes at the bucket of `resume`."""
        return self.token_of(stamp(resume))

    def resume(self) -> datetime | None:
        """Return where `page` resumes, None without one; 400 for a token of another query or an invented one."""
        place = self.place()
        return None if place is None else datetime.fromisoformat(place)

    def token_of(self, place: str) -> str:
        """Return an opaque page token for this very query that `place` gives back."""
        return "page_" + urlsafe_b64encode(f"{self._digest(place)}{place}".encode()).decode()

    def place(self) -> str | None:
        """Return what `page` was made of, None without one; 400 as `resume`."""
        token = self.text("page")
        if token is None:
            return None
        try:
            content = urlsafe_b64decode(token.removeprefix("page_")).decode()
        except ValueError as exc:
            raise refuse("page: Invalid page token") from exc
        digest, place = content[:DIGEST], content[DIGEST:]
        if digest != self._digest(place):
            raise refuse("page: Invalid page token; it must be used with the parameters it was issued for")
        return place

    def _digest(self, place: str) -> str:
        """Bind a position to path and parameters, so that neither can change under a token."""
        pairs = sorted(pair for pair in self._request.query if pair[0] != "page")
        return sha256(repr((self._request.path, pairs, place)).encode()).hexdigest()[:DIGEST]


def _check(name: str, value: str, allowed: Collection[str]) -> None:
    if value not in allowed:
        raise refuse(f"{name}: Input should be one of {', '.join(allowed)}; got {value!r}")
