"""What a fake Admin API reports on: rows at their finest dimensions and the names behind ids, in the wire's terms.

`Dataset` is what the server asks; `FixedDataset` answers it from lists, for tests that want a handful of rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol, runtime_checkable

Json = dict[str, Any]

COUNTS = (
    "uncached_input_tokens",
    "cache_read_input_tokens",
    "ephemeral_5m_input_tokens",
    "ephemeral_1h_input_tokens",
    "output_tokens",
    "web_search_requests",
)
USAGE_DIMENSIONS = (
    "model",
    "service_tier",
    "context_window",
    "inference_geo",
    "api_key_id",
    "workspace_id",
    "account_id",
    "service_account_id",
    "speed",
)
# Grouping by `description` fills all of these; the provider parses them out of its description.
DESCRIBED = ("cost_type", "description", "model", "service_tier", "token_type", "context_window", "inference_geo")
LONG_AGO = datetime(2025, 3, 3, 9, 30, tzinfo=UTC)


def stamp(instant: datetime) -> str:
    """Return a UTC instant as the API writes it, e.g. `2026-11-20T10:00:00Z`."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Counts of one combination of dimensions; `at` (aware UTC) is the start of the interval they were used in.

    `workspace_id` None is the default workspace, `api_key_id` None is the Console, or a seat where `through` says so.
    """

    at: datetime
    model: str
    uncached_input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0
    web_search_requests: int = 0
    api_key_id: str | None = None
    workspace_id: str | None = None
    service_tier: str = "standard"
    context_window: str = "0-200k"
    inference_geo: str = "global"
    account_id: str | None = None
    service_account_id: str | None = None
    speed: str = "standard"
    through: str | None = None

    @property
    def is_of_seat(self) -> bool:
        """Whether it is paid for with a seat: the stable report has none of it."""
        return self.through is not None and self.api_key_id is None

    @property
    def product(self) -> str:
        """What it was used through, as the analytics pair calls it."""
        if self.through is not None:
            return self.through
        if self.service_tier == "batch":
            return "message_batches_api"
        return "messages_api" if self.api_key_id else "claude_console"

    @property
    def counts(self) -> tuple[int, ...]:
        """The figures in the order of `COUNTS`."""
        return tuple(getattr(self, name) for name in COUNTS)

    def wire(self) -> Json:
        """Return the row as the report would if every dimension was grouped by."""
        return usage_wire(self.counts, {name: getattr(self, name) for name in USAGE_DIMENSIONS})


def usage_wire(counts: Sequence[int], dimensions: Json) -> Json:
    """Nest counts (in the order of `COUNTS`) and dimensions the way the usage report does."""
    uncached, read, write_5m, write_1h, output, searches = counts
    return {
        "uncached_input_tokens": uncached,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": write_5m, "ephemeral_1h_input_tokens": write_1h},
        "output_tokens": output,
        "server_tool_use": {"web_search_requests": searches},
        **dimensions,
    }


@dataclass(frozen=True, slots=True)
class CostRow:
    """A line of the bill. `amount` is in cents, exact; `at` (aware UTC) is any instant of its day."""

    at: datetime
    amount: Decimal
    description: str
    cost_type: str = "tokens"
    model: str | None = None
    service_tier: str | None = None
    token_type: str | None = None
    context_window: str | None = None
    inference_geo: str | None = None
    workspace_id: str | None = None
    # Only the analytics pair knows these.
    api_key_id: str | None = None
    product: str | None = None
    speed: str | None = None

    def wire(self) -> Json:
        """Return the row as the report would, grouped by description and workspace."""
        return cost_wire(self.amount, {name: getattr(self, name) for name in (*DESCRIBED, "workspace_id")})


def cost_wire(amount: Decimal, dimensions: Json) -> Json:
    """Write an amount of cents as the decimal string of the cost report, beside its dimensions."""
    return {"amount": f"{amount:f}", "currency": "USD", **dimensions}


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as the Admin API lists it; `status` is active, inactive, archived or expired."""

    id: str
    name: str
    workspace_id: str | None = None
    status: str = "active"
    created_by: str = "user_01DemoMira"
    created_at: datetime = LONG_AGO

    def wire(self, *, beta: bool = False) -> Json:
        """Return the documented object; with `beta` the shape that the SDK's `?beta=true` gets."""
        common = {
            "id": self.id,
            "type": "api_key",
            "name": self.name,
            "created_at": stamp(self.created_at),
            "partial_key_hint": f"sk-ant-api03-{self.id[-3:]}...{self.name[-4:]}",
            "status": self.status,
            "expires_at": None,
        }
        created_by = {"id": self.created_by, "type": "user"}
        if not beta:
            return {**common, "workspace_id": self.workspace_id, "created_by": created_by}
        scope = {"type": "workspace", "workspace_id": self.workspace_id} if self.workspace_id else None
        return {**common, "created_by": created_by, "principal": None, "scope": scope or {"type": "organization"}}


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace as the Admin API lists it; the default one is never listed."""

    id: str
    name: str
    archived_at: datetime | None = None
    created_at: datetime = LONG_AGO

    def wire(self) -> Json:
        """Return the documented object."""
        return {
            "id": self.id,
            "type": "workspace",
            "name": self.name,
            "created_at": stamp(self.created_at),
            "archived_at": stamp(self.archived_at) if self.archived_at else None,
            "display_color": "#6C5BB9",
            "data_residency": {
                "allowed_inference_geos": "unrestricted",
                "default_inference_geo": "global",
                "workspace_geo": "us",
            },
            "tags": {},
        }


class Dataset(Protocol):
    """What the fake reports on. Intervals are half-open, all instants aware UTC, `now` decides what is known yet."""

    @property
    def keys(self) -> Sequence[ApiKey]:
        """Every key that the API lists."""

    @property
    def workspaces(self) -> Sequence[Workspace]:
        """Every workspace that the API lists, archived ones included."""

    def usage(self, start: datetime, end: datetime, now: datetime) -> Iterable[UsageRow]:
        """Yield the usage inside `[start, end)` as reported at `now`, oldest first."""

    def costs(self, start: datetime, end: datetime, now: datetime) -> Iterable[CostRow]:
        """Yield the bill of the days inside `[start, end)` as reported at `now`, oldest first."""


@runtime_checkable
class Detailed(Dataset, Protocol):
    """A dataset that knows as well what only newer reports tell."""

    def costs_by_key(self, start: datetime, end: datetime, now: datetime) -> Iterable[CostRow]:
        """Yield the same by key and product, up to `end`, which may lie within a day."""

    def claude_code(self, day: datetime) -> Sequence[Json]:
        """Return what Claude Code did on the UTC day that begins at `day`, in the wire's terms."""


