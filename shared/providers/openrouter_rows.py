"""OpenRouter's rows of activity: what one says, and what is left of the account's when its keys' are taken out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PlainValidator

from shared.core.money import CONTEXT, DISPLAY_UNIT, normalise, plain
from shared.core.usage import Usage
from shared.providers.base import Bucket, Row
from shared.providers.payload import Count, Payload, Text, Usd

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DAY = timedelta(days=1)
WORDS = ("model", "model_permaslug", "endpoint_id", "provider_name", "workspace_id")
KEY = "api_key_hash"
_COUNTS = ("requests", "prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens")
_ZERO = Decimal(0)


def _midnight(value: object) -> datetime:
    """Return the start of a UTC day: `2026-03-01`, which is documented, or `2026-03-01 00:00:00`, which is sent too.

    Raises:
        ValueError: anything else.
    """
    if not isinstance(value, str):
        raise ValueError("a date must be YYYY-MM-DD")  # noqa: TRY004 - pydantic reports ValueError
    try:
        return datetime.strptime(value.removesuffix(" 00:00:00"), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as exc:
        raise ValueError("a date must be YYYY-MM-DD") from exc


class ActivityRow(Payload):
    """What one endpoint of a model did on one UTC day.

    `usage` is what OpenRouter charged, in USD; `byok_usage_inference` what the upstream provider charges beside it for
    requests on one's own key. `prompt_tokens` hold the cached ones, `completion_tokens` the reasoning.
    """

    date: Annotated[datetime, PlainValidator(_midnight)]
    model: Text
    model_permaslug: Text | None = None
    endpoint_id: Text | None = None
    provider_name: Text | None = None
    workspace_id: Text | None = None
    usage: Usd
    byok_usage_inference: Usd = _ZERO
    requests: Count
    prompt_tokens: Count
    completion_tokens: Count
    reasoning_tokens: Count = 0
    cached_tokens: Count = 0


class StoredRow(ActivityRow):
    """The row with what it was asked by; `rounding` is what binary fractions lost of the account's `usage`."""

    api_key_hash: Text | None = None
    rounding: Usd = _ZERO


@dataclass(slots=True)
class _Rest:
    """What of one endpoint's day no key explains yet."""

    of: ActivityRow
    counts: list[int]
    usage: Decimal = _ZERO
    byok: Decimal = _ZERO
    dearest: dict[str, Any] | None = None
    most: Decimal = _ZERO


def attributed(whole: Iterable[ActivityRow], keys: Mapping[str, Iterable[ActivityRow]]) -> list[Row]:
    """Return the rows of every key, and of what the account has beyond them a row without a key; oldest first.

    Money adds up to the account's rows exactly, and so do counts as long as those say as much as the keys'.
    """
    rests: dict[tuple[object, ...], _Rest] = {}
    found: list[tuple[datetime, dict[str, Any]]] = []
    for row in whole:
        _add(_rest(rests, row), row)
    for key, rows in keys.items():
        for row in rows:
            rest = _rest(rests, row)
            _take(rest, row)
            raw = {**_raw(row), KEY: key}
            if rest.dearest is None or row.usage > rest.most:
                rest.dearest, rest.most = raw, row.usage
            found.append((row.date, raw))
    for rest in rests.values():
        # Sums of binary fractions differ far behind the point. That is nobody's usage, and goes where most was spent.
        if not any(count > 0 for count in rest.counts) and abs(rest.usage) < DISPLAY_UNIT and rest.dearest is not None:
            if rest.usage:
                rest.dearest["rounding"] = normalise(rest.usage)
        elif any(rest.counts) or rest.usage:
            found.append((rest.of.date, _left(rest)))
    return [Row(day, day + DAY, raw) for day, raw in sorted(found, key=lambda one: one[0])]


def counted(row: Row, activity: StoredRow) -> Bucket:
    """Return the bucket of a stored row; its cost is what OpenRouter charged, and nothing else."""
    prompt, cached = activity.prompt_tokens, activity.cached_tokens
    return Bucket(
        row.start,
        row.end,
        {**{name: getattr(activity, name) for name in WORDS}, "api_key_id": activity.api_key_hash},
        usage=Usage(
            # Answers replayed from OpenRouter's own cache count as cached and not as prompt: nothing is below zero.
            input=max(prompt - cached, 0),
            output=activity.completion_tokens,
            cache_read=cached,
            reasoning=min(activity.reasoning_tokens, activity.completion_tokens),
            requests=activity.requests,
        ),
        model=activity.model,
        key_id=activity.api_key_hash,
        workspace_id=activity.workspace_id,
        amount=normalise(CONTEXT.add(activity.usage, activity.rounding)),
        description=_upstream(activity),
    )


def _rest(rests: dict[tuple[object, ...], _Rest], row: ActivityRow) -> _Rest:
    place = (row.date, *(getattr(row, name) for name in WORDS))
    return rests.setdefault(place, _Rest(row, [0] * len(_COUNTS)))


def _add(rest: _Rest, row: ActivityRow) -> None:
    rest.counts = [count + getattr(row, name) for count, name in zip(rest.counts, _COUNTS, strict=True)]
    rest.usage = CONTEXT.add(rest.usage, row.usage)
    rest.byok = CONTEXT.add(rest.byok, row.byok_usage_inference)


def _take(rest: _Rest, row: ActivityRow) -> None:
    rest.counts = [count - getattr(row, name) for count, name in zip(rest.counts, _COUNTS, strict=True)]
    rest.usage = CONTEXT.subtract(rest.usage, row.usage)
    rest.byok = CONTEXT.subtract(rest.byok, row.byok_usage_inference)


def _left(rest: _Rest) -> dict[str, Any]:
    """Return the row without a key.

    Keys that say more than the account mean that the two were not written at the same time. Counts cannot be below
    zero and stay with the keys; money below zero takes back what they say too much, so that the total is the account's.
    """
    counts = {name: max(count, 0) for name, count in zip(_COUNTS, rest.counts, strict=True)}
    return {
        **_raw(rest.of),
        **counts,
        "usage": normalise(rest.usage),
        "byok_usage_inference": normalise(max(rest.byok, _ZERO)),
        KEY: None,
    }


def _raw(row: ActivityRow) -> dict[str, Any]:
    """Return a row with what is documented and nothing else, which might name a person."""
    return {**row.model_dump(), "date": f"{row.date:%Y-%m-%d}"}


def _upstream(activity: StoredRow) -> str | None:
    if not activity.byok_usage_inference:
        return None
    upstream = activity.provider_name or "the upstream provider"
    return f"{plain(activity.byok_usage_inference)} USD more billed by {upstream} for one's own key (BYOK), not counted"
