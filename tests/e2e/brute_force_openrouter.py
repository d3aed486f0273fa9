"""The demo team's figures on OpenRouter by hand: raw rows of the fake server, key by key; and its invoices."""

from collections.abc import Iterator
from datetime import UTC, datetime, time
from decimal import Decimal

from infra.demo.invoices import invoices
from infra.demo.openrouter.data import ActivityRow
from infra.demo.openrouter.fake import FakeOpenRouter
from tests.e2e.brute_force import CLASSES, Fact, project_of, type_of


def facts(fake: FakeOpenRouter) -> Iterator[Fact]:
    """Every row of a listed key, and one per endpoint and workspace of all that no listed key explains, by hand."""
    names = {key.hash: key.name for key in fake.dataset.keys}
    spaces = {space.id: space.name for space in fake.dataset.workspaces}
    others: dict[tuple[object, ...], list[ActivityRow]] = {}
    for row in fake.raw_activity():
        if row.key in names:
            yield _fact([row], names[row.key], names[row.key])
        else:
            others.setdefault((row.at, row.endpoint, row.workspace_id), []).append(row)
    for rows in others.values():
        yield _fact(rows, spaces[rows[0].workspace_id], None)


def invoiced(now: datetime) -> Iterator[Fact]:
    """The invoices up to an instant: at noon UTC of their day, without model and tokens."""
    for invoice in invoices(now.date()):
        yield Fact(
            at=datetime.combine(invoice.date, time(12), tzinfo=UTC),
            model="unassigned",
            label=None,
            project="General",
            session_type="main",
            cost=invoice.cost,
            costs={"unclassified": invoice.cost},
            tokens=dict.fromkeys(CLASSES, 0),
            provider="perplexity",
            source="manual",
        )


def _fact(rows: list[ActivityRow], label: str, key: str | None) -> Fact:
    requests, prompt, completion, _, cached = (sum(row.counts[place] for row in rows) for place in range(5))
    cost = sum((row.usage for row in rows), Decimal(0))
    return Fact(
        at=rows[0].at,
        model=rows[0].endpoint.model,
        label=label,
        project=project_of(label),
        session_type=type_of(label, key),
        cost=cost,
        costs={"unclassified": cost},
        tokens=dict.fromkeys(CLASSES, 0)
        | {"input": max(prompt - cached, 0), "output": completion, "cache_read": cached},
        provider="openrouter",
        requests=requests,
    )
