"""Query parameters: declared per route, read from the raw query string, all mistakes reported at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from functions.api.encoding import check_text
from functions.api.errors import refuse_unknown
from shared.core.periods import PeriodError, parse_date, parse_instant, parse_zone
from shared.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Kind: TypeAlias = Literal["text", "integer", "number", "flag", "date", "instant", "zone"]
Value: TypeAlias = str | int | Decimal | bool | date | datetime | ZoneInfo
T = TypeVar("T", str, int, Decimal, date, datetime, ZoneInfo)

LONGEST_TEXT = 500  # characters of one value

_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})", re.ASCII)
_FLAGS = {"": True, "true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True, slots=True)
class Param:
    """A query parameter of a route.

    `kind` decides the type that handlers get: str, int, Decimal, bool, date, datetime (UTC) or ZoneInfo. `default`
    is written as a caller would. A parameter without a value (`start=`) counts as left out, except that a bare flag
    (`?dry_run`) means true. `maximum` and `minimum` are for integers and numbers.
    """

    name: str
    description: str
    kind: Kind = "text"
    repeatable: bool = False
    choices: tuple[str, ...] = ()
    default: str | None = None
    minimum: int | None = None
    maximum: int | None = None
    aliases: tuple[str, ...] = ()
    example: str | None = None

    def parse(self, text: str) -> Value:
        """Turn what a caller wrote into a value.

        Raises:
            ValueError: half a sentence that says what is expected.
        """
        text = check_text(text.strip())
        if self.choices:
            return self._choice(text)
        if len(text) > LONGEST_TEXT:
            raise ValueError(f"must be at most {LONGEST_TEXT} characters.")
        parsers: dict[Kind, Callable[[str], Value]] = {
            "text": str,
            "flag": self._flag,
            "integer": self._number,
            "number": self._number,
            "date": parse_date,
            "instant": parse_instant,
            "zone": parse_zone,
        }
        return parsers[self.kind](text)

    def _choice(self, text: str) -> str:
        found = next((choice for choice in self.choices if choice.casefold() == text.casefold()), None)
        if found is None:
            raise ValueError(f"must be one of {', '.join(self.choices)}.")
        return found

    def _flag(self, text: str) -> bool:
        if text.lower() not in _FLAGS:
            raise ValueError("must be true or false.")
        return _FLAGS[text.lower()]

    def _number(self, text: str) -> int | Decimal:
        is_integer = self.kind == "integer"
        low, high = self.minimum, self.maximum
        number: int | Decimal | None = None
        if (_INTEGER if is_integer else _NUMBER).fullmatch(text):
            number = int(text) if is_integer else Decimal(text)
        if number is None or (low is not None and number < low) or (high is not None and number > high):
            bounds = f" from {low} to {high}" if high is not None else f" of at least {low}" if low is not None else ""
            raise ValueError(f"must be a {'whole ' if is_integer else ''}number{bounds}.")
        return number


class Query:
    """The parameters of one request, parsed; asking for one that the route does not declare is a KeyError.

    `pairs` are names and values as they were sent.
    """

    def __init__(self, params: Sequence[Param], pairs: Iterable[tuple[str, str]]) -> None:
        """Parse the pairs of a query string by the route's declared parameters.

        Raises:
            InvalidInputError: unknown, repeated or malformed parameters; `details` has one entry for each.
        """
        canonical = {name: param.name for param in params for name in (param.name, *param.aliases)}
        given: dict[str, list[str]] = {param.name: [] for param in params}
        by_name = {param.name: param for param in params}
        self.pairs = tuple(pairs)
        refuse_unknown("parameter", (name for name, _ in self.pairs), canonical)
        for name, text in self.pairs:
            if text.strip() or by_name[canonical[name]].kind == "flag":
                given[canonical[name]].append(text)
        details: list[dict[str, str]] = []
        self._values = {name: _values(by_name[name], texts, details) for name, texts in given.items()}
        if details:
            field, message = details[0]["field"], details[0]["message"]
            raise InvalidInputError(f"The parameter {field}: {message[0].lower()}{message[1:]}", details)

    def get(self, name: str, kind: type[T]) -> T | None:
        """Return a parameter as the type of its kind, None where it was left out and has no default."""
        values = self._values[name]
        if not values:
            return None
        if not isinstance(values[0], kind):
            raise TypeError(f"{name} is declared as {type(values[0]).__name__}")
        return values[0]

    def need(self, name: str, kind: type[T]) -> T:
        """Return a parameter that has a default.

        Raises:
            InvalidInputError: it has none and was left out.
        """
        value = self.get(name, kind)
        if value is None:
            raise InvalidInputError(f"Add the parameter {name}.", [{"field": name, "message": "It is required."}])
        return value

    def flag(self, name: str) -> bool:
        """Return a flag, False where it was left out."""
        return self._values[name] == (True,)

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of a repeatable text parameter, each once, in the order given."""
        return tuple(dict.fromkeys(str(value) for value in self._values[name]))


def _values(param: Param, texts: list[str], details: list[dict[str, str]]) -> tuple[Value, ...]:
    """Parse the values of one parameter, adding to `details` what is wrong with them."""
    if not texts and param.default is not None:
        texts = [param.default]
    if not param.repeatable and len(set(texts)) > 1:
        details.append({"field": param.name, "message": "Give it once; it was given with different values."})
        return ()
    try:
        return tuple(param.parse(text) for text in (texts if param.repeatable else texts[:1]))
    except (PeriodError, InvalidInputError) as error:
        details.append({"field": param.name, "message": str(error)})
    except ValueError as error:
        details.append({"field": param.name, "message": f"It {error}"})
    return ()


def pairs_of(raw: str) -> list[tuple[str, str]]:
    """Return the pairs of a raw query string, so that commas and repeats survive.

    API Gateway's own `queryStringParameters` joins repeats with commas.

    Raises:
        InvalidInputError: it is not UTF-8, or has more than 1000 pairs.
    """
    try:
        return parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=1000)
    except UnicodeDecodeError:
        raise InvalidInputError("The query string is not UTF-8; percent-encode it as UTF-8.") from None
    except ValueError:
        raise InvalidInputError("The query string has more than 1000 parameters; ask in several requests.") from None


def replaced(params: Mapping[str, str | None], pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return pairs with some parameters replaced, or removed where the new value is None."""
    kept = [(name, text) for name, text in pairs if name not in params]
    return kept + [(name, text) for name, text in params.items() if text is not None]
