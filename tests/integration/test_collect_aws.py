"""Collecting AWS Bedrock into a real Postgres: each token once, the bill beside it, and nothing forgotten."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from shared.core.reconciliation import Day, reason
from shared.store import reconciliation
from shared.store.audit import Author
from shared.store.database import Connection, Database
from shared.workflows.collect import AccountReport
from shared.workflows.reassign import Order, reassign
from shared.workflows.verify import verify
from tests.fixtures.providers.aws_cloud import ACCOUNT, CREDENTIAL, HOUR, Cloud, refusal
from tests.fixtures.providers.wire import KEY
from tests.integration.account_world import World
from tests.integration.collecting import changes, run, tables

NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
AT = datetime(2026, 11, 18, 14, tzinfo=UTC)
DAY = timedelta(days=1)
SONNET, GPT = "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "openai.gpt-6-sol"
SOLD = "Claude Sonnet 4.5 (Amazon Bedrock Edition)"
# A million of input and a tenth of output, by the catalogue: 3.3 + 1.65 and 2.2 + 1.1.
SONNETS, GPTS = Decimal("4.95"), Decimal("3.3")


@pytest.fixture
def cloud() -> Cloud:
    cloud = Cloud(NOW)
    for region in ("us-east-1", "eu-central-1"):
        cloud.use(AT, SONNET, region, Invocations=4, InputTokenCount=1_000_000, OutputTokenCount=100_000)
    cloud.use(AT, GPT, project="proj_shop", Inferences=2, InputTokens=1_000_000, OutputTokens=100_000)
    cloud.use(AT - HOUR, "amazon.nova-canvas-v1:0", Invocations=3, OutputImageCount=3)
    cloud.charge(AT.date(), "USE1-MP:USE1_InputTokenCount-Units", "6.6", SOLD)
    cloud.charge(AT.date(), "USE1-MP:USE1_OutputTokenCount-Units", "3.3", SOLD)
    cloud.charge(AT.date(), "USE1-gpt6-sol-input-tokens", "3.3")
    cloud.charge(AT.date(), "USE1-NovaCanvas-T2I-1024-Standard", "0.12")
    cloud.charge(AT.date(), "USE1-MP:USE1_OutputTokenCount_Batch-Units", "0.75", SOLD)
    return cloud


def collected(
    database: Database,
    cloud: Cloud,
    region: str = "us-east-1,eu-central-1",
    **plan: Any,  # noqa: ANN401 - as `run` takes them
) -> AccountReport:
    provider = cloud.provider(region=region)
    [report] = run(database, provider, **{"backfill": 90 * DAY, "now": cloud.now, **plan})
    return report


def total(connection: Connection) -> Decimal:
    row = connection.execute("SELECT sum(cost) AS cost FROM ledger").fetchone()
    assert row is not None
    return Decimal(row["cost"])


def day(connection: Connection) -> Day:
    start = AT.replace(hour=0)
    [billed] = [row for row in reconciliation.billed(connection, start, start + DAY, None) if row["amount"]]
    [estimated] = reconciliation.estimated(connection, start, start + DAY, None)
    return Day("aws", AT.date(), estimated=estimated["cost"], billed=billed["amount"], provider="aws")


def test_tokens_are_priced_and_all_else_is_what_the_bill_says(
    database: Database, connection: Connection, cloud: Cloud
) -> None:
    report = collected(database, cloud)
    assert (report.status, report.error) == ("succeeded", None)
    assert (changes(report, "usage"), changes(report, "costs")) == ((4, 0, 0, 0), (5, 0, 0, 0))
    rows = connection.execute(
        "SELECT recorded_at, model, model_raw, session_label, cost, requests, request_type, is_batch FROM ledger "
        "ORDER BY recorded_at, cost, model"
    ).fetchall()
    midnight = AT.replace(hour=0)
    image, batch = "USE1-NovaCanvas-T2I-1024-Standard", "USE1-MP:USE1_OutputTokenCount_Batch-Units"
    sonnet, gpt = "regional.anthropic.claude-sonnet-4-5-20250929-v1:0", "regional.openai.gpt-6-sol"
    assert [tuple(row.values()) for row in rows] == [
        (midnight, image, None, None, Decimal("0.12"), 0, image, False),
        (midnight, "Claude Sonnet 4.5", "Claude Sonnet 4.5", None, Decimal("0.75"), 0, batch, True),
        (AT - HOUR, "amazon.nova-canvas-v1:0", "amazon.nova-canvas-v1:0", None, 0, 3, "images", False),
        (AT, gpt, GPT, "proj_shop", GPTS, 2, None, False),
        (AT, sonnet, SONNET, None, SONNETS, 4, None, False),
        (AT, sonnet, SONNET, None, SONNETS, 4, None, False),
    ]
    assert connection.execute("SELECT owner_id FROM accounts").fetchall() == [{"owner_id": ACCOUNT}]
    assert (day(connection).drift, reason(day(connection))) == (Decimal(0), "The estimate and the bill agree.")
    assert verify(database, repair=False)["drift"] == []


def test_a_second_collection_changes_nothing_and_pays_for_no_bill(
    database: Database, connection: Connection, cloud: Cloud
) -> None:
    collected(database, cloud)
    before, asked = tables(connection), cloud.count("GetCostAndUsage")
    again = collected(database, cloud)
    assert changes(again, "usage") == (0, 0, 4, 0)
    assert [one.stream for one in again.streams] == ["usage"]
    assert cloud.count("GetCostAndUsage") == asked == 1
    after = tables(connection)
    assert [name for name in before if before[name] != after[name]] == []


def test_what_is_restated_is_replaced_and_the_difference_has_a_reason(
    database: Database, connection: Connection, cloud: Cloud
) -> None:
    collected(database, cloud)
    cloud.use(AT, GPT, project="proj_shop", Inferences=1, InputTokens=1_000_000, OutputTokens=100_000)
    cloud.use(AT, SONNET, "us-east-1", CacheReadInputTokenCount=1_000_000)
    cloud.charge(AT.date(), "USE1-NovaCanvas-T2I-1024-Standard", "0.16")
    del cloud.bill[AT.date(), ACCOUNT, SOLD, "USE1-MP:USE1_OutputTokenCount_Batch-Units"]
    cloud.now = NOW + DAY
    report = collected(database, cloud)
    assert (changes(report, "usage"), changes(report, "costs")) == ((0, 2, 2, 0), (0, 1, 3, 1))
    # 0.33 for the tokens that were read from the cache.
    assert total(connection) == 2 * SONNETS + 2 * GPTS + Decimal("0.33") + Decimal("0.16")
    found = day(connection)
    assert found.drift == GPTS + Decimal("0.33")
    assert reason(found).startswith("The bill is lower: credits, ")
    assert verify(database, repair=False)["drift"] == []


def test_regions_that_are_not_asked_any_more_are_not_taken_for_gone(
    database: Database, connection: Connection, cloud: Cloud
) -> None:
    collected(database, cloud)
    before = total(connection)
    for hours, region in enumerate(("us-east-1", "ap-south-1"), 1):
        cloud.now = NOW + hours * HOUR
        assert collected(database, cloud, region).status == "succeeded"
        assert total(connection) == before
    for one in [one for one in cloud.sums if one[0] == "us-east-1"]:
        del cloud.sums[one]
    cloud.now = NOW + 3 * HOUR
    assert changes(collected(database, cloud, "us-east-1"), "usage") == (0, 0, 0, 1)
    assert total(connection) == before - SONNETS


def test_rules_decide_on_projects_again_as_they_did_when_collected(
    database: Database, connection: Connection, cloud: Cloud
) -> None:
    connection.execute("INSERT INTO project_mappings (pattern, project_name, priority) VALUES ('proj_shop', 'Shop', 1)")
    collected(database, cloud)
    found = reassign(database, Order(Author("test", NOW)), lambda: float("inf")).as_json()
    assert found["moves"] == []
    rows = connection.execute("SELECT project, sum(cost) AS cost FROM ledger WHERE project = 'Shop' GROUP BY 1")
    assert rows.fetchall() == [{"project": "Shop", "cost": GPTS}]


def test_models_that_cloudwatch_forgets_are_not_taken_for_gone(
    database: Database, connection: Connection, cloud: Cloud
) -> None:
    collected(database, cloud)
    before = total(connection)
    for weeks in (1, 2, 3, 4):
        cloud.now = NOW + weeks * 7 * DAY
        cloud.use(cloud.now.replace(minute=0) - HOUR, GPT, project="proj_shop", Inferences=1, InputTokens=0)
        report = collected(database, cloud)
        assert changes(report, "usage")[3] == 0
        [usage] = [one for one in report.streams if one.stream == "usage"]
        assert usage.window_start is not None
        assert cloud.now - usage.window_start <= 13 * DAY
    asked = [body for _, operation, body in cloud.asked if operation == "GetMetricData"]
    assert SONNET in str(asked[0])
    assert SONNET not in str(asked[-1])
    assert total(connection) == before
    again = collected(database, cloud, start=AT - DAY)
    assert (again.status, total(connection)) == ("succeeded", before)


def test_without_the_permission_for_the_bill_the_tokens_are_there(
    database: Database, connection: Connection, cloud: Cloud
) -> None:
    cloud.instead["GetDimensionValues"] = [
        refusal("AccessDeniedException", "User: x is not authorized to perform: ce:GetDimensionValues on resource")
    ]
    report = collected(database, cloud)
    assert report.status == "failed"
    assert "(ce:GetDimensionValues is not allowed)" in str(report.error)
    assert total(connection) == 2 * SONNETS + GPTS


def test_an_account_over_http_is_one_aws_account_and_compared_with_its_bill(
    opened: Callable[..., World], cloud: Cloud
) -> None:
    http = httpx.Client(transport=httpx.MockTransport(cloud.answer))
    world = opened(open_http=lambda: http)
    body = {"name": "bedrock", "provider": "aws", "credential": CREDENTIAL}
    assert "needs the option region" in world.refused(400, "POST", "/api/accounts", body)
    wrong = {**body, "options": {"region": "Frankfurt"}}
    assert "must look like eu-central-1,us-east-1" in world.refused(400, "POST", "/api/accounts", wrong)
    made = world.ok("POST", "/api/accounts", {**body, "options": {"region": "us-east-1,eu-central-1"}})["data"]
    assert KEY not in str(made)
    # Another region of the same AWS account is no other account: its bill would be there twice.
    twice = {**body, "name": "again", "options": {"region": "ap-south-1"}}
    assert "would count twice" in world.refused(409, "POST", "/api/accounts", twice)
    cloud.charge(AT.date(), "USE1-gpt6-sol-input-tokens", "4.3")
    run = world.ok("POST", "/admin/collect", {}, wait="28")
    assert run["status"] == "succeeded", run
    row = next(one for one in world.ok("GET", "/costs/reconciliation")["data"] if one["date"] == f"{AT:%Y-%m-%d}")
    assert (row["account"], row["estimated"], row["billed"]) == ("bedrock", Decimal("14.07"), Decimal("15.07"))
    assert row["reason"].startswith("The bill is higher: regions or endpoints that are not asked for, ")
    [service] = [one for one in world.ok("GET", "/api/services")["data"] if one["id"] == "aws"]
    named = {one["name"]: (one["required"], one["choices"]) for one in service["options"]}
    assert (service["tracked"], named["region"], named["bill"]) == ("api", (True, []), (False, ["yes", "no"]))
