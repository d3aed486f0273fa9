"""The strict types of provider payloads, and the sentence that says where an answer strays from its documentation."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError

from shared.core.money import normalise
from shared.core.usage import MAX_COUNT
from shared.errors import CursorRefusedError, MalformedResponseError

if TYPE_CHECKING:
    from shared.providers.base import Window

# What the ledger keeps of an amount of money: NUMERIC with at most 30 decimals, below 10^15.
MAX_DECIMALS = 30
MAX_WHOLE_DIGITS = 15
MAX_TEXT = 2_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The exponent is how Python spells tiny numbers (str(Decimal("0.0000000")) is "0E-7"); no amount of cents needs a
# positive one.
_AMOUNT = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,60})?(?:[eE]-[0-9]{1,4})?")
# Decimal128 text: as above, and with a sign where it does scale up (`1E+2`).
_DECIMAL128 = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,60})?(?:[eE]-[0-9]{1,4}|E\+[0-9]{1,2})?")
_LAST_DECIMAL = Decimal(1).scaleb(-MAX_DECIMALS)
_ROUNDING = Context(prec=MAX_WHOLE_DIGITS + MAX_DECIMALS + 1, rounding=ROUND_HALF_EVEN)


class Payload(BaseModel):
    """Base of payload models: no coercion, unknown keys ignored, input never quoted in errors."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)


P = TypeVar("P", bound=Payload)


def usd_from_cents(value: object) -> Decimal:
    """Return USD, exact, of a decimal string in cents: `"123.78912"` is 1.2378912.

    The point is moved in the digits, not divided: no context can round. Equal amounts come out with equal digits
    (no zeros at the end, zero is `0`), so that `"100"` and `"100.000"` do not look like a restatement.

    Raises:
        ValueError: not a plain decimal string (an object, a JSON number, NaN, Infinity, a positive exponent), 10^15
            USD or more, or more decimals than the ledger keeps.
    """
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value):
        raise ValueError("an amount must be a decimal string in cents")
    sign, digits, exponent = Decimal(value).as_tuple()
    if not isinstance(exponent, int) or not any(digits):
        return Decimal(0)
    exponent -= 2
    while exponent < 0 and digits[-1] == 0:
        digits, exponent = digits[:-1], exponent + 1
    amount = Decimal((sign, digits, exponent))
    if exponent < -MAX_DECIMALS or amount.adjusted() >= MAX_WHOLE_DIGITS:
        raise ValueError("an amount is out of range")
    return amount


def usd(value: object) -> Decimal:
    """Return USD of a JSON number (int or Decimal) or of decimal text, without zeros at the end; zero is `0`.

    Exact to 30 decimals, which is what the ledger keeps; text of 34 significant digits may have more and is rounded
    there, half to even.

    Raises:
        ValueError: anything else (an object, NaN, Infinity), or 10^15 USD and more.
    """
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise ValueError("an amount must be a number or a decimal string")  # noqa: TRY004 - pydantic reports ValueError
    if isinstance(value, str) and not _DECIMAL128.fullmatch(value):
        raise ValueError("an amount must be a number or a decimal string")
    amount = Decimal(value)
    if not amount:
        return Decimal(0)
    if not amount.is_finite() or amount.adjusted() >= MAX_WHOLE_DIGITS:
        raise ValueError("an amount is out of range")
    return normalise(amount.quantize(_LAST_DECIMAL, context=_ROUNDING))


def instant(value: object) -> datetime:
    """Return UTC of an RFC 3339 string with a zone.

    Raises:
        ValueError: anything else.
    """
    if not isinstance(value, str):
        raise ValueError("a time must be an RFC 3339 string")  # noqa: TRY004 - pydantic reports ValueError
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as exc:
        raise ValueError("a time must be an RFC 3339 string") from exc
    if moment.tzinfo is None:
        raise ValueError("a time must name its zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError("a time is out of range") from exc


def unix_second(value: object) -> datetime:
    """Return UTC of whole seconds since 1970.

    Raises:
        ValueError: anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("a time must be whole seconds since 1970")  # noqa: TRY004 - pydantic reports ValueError
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError, ValueError) as exc:
        raise ValueError("a time is out of range") from exc


Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Instant = Annotated[datetime, PlainValidator(instant)]
UnixSecond = Annotated[datetime, PlainValidator(unix_second)]
Usd = Annotated[Decimal, PlainValidator(usd)]
UsdFromCents = Annotated[Decimal, PlainValidator(usd_from_cents)]


def read(model: type[P], value: object, source: str, at: str = "") -> P:
    """Return `value` as a payload model. `source` names the answer, `at` the place of `value` in it.

    Raises:
        MalformedResponseError: one sentence with the path of the first field that strays, and never its content.
    """
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_context=False, include_input=False)
        path = ".".join(str(part) for part in (at, *errors[0]["loc"]) if part != "")
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        reason = errors[0]["msg"].removeprefix("Value error, ")
        raise MalformedResponseError(
            f"{source} does not have the documented shape at {path or 'its root'}: {reason}{more}."
        ) from exc


def check_window(window: Window, grain: timedelta) -> None:
    """Refuse a window that a provider would silently snap to its grain.

    Raises:
        ValueError: empty, not UTC, or not aligned.
    """
    for bound in (window.start, window.end):
        if bound.utcoffset() != timedelta(0) or (bound - _EPOCH) % grain:
            raise ValueError(f"a window must begin and end on whole multiples of {grain} in UTC")
    if window.start >= window.end:
        raise ValueError("a window must end after it begins")


def resumed(window: Window, cursor: str | None, title: str) -> datetime:
    """Return where reading goes on: at the start, or at the day inside the window that a cursor of ours is.

    Raises:
        CursorRefusedError: it is no such day; `title` names the provider.
    """
    if cursor is None:
        return window.start
    try:
        day = datetime.combine(date.fromisoformat(cursor), time(), UTC)
    except ValueError:
        day = window.start
    if not window.start < day < window.end:
        raise CursorRefusedError(f"A cursor of {title} is no day of the window.")
    return day


def bucket_fault(start: datetime, end: datetime, window: Window, grain: timedelta) -> str | None:
    """Return why a bucket cannot belong to the window, or None if it can."""
    if (start - _EPOCH) % grain or end - start != grain:
        return f"its bounds are not one whole interval of {grain}"
    if start < window.start or end > window.end:
        return "it is outside the window that was asked for"
    return None
