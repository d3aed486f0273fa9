"""Query parameters the way OpenAI takes them: arrays in three spellings, Unix seconds, tokens bound to their query."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection
from datetime import UTC, datetime
from hashlib import sha256

from infra.demo.server import Request

DIGEST = 16


class ApiError(Exception):
    """An error as the API documents it."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code


def refuse(message: str, param: str | None = None, code: str = "invalid_request_error") -> ApiError:
    """Return the 400 for a request that does not make sense."""
    return ApiError(400, message, param=param, code=code)


class Query:
    """The parameters of one request, read against the names that its endpoint knows.

    `group_by=a&group_by=b`, `group_by[]=a&group_by[]=b` and `group_by=a,b` are the same array.
    """

    def __init__(self, request: Request, scalars: Collection[str], arrays: Collection[str] = ()) -> None:
        self._path = request.path
        self._scalars: dict[str, str] = {}
        self._arrays: dict[str, list[str]] = {}
        for name, value in request.query:
            bare = name.removesuffix("[]")
            if bare in arrays:
                self._arrays.setdefault(bare, []).extend(part for part in value.split(",") if part)
            elif name in scalars:
                self._scalars[name] = value
            else:
                raise refuse(f"Unknown parameter: '{name}'.", name, "unknown_parameter")

    def text(self, name: str, allowed: Collection[str] = ()) -> str | None:
        """Return a parameter, None when absent; 400 when it is not one of `allowed`."""
        value = self._scalars.get(name)
        if value is not None and allowed and value not in allowed:
            raise _invalid(name, value, allowed)
        return value

    def many(self, name: str, allowed: Collection[str] = ()) -> tuple[str, ...]:
        """Return the values of an array; 400 when one is not among `allowed`."""
        values = self._arrays.get(name, [])
        for value in values if allowed else ():
            if value not in allowed:
                raise _invalid(name, value, allowed)
        return tuple(values)

    def whole(self, name: str, default: int, maximum: int) -> int:
        """Return a whole number from 1 to `maximum`; 400 outside."""
        text = self._scalars.get(name)
        if text is None:
            return default
        if not re.fullmatch(r"\d{1,6}", text) or int(text) < 1:
            raise refuse(f"Invalid type for '{name}': expected a positive integer.", name, "invalid_type")
        if int(text) > maximum:
            raise refuse(f"{name.capitalize()} must be less than or equal to {maximum}.")
        return int(text)

    def second(self, name: str) -> datetime | None:
        """Return Unix seconds as UTC; 400 when it is something else, such as a date."""
        text = self._scalars.get(name)
        if text is None:
            return None
        if not re.fullmatch(r"\d{1,11}", text):
            raise refuse(f"Invalid type for '{name}': expected an integer, but got a string.", name, "invalid_type")
        return datetime.fromtimestamp(int(text), UTC)

    def token(self, start: datetime, row: int) -> str:
        """Return an opaque token for this very query that resumes at a row of a bucket."""
        place = f"{start.timestamp():.0f}/{row}"
        return "page_" + urlsafe_b64encode(f"{self._digest(place)}{place}".encode()).decode()

    def resume(self) -> tuple[datetime, int] | None:
        """Return where `page` resumes, None without one; 400 for a token of another query or an invented one."""
        token = self._scalars.get("page")
        if token is None:
            return None
        try:
            content = urlsafe_b64decode(token.removeprefix("page_")).decode()
        except ValueError as exc:
            raise refuse("Invalid page token.", "page", "invalid_value") from exc
        digest, place = content[:DIGEST], content[DIGEST:]
        if digest != self._digest(place):
            raise refuse("The page token does not belong to this query.", "page", "invalid_value")
        second, _, row = place.partition("/")
        return datetime.fromtimestamp(int(second), UTC), int(row)

    def _digest(self, place: str) -> str:
        scalars = sorted(pair for pair in self._scalars.items() if pair[0] != "page")
        arrays = sorted((name, sorted(values)) for name, values in self._arrays.items())
        return sha256(repr((self._path, scalars, arrays, place)).encode()).hexdigest()[:DIGEST]


def _invalid(name: str, value: str, allowed: Collection[str]) -> ApiError:
    return refuse(
        f"Invalid value: '{value}'. Supported values are: {', '.join(map(repr, allowed))}.", name, "invalid_value"
    )
