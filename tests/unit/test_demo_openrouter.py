"""The fake of OpenRouter is strict where the real one is: keys, thirty days, workspaces, pages, binary fractions."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from infra.demo.invoices import invoices
from infra.demo.openrouter.cast import CONTRACTOR, LAB, TRIAL
from infra.demo.openrouter.data import COUNTS, ActivityRow, Endpoint, FixedDataset
from infra.demo.openrouter.fake import INFERENCE_KEY, MANAGEMENT_KEY, FakeOpenRouter
from infra.demo.openrouter.team import Team

NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
TODAY = NOW.replace(hour=0, minute=0)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeOpenRouter]:
    with FakeOpenRouter(clock=lambda: NOW, page=2) as server:
        yield server


def used(at: datetime, usd: str, key: str = "a") -> ActivityRow:
    return ActivityRow(at, Endpoint("e", "m", "m", "p"), key, "ws-only", (1,) * 5, Decimal(usd))


def ask(fake: FakeOpenRouter, path: str, key: str | None = MANAGEMENT_KEY, **params: str) -> httpx.Response:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return httpx.get(f"{fake.base_url}{path}", params=params, headers=headers, trust_env=False)


def rows(fake: FakeOpenRouter, **params: str) -> list[dict[str, Any]]:
    return list(ask(fake, "/activity", **params).json()["data"])


@pytest.mark.parametrize("path", ["/activity", "/keys", "/workspaces", "/credits"])
@pytest.mark.parametrize(("key", "status"), [(None, 401), ("sk-or-v1-wrong", 401), (INFERENCE_KEY, 403)])
def test_reports_need_a_management_key(fake: FakeOpenRouter, path: str, key: str | None, status: int) -> None:
    answer = ask(fake, path, key)
    assert answer.status_code == answer.json()["error"]["code"] == status
    assert set(answer.json()) == {"error", "user_id"}


def test_every_key_may_look_at_itself(fake: FakeOpenRouter) -> None:
    said = [ask(fake, "/key", key).json()["data"]["is_management_key"] for key in (MANAGEMENT_KEY, INFERENCE_KEY)]
    assert said == [True, False]
    assert ask(fake, "/nowhere").status_code == 404


def test_thirty_days_that_are_over_and_no_other(fake: FakeOpenRouter) -> None:
    days = {row["date"] for row in rows(fake)}
    assert (min(days), max(days), len(days)) == ("2026-10-21", "2026-11-19", 30)
    for wrong in ("2026-10-20", "2026-11-20", "20 November"):
        assert ask(fake, "/activity", date=wrong).status_code == 400
    assert {row["date"] for row in rows(fake, date="2026-10-21")} == {"2026-10-21"}


def test_workspaces_are_told_apart_when_asked_for(fake: FakeOpenRouter) -> None:
    plain, split = rows(fake), rows(fake, group_by="workspace")
    assert all("workspace_id" not in row for row in plain)
    assert {row["workspace_id"] for row in split} == {space.id for space in fake.dataset.workspaces}
    for name in COUNTS:
        assert sum(row[name] for row in plain) == sum(row[name] for row in split)
    assert rows(fake, workspace_id=LAB.id, group_by="workspace") == [
        row for row in split if row["workspace_id"] == LAB.id
    ]
    assert ask(fake, "/activity", group_by="model").status_code == 400


def test_no_list_returns_all_that_the_account_used(fake: FakeOpenRouter) -> None:
    whole = sum(row["requests"] for row in rows(fake))
    listed = sum(row["requests"] for key in fake.dataset.keys for row in rows(fake, api_key_hash=key.hash))
    assert 0 < listed < whole


def test_keys_are_paged_by_offset_and_shown_when_asked_for(fake: FakeOpenRouter) -> None:
    def names(**params: str) -> list[str]:
        return [key["name"] for key in ask(fake, "/keys", **params).json()["data"]]

    assert names() == ["kanban-triage", "kanban-subagent-drafts"]
    everyone = {"include_disabled": "true", "include_expired": "true"}
    assert names(**everyone, offset="2") == [CONTRACTOR.name]
    assert names(**everyone, offset="3") == []
    assert names(workspace_id=LAB.id) == ["trading-papers"]
    assert names(workspace_id=LAB.id, include_disabled="true") == ["trading-papers", TRIAL.name]


def test_the_team_has_every_quirk(fake: FakeOpenRouter) -> None:
    used = list(fake.raw_activity())
    assert any(row.counts[4] > row.counts[1] for row in used)
    assert any(row.byok > row.usage > 0 for row in used)
    assert any(row.usage == 0 and row.counts[1] for row in used)
    assert any(row.key is None for row in used)


def test_credits_are_used_up_all_day_long() -> None:
    data = FixedDataset([used(TODAY - 40 * DAY, "2"), used(TODAY - DAY, "1"), used(TODAY, "0.24")])
    with FakeOpenRouter(data, clock=lambda: TODAY) as fake:
        spent = []
        for hours in (0, 6, 24):
            fake.clock = lambda after=hours: TODAY + timedelta(hours=after)  # type: ignore[misc] # a default binds it
            spent.append(ask(fake, "/credits").json()["data"]["total_usage"])
    assert spent == [3, 3.06, 3.24]


def test_the_same_day_is_the_same_whenever_it_is_asked_for() -> None:
    day = TODAY - 3 * DAY
    one, two = (list(Team(now).activity(day, day + DAY)) for now in (NOW, NOW + 9 * DAY))
    assert one == two
    assert list(Team(NOW, days=2).activity(day, day + DAY)) == []


def test_binary_fractions_add_up_to_digits_that_no_part_has() -> None:
    data = FixedDataset([used(TODAY - DAY, "0.1"), used(TODAY - DAY, "0.2", "b")])
    for is_binary, usage in ((False, 0.3), (True, 0.30000000000000004)):
        with FakeOpenRouter(data, clock=lambda: NOW, is_binary=is_binary) as fake:
            assert [row["usage"] for row in rows(fake)] == [usage]


def test_invoices_are_the_same_whenever_they_are_entered() -> None:
    found = list(invoices(date(2026, 11, 20)))
    assert [invoice.date for invoice in found] == [date(2026, 9, 3), date(2026, 10, 3), date(2026, 11, 3)]
    assert found[-1].notes.startswith("Sonar API, October 2026")
    assert list(invoices(date(2026, 11, 25)))[-3:] == found
    assert all(invoice.cost > 20 for invoice in found)
