"""What the fake reports on: rows at their finest dimensions, in the wire's terms, and the names behind ids.

`Dataset` is what the server asks; `FixedDataset` answers it from lists, for tests that want a handful of rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Protocol

from infra.demo.dataset import Json

LONG_AGO = datetime(2025, 2, 11, 8, 0, tzinfo=UTC)
COMMON = ("project_id", "user_id", "api_key_id")
TOKENS = (
    "input_tokens",
    "input_cached_tokens",
    "input_cache_write_30m_tokens",
    "input_cache_write_12h_tokens",
    "input_audio_tokens",
    "input_image_tokens",
    "output_tokens",
    "output_audio_tokens",
    "output_image_tokens",
    "num_model_requests",
)
# Of the tokens, what rows leave out at times where it is zero.
OPTIONAL = tuple(name for name in TOKENS if name not in {"input_tokens", "output_tokens", "num_model_requests"})
# Decimal128: 34 digits, and a zero with the smallest exponent there is.
DIGITS = 34
ZERO = "0E-6176"
_EXACT = Context(prec=60)


@dataclass(frozen=True, slots=True)
class Report:
    """A usage report: the `object` of its rows, what they count, and what they can be grouped by."""

    object: str
    counts: tuple[str, ...]
    groups: tuple[str, ...]


REPORTS = {
    "completions": Report("completions", TOKENS, (*COMMON, "model", "batch", "service_tier", "api_source")),
    "decisions": Report("decisions", TOKENS, (*COMMON, "model", "batch", "service_tier", "api_source")),
    "embeddings": Report("embeddings", ("input_tokens", "num_model_requests"), (*COMMON, "model")),
    "moderations": Report("moderations", ("input_tokens", "num_model_requests"), (*COMMON, "model")),
    "images": Report("images", ("images", "num_model_requests"), (*COMMON, "model", "size", "source")),
    "audio_speeches": Report("audio_speeches", ("characters", "num_model_requests"), (*COMMON, "model")),
    "audio_transcriptions": Report("audio_transcriptions", ("seconds", "num_model_requests"), (*COMMON, "model")),
    "vector_stores": Report("vector_stores", ("usage_bytes",), ("project_id",)),
    "code_interpreter_sessions": Report("code_interpreter_sessions", ("num_sessions",), ("project_id",)),
    "file_search_calls": Report("file_searches", ("num_requests",), (*COMMON, "vector_store_id")),
    "web_search_calls": Report(
        "web_searches", ("num_requests", "num_model_requests"), (*COMMON, "model", "context_level", "api_source")
    ),
}
COST_GROUPS = ("project_id", "user_id", "line_item", "api_key_id", "api_source")


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Counts of one combination of dimensions; `at` (aware UTC) is the start of the interval they were used in.

    What a report counts or groups by and the row does not name is zero or null. `is_long` says that its requests had
    a long context, which no report tells.
    """

    at: datetime
    report: str
    counts: Mapping[str, int]
    dimensions: Mapping[str, str | bool | None] = field(default_factory=dict)
    is_long: bool = False

    def wire(self) -> Json:
        """Return the row as the report would if every dimension was grouped by."""
        report = REPORTS[self.report]
        counts = [self.counts.get(name, 0) for name in report.counts]
        return usage_wire(self.report, counts, {name: self.dimensions.get(name) for name in report.groups})


def usage_wire(name: str, counts: Sequence[int], dimensions: Json, *, bare: bool = False) -> Json:
    """Write counts (in the order of the report's) and dimensions; `bare` leaves parts out that are zero."""
    report = REPORTS[name]
    told = dict(zip(report.counts, counts, strict=True))
    if report.counts == TOKENS:
        told = _with_sums(told)
        if bare:
            told = {part: count for part, count in told.items() if count or part in {"input_tokens", "output_tokens"}}
            told.setdefault("num_model_requests", 0)
    return {"object": f"organization.usage.{report.object}.result", **told, **dimensions}


def _with_sums(told: dict[str, int]) -> dict[str, int]:
    writes = told["input_cache_write_30m_tokens"] + told["input_cache_write_12h_tokens"]
    uncached = told["input_tokens"] - told["input_cached_tokens"] - writes
    return {
        **told,
        "input_cache_write_tokens": writes,
        "input_uncached_tokens": uncached,
        "input_text_tokens": uncached - told["input_audio_tokens"] - told["input_image_tokens"],
        "output_text_tokens": told["output_tokens"] - told["output_audio_tokens"] - told["output_image_tokens"],
    }


