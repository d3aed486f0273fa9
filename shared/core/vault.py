"""A day's costs as Context Vault gets them: under 4 KB, rounded so that the parts still add up to the total."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from shared.core import jsontext
from shared.core.money import CONTEXT, DISPLAY_UNIT, apportion, display, normalise, scale, total

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date

    Costs = Mapping[str, Decimal]

# A body is shorter than this.
LIMIT_BYTES = 4096
OTHER = "other"
# Entries of ten bytes each would fill it; there are no shorter ones.
_MOST_KEYS = LIMIT_BYTES // 10
_UNIT, _CENT = Decimal("0.0001"), Decimal("0.01")
# How far apart our four decimals and the ten of reports are, in powers of ten.
_SHIFT = scale(_UNIT) - scale(DISPLAY_UNIT)

_MAKER = re.compile(r"(?:[a-z-]+\.)+(?=[a-z])", re.ASCII)
_NO_FAMILY = {"latest", "preview"}


@dataclass(frozen=True, slots=True)
class Style:
    """How the vault wants it: the whole envelope or the content alone, as object or JSON text, long or short names."""

    workspace: str
    envelope: Literal["full", "bare"] = "full"
    content: Literal["object", "text"] = "object"
    names: Literal["ids", "short"] = "ids"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent for one day: `payload` as data, `body` as its JSON, `digest` the SHA-256 of that in hex."""

    date: date
    payload: Any
    body: str
    digest: str

    @property
    def idempotency_key(self) -> str:
        """The name of this effect: the same for every try, another one for other figures."""
        return f"ai-cost-{self.date}-{self.digest}"


def compose(day: date, total_cost: Decimal, by_model: Costs, by_project: Costs, style: Style) -> Message:
    """Return the message of a local day: exact costs in USD, whose maps each add up to `total_cost`.

    Money has two to four decimals; each map adds up to the total as printed (largest remainder). What would not fit
    under 4 KB is folded into `other`, the smallest amounts of the longer map first. Keys are dearest first, so equal
    figures give equal bytes.
    """
    is_short = style.names == "short"
    named = {"by_model": _renamed(by_model, family if is_short else str)}
    named["by_project"] = _renamed(by_project, slug if is_short else str)
    kept = {name: min(len(parts), _MOST_KEYS) for name, parts in named.items()}
    printed = {name: _printed(_folded(parts, kept[name]), total_cost) for name, parts in named.items()}
    while True:
        payload = _payload({"date": day, "total_cost": _decimals(_rounded(total_cost)), **printed}, style)
        body = jsontext.dumps(payload)
        longest = max((name for name in kept), key=lambda name: (kept[name] > 0, len(jsontext.dumps(printed[name]))))
        if len(body) < LIMIT_BYTES or not kept[longest]:
            return Message(day, payload, body, hashlib.sha256(body.encode()).hexdigest())
        kept[longest] -= max(1, kept[longest] // 16)
        printed[longest] = _printed(_folded(named[longest], kept[longest]), total_cost)


def family(model: str) -> str:
    """Return the word for a model's family: `opus` of `claude-opus-4-5`, `gpt` of `openai/gpt-4o-mini`, `o3`."""
    name = _MAKER.sub("", model.strip().lower().rpartition("/")[2], count=1)
    words = re.findall(r"[^\W_]+", name)
    if "claude" in words:
        after = words[words.index("claude") + 1 :]
        return next((word for word in after if word.isalpha() and word not in _NO_FAMILY), "claude")
    return words[0] if words else model


def slug(project: str) -> str:
    """Return a project's name in lower case with hyphens: `kanban-board` of `Kanban Board`."""
    return "-".join(re.findall(r"[^\W_]+", project.lower())) or project


def _renamed(parts: Costs, rename: Callable[[str], str]) -> dict[str, Decimal]:
    """Rename the keys; those that become one add up."""
    found: dict[str, Decimal] = {}
    for key, cost in parts.items():
        name = rename(key)
        found[name] = CONTEXT.add(found.get(name, Decimal(0)), cost)
    return found


def _folded(parts: Costs, kept: int) -> dict[str, Decimal]:
    """Keep the largest amounts, dearest first, and add the others up under `other`."""
    order = sorted(parts, key=lambda key: (-abs(parts[key]), key))
    if len(order) > kept:
        kept_keys = [key for key in order if key != OTHER][:kept]
        rest = total(cost for key, cost in parts.items() if key not in kept_keys)
        parts = {**{key: parts[key] for key in kept_keys}, OTHER: rest}
    return {key: parts[key] for key in sorted(parts, key=lambda key: (key == OTHER, -parts[key], key))}


def _printed(parts: Costs, whole: Decimal) -> dict[str, Decimal]:
    """Round to four decimals so that the parts add up to the rounded whole."""
    shifted = apportion({key: _shift(cost, _SHIFT) for key, cost in parts.items()}, _shift(whole, _SHIFT))
    return {key: _decimals(_shift(cost, -_SHIFT)) for key, cost in shifted.items()}


def _rounded(amount: Decimal) -> Decimal:
    return _shift(display(_shift(amount, _SHIFT)), -_SHIFT)


def _shift(amount: Decimal, powers: int) -> Decimal:
    # Money is apportioned at ten decimals; moving the point first makes that four.
    return amount.scaleb(powers, CONTEXT)


def _decimals(amount: Decimal) -> Decimal:
    """Write at least two decimals, and no zeros behind them."""
    amount = normalise(amount)
    return amount.quantize(_CENT, context=CONTEXT) if scale(amount) < scale(_CENT) else amount


def _payload(content: dict[str, Any], style: Style) -> Any:  # noqa: ANN401 - an object, or its text
    inner: Any = jsontext.dumps(content) if style.content == "text" else content
    if style.envelope == "bare":
        return inner
    return {"type": "ai_cost_daily", "importance": 5, "workspace": style.workspace, "content": inner}
