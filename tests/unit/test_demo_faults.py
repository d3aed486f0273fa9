"""Faults of the fake server strike the requests they name, in order, and are then used up."""

import json
import time
from collections.abc import Iterator
from decimal import Decimal

import httpx
import pytest

from infra.demo import faults
from infra.demo.anthropic import FakeAnthropic, Path
from infra.demo.dataset import CostRow, FixedDataset, UsageRow
from infra.demo.faults import Fault
from tests.fixtures import demo
from tests.fixtures.demo import DAY, NOW, TODAY, since

YESTERDAY = TODAY - DAY


@pytest.fixture
def fake() -> Iterator[FakeAnthropic]:
    data = FixedDataset(
        [UsageRow(YESTERDAY, "claude-opus-4-6", output_tokens=7)],
        [CostRow(YESTERDAY, Decimal("17.5"), "Claude Opus 4.6 Usage - Output Tokens")],
    )
    with FakeAnthropic(data, clock=lambda: NOW) as server:
        yield server


def get(fake: FakeAnthropic, path: str = Path.USAGE, page: str = "", timeout: float = 5) -> httpx.Response:
    params = since(YESTERDAY, *([("page", page)] if page else []))
    return demo.get(fake, path, params, timeout=timeout)


def test_faults_are_matched_by_path_and_consumed_in_order(fake: FakeAnthropic) -> None:
    fake.faults += [
        faults.rate_limited("cost_report", retry_after="7"),
        Fault(path="usage_report", status=500),
        Fault(path="usage_report", status=529),
        Fault(path="usage_report", status=401, skip=1),
    ]
    assert [get(fake).status_code for _ in range(5)] == [500, 529, 200, 401, 200]
    limited = get(fake, Path.COST)
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")
    assert limited.json()["error"]["type"] == "rate_limit_error"
    assert fake.faults == []
    assert [record.status for record in fake.requests] == [500, 529, 200, 401, 200, 429]
    assert fake.requests[0].fault is not None
    assert fake.requests[2].fault is None


def test_a_429_may_come_without_retry_after(fake: FakeAnthropic) -> None:
    fake.faults.append(faults.rate_limited(retry_after=None, times=2))
    assert ["retry-after" in get(fake).headers for _ in range(2)] == [False, False]
    assert get(fake).status_code == 200


def test_a_status_may_have_its_own_body(fake: FakeAnthropic) -> None:
    fake.faults += [Fault(status=403, payload={"odd": 1}), Fault(status=500, text="<html>")]
    assert get(fake).json() == {"odd": 1}
    assert get(fake).text == "<html>"


def test_a_cut_breaks_the_connection_inside_the_body(fake: FakeAnthropic) -> None:
    fake.faults.append(Fault(cut=True))
    with pytest.raises(httpx.TransportError):
        get(fake)
    assert get(fake).status_code == 200


def test_a_hang_outlasts_the_client(fake: FakeAnthropic) -> None:
    fake.faults.append(Fault(hang=30))
    with pytest.raises(httpx.ReadTimeout):
        get(fake, timeout=0.2)
    assert get(fake).status_code == 200


def test_stopping_does_not_wait_for_a_hang(fake: FakeAnthropic) -> None:
    fake.faults.append(Fault(hang=30))
    with pytest.raises(httpx.ReadTimeout):
        get(fake, timeout=0.1)
    started = time.monotonic()
    fake.stop()
    assert time.monotonic() - started < 5


def test_malformed_json(fake: FakeAnthropic) -> None:
    fake.faults.append(Fault(text='{"data": ['))
    broken = get(fake)
    assert broken.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        broken.json()


def test_transforms_change_the_report(fake: FakeAnthropic) -> None:
    fake.faults += [
        Fault(path="cost_report", transform=faults.amount_as_object),
        Fault(path="usage_report", transform=faults.counts_as_text),
        Fault(path="usage_report", transform=faults.without_results),
        Fault(path="usage_report", transform=lambda payload: [payload]),
        Fault(path="usage_report", transform=lambda _: '{"data": 0.1e400}'),
    ]
    assert get(fake, Path.COST).json()["data"][0]["results"][0]["amount"] == {"value": "17.5", "currency": "usd"}
    assert get(fake).json()["data"][0]["results"][0]["output_tokens"] == "7"
    assert "results" not in get(fake).json()["data"][0]
    assert isinstance(get(fake).json(), list)
    assert get(fake).text == '{"data": 0.1e400}'


def test_broken_paging(fake: FakeAnthropic) -> None:
    fake.faults += [Fault(transform=faults.missing_token), Fault(transform=faults.stray_token)]
    first, second = get(fake).json(), get(fake).json()
    assert (first["has_more"], first["next_page"]) == (True, None)
    assert (second["has_more"], second["next_page"]) == (False, "page_stray")


def test_chains_without_an_end(fake: FakeAnthropic) -> None:
    fake.faults.append(faults.repeated_cursor())
    tokens = [get(fake, page="page_again").json()["next_page"] for _ in range(3)]
    assert tokens == ["page_again"] * 3
    fake.faults[:] = [faults.endless_chain()]
    token, seen = "", []
    for _ in range(4):
        answer = get(fake, page=token)
        assert answer.status_code == 200
        token = answer.json()["next_page"]
        seen.append(token)
    assert len(set(seen)) == 4
