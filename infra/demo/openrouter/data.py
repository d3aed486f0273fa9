"""What the fake reports on: rows of single keys, in the wire's terms, and the keys and workspaces behind ids.

`Dataset` is what the server asks; `FixedDataset` answers it from lists, for tests that want a handful of rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Protocol

from infra.demo.dataset import Json, stamp

LONG_AGO = datetime(2025, 6, 2, 8, 0, tzinfo=UTC)
PERSON = "user_2DemoMira"
COUNTS = ("requests", "prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is served, and by whom."""

    id: str
    model: str
    permaslug: str
    provider: str


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace; the first one of a dataset is the default."""

    id: str
    name: str

    def wire(self) -> Json:
        """Return the documented object."""
        return {
            "id": self.id,
            "name": self.name,
            "slug": self.name.lower(),
            "description": None,
            "created_by": PERSON,
            "created_at": stamp(LONG_AGO),
            "updated_at": None,
        }


@dataclass(frozen=True, slots=True)
class Key:
    """A key for inference."""

    name: str
    workspace_id: str
    disabled: bool = False
    expires_at: datetime | None = None

    @property
    def hash(self) -> str:
        """What reports know it by."""
        return sha256(f"sk-or-v1-demo {self.name}".encode()).hexdigest()

    def wire(self) -> Json:
        """Return the documented object, who made it included."""
        return {
            "hash": self.hash,
            "name": self.name,
            "label": f"sk-or-v1-{self.hash[:3]}...{self.hash[-3:]}",
            "disabled": self.disabled,
            "limit": None,
            "limit_remaining": None,
            "limit_reset": None,
            "include_byok_in_limit": False,
            **dict.fromkeys((f"usage{span}" for span in ("", "_daily", "_weekly", "_monthly")), 0.5),
            **dict.fromkeys((f"byok_usage{span}" for span in ("", "_daily", "_weekly", "_monthly")), 0),
            "created_at": stamp(LONG_AGO),
            "updated_at": None,
            "last_used_at": None,
            "expires_at": stamp(self.expires_at) if self.expires_at else None,
            "creator_user_id": PERSON,
            "external_user": None,
            "workspace_id": self.workspace_id,
        }


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """What one key (None: the chat room) did at one endpoint on the UTC day that `at` is the midnight of.

    `counts` are in the order of `COUNTS`; `usage` is what OpenRouter charged, `byok` what the upstream provider did
    (USD).
    """

    at: datetime
    endpoint: Endpoint
    key: str | None
    workspace_id: str
    counts: tuple[int, ...]
    usage: Decimal = Decimal(0)
    byok: Decimal = Decimal(0)


class Dataset(Protocol):
    """What the fake reports on; instants are aware UTC."""

    @property
    def workspaces(self) -> Sequence[Workspace]:
        """Every workspace, the default one first."""

    @property
    def keys(self) -> Sequence[Key]:
        """Every key that is listed, disabled and expired ones included."""

    def activity(self, start: datetime, end: datetime) -> Iterable[ActivityRow]:
        """Yield the rows of the days that begin inside `[start, end)`."""


@dataclass(slots=True)
class FixedDataset:
    """Rows from lists. The lists may change between two requests: that is how a test restates a day."""

    rows: list[ActivityRow] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    workspaces: Sequence[Workspace] = (Workspace("ws-only", "Default"),)

    def activity(self, start: datetime, end: datetime) -> list[ActivityRow]:
        """Return the rows of the days that begin inside `[start, end)`."""
        return [row for row in self.rows if start <= row.at < end]