@dataclass(frozen=True, slots=True)
class CostRow:
    """A line of the bill. `amount` is in USD, exact; `at` (aware UTC) is any instant of its day."""

    at: datetime
    amount: Decimal
    line_item: str
    project_id: str | None = None
    api_key_id: str | None = None
    user_id: str | None = None
    api_source: str | None = None
    quantity: Decimal | None = None
    quantity_unit: str | None = None

    def wire(self) -> Json:
        """Return the row as the report would, grouped by everything, with the amount as exact text."""
        groups = {name: getattr(self, name) for name in COST_GROUPS}
        return cost_wire(f"{self.amount:f}", groups, self.quantity, self.quantity_unit)


def cost_wire(value: object, groups: Json, quantity: Decimal | None, unit: str | None) -> Json:
    """Write a cost row; `value` is spelled by the caller."""
    return {
        "object": "organization.costs.result",
        "amount": {"value": value, "currency": "usd"},
        "quantity": None if quantity is None else float(quantity),
        "quantity_unit": unit,
        **groups,
    }


def decimal128(amount: Decimal) -> str:
    """Spell an amount as the API does: 34 digits, zeros included."""
    if not amount:
        return ZERO
    unit = Decimal(1).scaleb(amount.adjusted() - DIGITS + 1)
    return format(amount.quantize(unit, context=_EXACT), "f")


@dataclass(frozen=True, slots=True)
class Project:
    """A project as the API lists it."""

    id: str
    name: str
    created_at: datetime = LONG_AGO
    archived_at: datetime | None = None

    def wire(self) -> Json:
        """Return the documented object."""
        return {
            "id": self.id,
            "object": "organization.project",
            "name": self.name,
            "status": "archived" if self.archived_at else "active",
            "created_at": int(self.created_at.timestamp()),
            "archived_at": int(self.archived_at.timestamp()) if self.archived_at else None,
            "external_key_id": None,
            "residency": None,
        }


@dataclass(frozen=True, slots=True)
class Key:
    """A project's key. That of a service account has its owner's name where `name` is None."""

    id: str
    project_id: str
    name: str | None
    service_account: str | None = None

    def wire(self) -> Json:
        """Return the documented object, the owner's address included."""
        person = {"id": "user-DemoMira", "name": "Mira P.", "email": "mira@peakandpine.example", "role": "owner"}
        account = {"id": f"user-sa{self.id[-4:]}", "name": self.service_account, "role": "member"}
        owner = (
            {"type": "service_account", "service_account": account}
            if self.service_account
            else {"type": "user", "user": person}
        )
        return {
            "object": "organization.project.api_key",
            "id": self.id,
            "name": self.name,
            "redacted_value": f"sk-proj...{self.id[-4:]}",
            "created_at": int(LONG_AGO.timestamp()),
            "last_used_at": None,
            "expires_at": None,
            "owner": owner,
            "owner_project_access": "active",
        }


class Dataset(Protocol):
    """What the fake reports on. Intervals are half-open, all instants aware UTC, `now` decides what is known yet."""

    @property
    def projects(self) -> Sequence[Project]:
        """Every project, archived ones included."""

    @property
    def keys(self) -> Sequence[Key]:
        """Every key that a project lists."""

    def usage(self, report: str, start: datetime, end: datetime, now: datetime) -> Iterable[UsageRow]:
        """Yield the rows of a report inside `[start, end)` as reported at `now`."""

    def costs(self, start: datetime, end: datetime, now: datetime) -> Iterable[CostRow]:
        """Yield the bill of the days inside `[start, end)` as reported at `now`."""


@dataclass(slots=True)
class FixedDataset:
    """Rows from lists. The lists may change between two requests: that is how a test restates a bucket."""

    usage_rows: list[UsageRow] = field(default_factory=list)
    cost_rows: list[CostRow] = field(default_factory=list)
    projects: Sequence[Project] = (Project("proj_Only", "Default project"),)
    keys: Sequence[Key] = ()

    def usage(self, report: str, start: datetime, end: datetime, now: datetime) -> list[UsageRow]:
        """Return the rows of a report inside `[start, end)` that are not in the future."""
        return [row for row in self.usage_rows if row.report == report and start <= row.at < end and row.at <= now]

    def costs(self, start: datetime, end: datetime, now: datetime) -> list[CostRow]:
        """Return the cost rows inside `[start, end)` that are not in the future."""
        return [row for row in self.cost_rows if start <= row.at < end and row.at <= now]
