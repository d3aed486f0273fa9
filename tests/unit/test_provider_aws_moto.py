"""AWS Bedrock against moto: another reading of the same services agrees on what is asked and answered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import requests
from botocore.awsrequest import AWSPreparedRequest
from moto import mock_aws
from moto.core.models import botocore_stubber

from shared.core.usage import Usage
from shared.providers.aws import COSTS, SPEC, USAGE
from shared.providers.base import Window
from tests.fixtures.providers.aws_cloud import CREDENTIAL
from tests.fixtures.providers.wire import Time

if TYPE_CHECKING:
    import pytest

MIDNIGHT = datetime(2026, 11, 17, tzinfo=UTC)
DAY = Window(MIDNIGHT, MIDNIGHT + timedelta(days=1))
AT = MIDNIGHT + timedelta(hours=14)
# Where moto is told which bill it has (its own documentation of the service ce).
BILLS = "http://motoapi.amazonaws.com/moto-api/static/ce/cost-and-usage-results"


def answered(request: httpx.Request) -> httpx.Response:
    """Hand a request to moto, which otherwise sees only what botocore itself sends."""
    if request.headers.get("x-amz-target", "").endswith("GetDimensionValues"):  # moto has no such operation
        return httpx.Response(200, json={"DimensionValues": [{"Value": "Amazon Bedrock"}]})
    headers = {name.title(): value for name, value in request.headers.items()}
    found = botocore_stubber.process_request(
        AWSPreparedRequest(request.method, str(request.url), headers, request.content, stream_output=False)
    )
    assert found is not None
    status, told, body = found
    return httpx.Response(status, headers=told, content=body)


def test_moto_understands_what_is_asked_and_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    line = {
        "Keys": ["Amazon Bedrock", "EUC1-NovaLite-input-tokens"],
        "Metrics": {"UnblendedCost": {"Amount": "0.0101516483", "Unit": "USD"}},
    }
    period = {"Start": "2026-11-17", "End": "2026-11-18"}
    bill: Any = {"ResultsByTime": [{"TimePeriod": period, "Total": {}, "Groups": [line], "Estimated": False}]}
    counts = {"InputTokenCount": 1200, "OutputTokenCount": 34, "Invocations": 2}
    mock = mock_aws()
    mock.start()
    try:
        requests.post(BILLS, json={"results": [bill]}, timeout=5)
        boto3.client("cloudwatch", region_name="eu-central-1").put_metric_data(
            Namespace="AWS/Bedrock",
            MetricData=[
                {
                    "MetricName": name,
                    "Dimensions": [{"Name": "ModelId", "Value": "amazon.nova-lite-v1:0"}],
                    "Timestamp": AT + timedelta(minutes=minute),
                    "Value": count,
                }
                for name, count in counts.items()
                for minute in (3, 40)
            ],
        )
    finally:
        # Its figures stay for `answered`; were it on, it would answer beside our own client as well.
        mock.stop(remove_data=False)
    http = httpx.Client(transport=httpx.MockTransport(answered))
    provider = SPEC.connect(CREDENTIAL, http, Time().budget(), None, {"region": "eu-central-1"})
    assert provider.owner().id == "123456789012"
    [hour] = provider.fetch(USAGE, DAY, None).rows
    [cost] = provider.fetch(COSTS, DAY, None).rows
    assert (hour.start, provider.parse(USAGE, hour).usage) == (AT, Usage(input=2400, output=68, requests=4))
    assert provider.parse(COSTS, cost).amount == Decimal("0.0101516483")
