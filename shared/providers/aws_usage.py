"""Bedrock's tokens by the hour: what CloudWatch's series hold, and what an hour of a model means.

Source: docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PlainValidator

from shared.core.usage import MAX_COUNT, Usage
from shared.errors import CredentialError, MalformedResponseError, ProviderUnavailableError
from shared.providers.aws_series import ENDPOINTS, PageToken, Series, next_token
from shared.providers.base import Bucket, Row, Window
from shared.providers.payload import Count, Payload, Text, bucket_fault, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.providers.aws_wire import Aws

HOUR = timedelta(hours=1)
# The most series that one question may be about.
_AT_ONCE = 500
_SOURCE = "Amazon CloudWatch's GetMetricData"
_COMPLETE, _FORBIDDEN = "Complete", "Forbidden"
_FORBIDDEN_STATUS = 403
# Paid by the hour or month, whatever is counted: their money is on the bill.
_PAID_BY_TIME = {":provisioned-model/": "provisioned_throughput", ":imported-model/": "imported_model"}


def _total(value: object) -> int:
    """Return a sum as CloudWatch spells it, a double, as the count that it is.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_COUNT:
        raise ValueError("a count must be a number from 0 to 10^15")
    if value != int(value):
        raise ValueError("a count must be a whole number")
    return int(value)


class _Result(Payload):
    Id: Text
    Timestamps: list[datetime]
    Values: list[Annotated[int, PlainValidator(_total)]]
    StatusCode: Text


class _Answer(Payload):
    MetricDataResults: list[_Result]
    NextToken: PageToken | None = None


class UsageRow(Payload):
    """An hour of a model at an endpoint, in a project if that is known: the sum of every metric that has one."""

    region: Text
    endpoint: Text
    model: Text
    project: Text | None
    metrics: dict[Text, Count]

    def count(self, kind: str) -> int:
        """Return a count by our name for it, 0 where CloudWatch has none."""
        names = ENDPOINTS[self.endpoint].counts.get(kind, ())
        return next((self.metrics[name] for name in names if name in self.metrics), 0)


def fetch(aws: Aws, found: Sequence[Series], window: Window) -> tuple[Row, ...]:
    """Return what the series hold in a window, oldest first; an hour without figures had no usage.

    Raises as `Aws.call`, and:
        ProviderUnavailableError: CloudWatch could not say everything.
        MalformedResponseError: the answer is not what was asked for.
    """
    hours: dict[tuple[datetime, Series], dict[str, int]] = defaultdict(dict)
    for region in dict.fromkeys(one.region for one in found):
        here = [one for one in found if one.region == region]
        for first in range(0, len(here), _AT_ONCE):
            for one, hour, total in _sums(aws, here[first : first + _AT_ONCE], window):
                hours[hour, _whole(one)][one.metric] = total
    return tuple(
        Row(hour, hour + HOUR, _raw(one, metrics))
        for (hour, one), metrics in sorted(hours.items(), key=lambda item: item[0])
    )


def _whole(one: Series) -> Series:
    return Series(one.region, one.endpoint, one.model, one.project, "")


def _raw(one: Series, metrics: dict[str, int]) -> dict[str, Any]:
    told = {"region": one.region, "endpoint": one.endpoint, "model": one.model, "project": one.project or None}
    return {**told, "metrics": metrics}


def _sums(aws: Aws, asked: Sequence[Series], window: Window) -> Iterator[tuple[Series, datetime, int]]:
    by_id = {f"q{index}": one for index, one in enumerate(asked)}
    question = {
        "MetricDataQueries": [_query(name, one) for name, one in by_id.items()],
        "StartTime": window.start,
        "EndTime": window.end,
        "ScanBy": "TimestampAscending",
    }
    statuses: dict[str, str] = {}
    seen: set[str] = set()
    done: set[tuple[str, datetime]] = set()
    while True:
        answer = read(_Answer, aws.call("cloudwatch", "get_metric_data", question, asked[0].region), _SOURCE)
        for index, result in enumerate(answer.MetricDataResults):
            one, at = by_id.get(result.Id), f"MetricDataResults.{index}"
            if one is None or len(result.Timestamps) != len(result.Values):
                raise MalformedResponseError(f"{_SOURCE} has a result at {at} that cannot be right.")
            statuses[result.Id] = result.StatusCode
            for stamp, total in zip(result.Timestamps, result.Values, strict=True):
                yield one, _hour(stamp, window, at, result.Id, done), total
        if not answer.NextToken:
            break
        question = {**question, "NextToken": next_token(answer.NextToken, seen, _SOURCE)}
    _check(statuses, by_id)


def _query(name: str, one: Series) -> dict[str, Any]:
    metric = {
        "Namespace": ENDPOINTS[one.endpoint].namespace,
        "MetricName": one.metric,
        "Dimensions": one.dimensions,
    }
    return {"Id": name, "MetricStat": {"Metric": metric, "Period": int(HOUR.total_seconds()), "Stat": "Sum"}}


def _hour(stamp: datetime, window: Window, at: str, name: str, done: set[tuple[str, datetime]]) -> datetime:
    fault = "it has no zone" if stamp.tzinfo is None else None
    hour = stamp if fault else stamp.astimezone(UTC)
    fault = fault or bucket_fault(hour, hour + HOUR, window, HOUR)
    if fault is None and (name, hour) in done:
        fault = "it is there twice"
    if fault is not None:
        raise MalformedResponseError(f"{_SOURCE} has an hour at {at}.Timestamps that cannot be right: {fault}.")
    done.add((name, hour))
    return hour


def _check(statuses: dict[str, str], by_id: dict[str, Series]) -> None:
    """Refuse an answer with less than was asked for: what is missing in it would pass for no usage."""
    if len(statuses) < len(by_id):
        raise MalformedResponseError(f"{_SOURCE} leaves {len(by_id) - len(statuses)} of {len(by_id)} questions open.")
    # `PartialData` is followed by another page with the rest; as the last word it is one that never came.
    wrong = sorted({status for status in statuses.values() if status != _COMPLETE})
    if _FORBIDDEN in wrong:
        said = "cloudwatch:GetMetricData is not allowed"
        raise CredentialError(f"Amazon CloudWatch refused the key ({said}).", _FORBIDDEN_STATUS, said)
    if wrong:
        raise ProviderUnavailableError(
            f"Amazon CloudWatch could not answer completely ({', '.join(wrong)}); the next run asks again."
        )


def counted(row: Row, hour: UsageRow) -> Bucket:
    """Return the bucket of an hour. Input excludes what came from the cache or was written to it.

    How long written tokens live is not told: all are taken for five-minute ones. Images, and models that are paid by
    time, have their money on the bill.
    """
    usage = Usage(
        input=hour.count("input"),
        output=hour.count("output"),
        cache_read=hour.count("cache_read"),
        cache_write_5m=hour.count("cache_write"),
        requests=hour.count("requests"),
    )
    charge = next((paid for part, paid in _PAID_BY_TIME.items() if part in hour.model), None)
    if charge is None and hour.count("images") and not usage.total_tokens:
        charge = "images"
    return Bucket(
        row.start,
        row.end,
        {"region": hour.region, "endpoint": hour.endpoint, "model": hour.model, "project_id": hour.project},
        usage=usage,
        model=hour.model,
        workspace_id=hour.project,
        charge=charge,
    )
