"""AWS Bedrock's own details: series at several levels, regions, pages inside answers, what is on the bill."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.errors import (
    CredentialError,
    CursorRefusedError,
    MalformedResponseError,
    ProviderError,
    ProviderUnavailableError,
)
from shared.providers.aws import COSTS, SPEC, USAGE
from shared.providers.base import Bucket, Name, Stream, Window
from shared.providers.spec import OptionError
from tests.fixtures.providers.aws_cloud import ACCOUNT, HOUR, MANTLE, RUNTIME, Cloud
from tests.fixtures.providers.recording import pages
from tests.fixtures.providers.wire import refused

NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
AT = datetime(2026, 11, 18, 14, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = Window(AT.replace(hour=0) - 5 * DAY, AT.replace(hour=0) + 2 * DAY)
SONNET = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
ARN = f"arn:aws:bedrock:eu-central-1:{ACCOUNT}"


@pytest.fixture
def cloud() -> Cloud:
    return Cloud(NOW)


def usage(cloud: Cloud, window: Window = WEEK, **options: str) -> list[Bucket]:
    provider = cloud.provider(**options)
    return [provider.parse(USAGE, row) for page in pages(provider, USAGE, window) for row in page.rows]


def bill(cloud: Cloud, window: Window = WEEK) -> list[Bucket]:
    provider = cloud.provider()
    return [provider.parse(COSTS, row) for row in provider.fetch(COSTS, window, None).rows]


def test_each_request_counts_once_whatever_the_levels(cloud: Cloud) -> None:
    cloud.use(AT, "openai.gpt-6-sol", project="proj_a", Inferences=2, InputTokens=900, OutputTokens=100)
    cloud.use(AT, "openai.gpt-6-sol", project="proj_b", Inferences=1, InputTokens=50, OutputTokens=5)
    cloud.use(AT, SONNET, Invocations=3, InputTokenCount=70, OutputTokenCount=7)
    found = usage(cloud)
    assert [(one.workspace_id, one.usage.requests, one.usage.input, one.usage.output) for one in found] == [
        ("proj_a", 2, 900, 100),
        ("proj_b", 1, 50, 5),
        (None, 3, 70, 7),
    ]
    assert cloud.provider().names() == (Name("workspace", "proj_a", "proj_a"), Name("workspace", "proj_b", "proj_b"))


def test_a_model_that_is_in_no_project_is_read_at_its_own_level(cloud: Cloud) -> None:
    model = {"Model": "openai.gpt-oss-120b"}
    cloud.tally("eu-central-1", MANTLE, model, AT, {"Inferences": 1, "TotalInputTokens": 9})
    # Requests alone do not say that tokens are told by project.
    cloud.tally("eu-central-1", MANTLE, {**model, "Project": "proj_a"}, AT, {"Inferences": 1})
    [one] = usage(cloud)
    assert (one.workspace_id, one.usage.requests, one.usage.input) == (None, 1, 9)


@pytest.mark.parametrize("suffix", ["TokenCount", "Tokens"])
def test_cached_tokens_go_by_either_name_and_beside_the_input(cloud: Cloud, suffix: str) -> None:
    counts = {f"CacheReadInput{suffix}": 800, f"CacheWriteInput{suffix}": 30}
    cloud.tally("eu-central-1", RUNTIME, {"ModelId": SONNET}, AT, {"InputTokenCount": 70, **counts})
    [one] = usage(cloud)
    assert (one.usage.input, one.usage.cache_read, one.usage.cache_write_5m) == (70, 800, 30)
    assert one.usage.total_input == 900


def test_a_count_with_two_names_counts_once(cloud: Cloud) -> None:
    cloud.use(AT, SONNET, CacheReadInputTokenCount=800, CacheReadInputTokens=800)
    assert [one.usage.cache_read for one in usage(cloud)] == [800]


def test_further_dimensions_are_parts_of_what_is_counted(cloud: Cloud) -> None:
    cloud.use(AT, SONNET, InputTokenCount=70)
    cloud.tally("eu-central-1", RUNTIME, {"ModelId": SONNET, "ServiceTier": "flex"}, AT, {"InputTokenCount": 20})
    cloud.tally("eu-central-1", RUNTIME, {}, AT, {"InputTokenCount": 70})
    assert [one.usage.input for one in usage(cloud)] == [70]


@pytest.mark.parametrize(
    ("model", "counts", "charge"),
    [
        (f"{ARN}:provisioned-model/x1y2", {"InputTokenCount": 9}, "provisioned_throughput"),
        (f"{ARN}:imported-model/x1y2", {"InputTokenCount": 9}, "imported_model"),
        ("amazon.nova-canvas-v1:0", {"Invocations": 2, "OutputImageCount": 3}, "images"),
        (SONNET, {"Invocations": 2}, None),
        (f"{ARN}:application-inference-profile/p9", {"InputTokenCount": 9}, None),
    ],
)  # fmt: skip
def test_what_only_the_bill_prices_has_no_price(
    cloud: Cloud, model: str, counts: dict[str, int], charge: str | None
) -> None:
    cloud.tally("eu-central-1", RUNTIME, {"ModelId": model}, AT, counts)
    [one] = usage(cloud)
    assert (one.model, one.charge) == (model, charge)


def test_all_regions_of_an_account_are_one(cloud: Cloud) -> None:
    for region in ("us-east-1", "eu-central-1", "ap-south-1"):
        cloud.use(AT, SONNET, region, InputTokenCount=10)
    found = usage(cloud, region="us-east-1, eu-central-1,us-east-1")
    assert [one.dimensions["region"] for one in found] == ["eu-central-1", "us-east-1"]
    assert cloud.provider(region="us-east-1,eu-central-1").owner().id == ACCOUNT


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("region", text) for text in (",", "Frankfurt", "eu-central-1;x", "eu-central-1.evil.test/", "../x-1")),
        *(("role_arn", text) for text in ("costs", "arn:aws:iam::1:role/x", "arn:aws:iam::123456789012:user/x")),
    ],
)
def test_what_is_no_region_or_role_is_refused(name: str, value: str) -> None:
    with pytest.raises(OptionError, match=f"The option {name} must look like "):
        SPEC.check_options({"region": "eu-central-1", name: value})


def test_several_regions_and_a_role_are_taken() -> None:
    given = {"region": "eu-central-1, us-gov-west-1", "role_arn": "arn:aws-us-gov:iam::123456789012:role/a/b+c"}
    assert SPEC.check_options(given) == given


def test_pages_of_lists_and_figures_are_put_together(cloud: Cloud) -> None:
    for hour in range(30):
        for number in range(4):
            cloud.use(AT + hour * HOUR, f"anthropic.claude-{number}", InputTokenCount=number + 1, Invocations=1)
    whole = usage(cloud)
    assert len(whole) == 120
    cloud.metrics_a_page, cloud.figures_a_page = 3, 7
    assert usage(cloud) == whole


def test_more_series_than_one_question_holds(cloud: Cloud) -> None:
    for number in range(300):
        cloud.use(AT, f"anthropic.claude-{number}", InputTokenCount=1, Invocations=1)
    assert sum(one.usage.input for one in usage(cloud)) == 300
    assert cloud.count("GetMetricData") == 2


def test_a_long_window_is_read_a_fortnight_at_a_time_and_can_go_on(cloud: Cloud) -> None:
    cloud.use(AT, SONNET, InputTokenCount=1)
    cloud.use(AT - 40 * DAY, SONNET, InputTokenCount=2)
    window = Window(WEEK.end - 45 * DAY, WEEK.end)
    found = list(pages(cloud.provider(), USAGE, window))
    spans = [page.listed for page in found]
    assert [len(page.rows) for page in found] == [1, 0, 0, 1]
    assert spans[0] is not None
    assert spans[0][0] == window.start
    assert [one[0] for one in spans[1:] if one] == [one[1] for one in spans[:-1] if one]
    assert cloud.provider().fetch(USAGE, window, found[2].next_cursor).rows == found[3].rows


@pytest.mark.parametrize(
    "cursor", ["", "x", "2026-11-20T11:30:00+00:00", "2026-11-18T00:00:00", f"{WEEK.start:%FT%T}+00:00"]
)
def test_a_place_of_another_report_is_refused(cloud: Cloud, cursor: str) -> None:
    with pytest.raises(CursorRefusedError):
        cloud.provider().fetch(USAGE, WEEK, cursor)


def test_without_series_nothing_is_asked_and_everything_was_read(cloud: Cloud) -> None:
    page = cloud.provider().fetch(USAGE, WEEK, None)
    assert (page.rows, page.listed) == ((), (WEEK.start, WEEK.end))
    assert cloud.count("GetMetricData") == 0


def test_the_bill_is_bedrocks_and_the_accounts_own(cloud: Cloud) -> None:
    sold = "Claude Opus 5.5 (Amazon Bedrock Edition)"
    cloud.charge(date(2026, 11, 17), "USW2-MP:USW2_output_tokens_standard-Units", "1.50", sold)
    cloud.charge(date(2026, 11, 17), "BoxUsage:t4g.small", "9", "Amazon Elastic Compute Cloud - Compute")
    cloud.bill[date(2026, 11, 17), "111122223333", sold, "USW2-MP:USW2_output_tokens_standard-Units"] = Decimal(7)
    [one] = bill(cloud)
    assert (one.amount, one.charge, one.model) == (Decimal("1.5"), "tokens", "Claude Opus 5.5")
    assert [name for _, name, _ in cloud.asked] == ["GetCallerIdentity", "GetDimensionValues", "GetCostAndUsage"]


@pytest.mark.parametrize(
    ("usage_type", "is_counted"),
    [
        ("USE1-NovaLite-input-tokens", True),
        ("USE1-Nova2.0Lite-text-input-tokens", True),
        ("USW2-MP:USW2_CacheWrite1hInputTokenCount_Global-Units", True),
        ("USE1-MP:USE1_cache_write_tokens_1h_global_standard-Units", True),
        ("USE1_output_tokens_priority-Units", True),
        ("USE1-NovaLite-input-tokens-batch", False),
        ("USE1-MP:USE1_InputTokenCount_Global_Batch-Units", False),
        ("USE1-NovaMicro-Customization-Training-tokens", False),
        ("USE1-MP:USE1_ProvisionedThroughput_1MonthCommit_ModelUnits", False),
        ("USE1-MP:USE1_Reserved_1Month_InputTPM_Geo-Units", False),
        ("USE1-MP:USE1_search_units-Units", False),
        ("USE1-Guardrail-ContentPolicyUnitsConsumed", False),
        ("NoUsageType", False),
    ],
)
def test_what_no_metric_counts_is_a_line_of_its_own(cloud: Cloud, usage_type: str, *, is_counted: bool) -> None:
    cloud.charge(date(2026, 11, 17), usage_type, "-0.25")
    [one] = bill(cloud)
    assert one.charge == ("tokens" if is_counted else usage_type)
    assert one.amount == Decimal("-0.25")


def test_pages_of_the_bill_are_put_together(cloud: Cloud) -> None:
    for number in range(7):
        for day in (14, 15, 16):
            cloud.charge(date(2026, 11, day), f"USE1-Nova{number}-input-tokens", f"0.{number + 1}")
    whole = bill(cloud)
    cloud.groups_a_page = 5
    assert bill(cloud) == whole
    assert sum(one.amount or 0 for one in whole) == Decimal("8.4")


def test_a_bill_without_bedrock_costs_one_question_and_was_read(cloud: Cloud) -> None:
    page = cloud.provider().fetch(COSTS, WEEK, None)
    assert (page.rows, page.listed) == ((), (WEEK.start, WEEK.end))
    assert cloud.count("GetCostAndUsage") == 0


def test_without_the_option_the_bill_is_not_asked_for(cloud: Cloud) -> None:
    usage = replace(USAGE, part=("region", frozenset({"eu-central-1"})))
    assert cloud.provider().streams == (usage, COSTS)
    assert cloud.provider(bill="no").streams == (usage,)


@pytest.mark.parametrize(
    ("stream", "operation", "token"),
    [
        (USAGE, "ListMetrics", "NextToken"),
        (USAGE, "GetMetricData", "NextToken"),
        (COSTS, "GetDimensionValues", "NextPageToken"),
        (COSTS, "GetCostAndUsage", "NextPageToken"),
    ],
)
def test_pages_that_come_again_are_refused(cloud: Cloud, stream: Stream, operation: str, token: str) -> None:
    cloud.charge(date(2026, 11, 17), "USE1-NovaLite-input-tokens", "1")
    cloud.use(AT, SONNET, InputTokenCount=1)
    # What came already is refused by itself, were it there again.
    empty: dict[str, Any] = {
        "ListMetrics": {},
        "GetMetricData": {"MetricDataResults": []},
        "GetCostAndUsage": {"ResultsByTime": []},
    }
    cloud.over[operation] = {**empty.get(operation, {}), token: "0"}
    refused(MalformedResponseError, lambda: cloud.provider().fetch(stream, WEEK, None))
    assert cloud.count(operation) == 2


@pytest.mark.parametrize(
    ("results", "says"),
    [
        ([], "leaves 1 of 1 questions open"),
        ([{"Id": "q7", "Timestamps": [], "Values": []}], "at MetricDataResults.0 that cannot be right"),
        ([{"Id": "q0", "Timestamps": [AT.timestamp()], "Values": []}], "at MetricDataResults.0 that cannot be right"),
        ([{"Id": "q0", "Timestamps": [AT.timestamp()] * 2, "Values": [1, 1]}], "it is there twice"),
        ([{"Id": "q0", "Timestamps": [AT.timestamp() + 60], "Values": [1]}], "not one whole interval"),
        ([{"Id": "q0", "Timestamps": [WEEK.end.timestamp()], "Values": [1]}], "outside the window"),
        ([{"Id": "q0", "Timestamps": ["yesterday"], "Values": [1]}], "cannot be read"),
    ],
)
def test_figures_that_cannot_be_right_are_refused(cloud: Cloud, results: list[dict[str, Any]], says: str) -> None:
    cloud.use(AT, SONNET, InputTokenCount=1)
    cloud.over["GetMetricData"] = {"MetricDataResults": [{"StatusCode": "Complete", **one} for one in results]}
    error = refused(MalformedResponseError, lambda: cloud.provider().fetch(USAGE, WEEK, None))
    assert says in str(error)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("PartialData", ProviderUnavailableError),
        ("InternalError", ProviderUnavailableError),
        ("Something new", ProviderUnavailableError),
        ("Forbidden", CredentialError),
    ],
)
def test_figures_that_are_not_complete_are_not_taken(cloud: Cloud, status: str, kind: type[ProviderError]) -> None:
    cloud.use(AT, SONNET, InputTokenCount=1)
    answer = {"Id": "q0", "Timestamps": [AT.timestamp()], "Values": [1], "StatusCode": status}
    cloud.over["GetMetricData"] = {"MetricDataResults": [answer]}
    refused(kind, lambda: cloud.provider().fetch(USAGE, WEEK, None))


def test_a_bill_in_another_currency_or_with_a_line_twice_is_refused(cloud: Cloud) -> None:
    cloud.charge(date(2026, 11, 17), "USE1-NovaLite-input-tokens", "1")
    period = {"Start": "2026-11-17", "End": "2026-11-18"}
    for unit, times, says in (("EUR", 1, "currency other than USD"), ("USD", 2, "a line twice")):
        line = {"Keys": ["Amazon Bedrock", "x"], "Metrics": {"UnblendedCost": {"Amount": "1", "Unit": unit}}}
        cloud.over["GetCostAndUsage"] = {"ResultsByTime": [{"TimePeriod": period, "Groups": [line] * times}]}
        assert says in str(refused(MalformedResponseError, lambda: cloud.provider().fetch(COSTS, WEEK, None)))