@dataclass(slots=True)
class FixedDataset:
    """Rows from lists. The lists may change between two requests: that is how a test restates a bucket."""

    usage_rows: list[UsageRow] = field(default_factory=list)
    cost_rows: list[CostRow] = field(default_factory=list)
    keys: Sequence[ApiKey] = ()
    workspaces: Sequence[Workspace] = ()
    claude_code_records: Sequence[Json] = ()

    def usage(self, start: datetime, end: datetime, now: datetime) -> list[UsageRow]:
        """Return the usage rows inside `[start, end)` that are not in the future, oldest first."""
        rows = [row for row in self.usage_rows if start <= row.at < end and row.at <= now]
        return sorted(rows, key=lambda row: row.at)

    def costs(self, start: datetime, end: datetime, now: datetime) -> list[CostRow]:
        """Return the cost rows inside `[start, end)` that are not in the future, oldest first."""
        rows = [row for row in self.cost_rows if start <= row.at < end and row.at <= now]
        return sorted(rows, key=lambda row: row.at)

    def costs_by_key(self, start: datetime, end: datetime, now: datetime) -> list[CostRow]:
        """Return the cost rows as they are."""
        return self.costs(start, end, now)

    def claude_code(self, day: datetime) -> list[Json]:
        """Return the records of the day."""
        return [one for one in self.claude_code_records if one["date"] == stamp(day)]
