"""Bedrock on AWS's bill, by the day and line, from Cost Explorer. Every call costs its owner a cent, so few are made.

Source: docs.aws.amazon.com/aws-cost-management/latest/APIReference, GetCostAndUsage and GetDimensionValues.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, PlainValidator

from shared.core.usage import PriceContext
from shared.errors import MalformedResponseError
from shared.providers.aws_series import PageToken, next_token
from shared.providers.base import Bucket, Page, Row, Window
from shared.providers.payload import Payload, Text, Usd, bucket_fault, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.providers.aws_wire import Aws

DAY = timedelta(days=1)
TOKENS = "tokens"
_SOURCE = "AWS Cost Explorer's GetCostAndUsage"
_VALUES = "AWS Cost Explorer's GetDimensionValues"
_METRIC = "UnblendedCost"
# Amazon's own models and features are sold as Amazon Bedrock, each model of others as a service of its own:
# `Claude Opus 5.5 (Amazon Bedrock Edition)`.
_SOLD_AS = "Bedrock"
_EDITION = re.compile(r"(?P<model>.+) \(Amazon Bedrock Edition\)")
# `USE1-NovaLite-input-tokens`, `USW2-MP:USW2_CacheReadInputTokenCount_Global-Units`,
# `USE1-MP:USE1_cache_write_tokens_1h_global_standard-Units`.
_OF_TOKENS = re.compile(r"token", re.IGNORECASE)
# Batch jobs, training and throughput that is paid by time are in none of the metrics that are read.
_BATCH = re.compile(r"batch", re.IGNORECASE)
_UNCOUNTED = re.compile(r"batch|provisioned|reserved|customi[sz]|training|distill|fine[-_ ]?tun", re.IGNORECASE)


def _day(value: object) -> datetime:
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        raise ValueError("a day must be text such as 2026-03-01")
    return datetime.fromisoformat(value).replace(tzinfo=UTC)


_Day = Annotated[datetime, PlainValidator(_day)]


class _Period(Payload):
    Start: _Day
    End: _Day


class _Cost(Payload):
    Amount: Usd
    Unit: Text


class _Metrics(Payload):
    UnblendedCost: _Cost


class _Group(Payload):
    Keys: Annotated[list[Text], Field(min_length=2, max_length=2)]
    Metrics: _Metrics


class _Interval(Payload):
    TimePeriod: _Period
    Groups: list[_Group]
    Estimated: bool = False


class _Report(Payload):
    ResultsByTime: list[_Interval]
    NextPageToken: PageToken | None = None


class _Value(Payload):
    Value: Text


class _Values(Payload):
    DimensionValues: list[_Value]
    NextPageToken: PageToken | None = None


class CostRow(Payload):
    """What one line of the bill costs on one day, in USD; below zero it is a credit or a refund."""

    service: Text
    usage_type: Text
    amount: Usd


def fetch(aws: Aws, account: str, window: Window) -> Page:
    """Return the whole window; of a days' bill that is not closed yet what is known of it.

    Only the account's own lines are asked for, where one account's bill would hold those of others that it pays for.

    Raises as `Aws.call`, and:
        MalformedResponseError: the answer is not what was asked for, or in another currency.
    """
    period = {"Start": f"{window.start:%Y-%m-%d}", "End": f"{window.end:%Y-%m-%d}"}
    services = _services(aws, period)
    if not services:
        return Page((), None, (window.start, window.end))
    rows: list[Row] = []
    days: list[datetime] = []
    seen: set[tuple[datetime, str, str]] = set()
    for interval, at in _intervals(aws, _question(period, services, account)):
        start, end = interval.TimePeriod.Start, interval.TimePeriod.End
        fault = bucket_fault(start, end, window, DAY)
        if fault is not None:
            raise MalformedResponseError(f"{_SOURCE} has a day at {at}.TimePeriod that cannot be right: {fault}.")
        days += [start, end]
        for index, group in enumerate(interval.Groups):
            service, usage_type = group.Keys
            if group.Metrics.UnblendedCost.Unit != "USD":
                raise MalformedResponseError(f"{_SOURCE} has a currency other than USD at {at}.Groups.{index}.")
            if (start, service, usage_type) in seen:
                raise MalformedResponseError(f"{_SOURCE} has a line twice, at {at}.Groups.{index}.")
            seen.add((start, service, usage_type))
            amount = format(group.Metrics.UnblendedCost.Amount, "f")
            told = {"service": service, "usage_type": usage_type, "amount": amount, "estimated": interval.Estimated}
            rows.append(Row(start, end, told))
    rows.sort(key=lambda row: row.start)
    return Page(tuple(rows), None, (min(days), max(days)) if days else None)


def _services(aws: Aws, period: dict[str, str]) -> list[str]:
    """Return what Bedrock was sold as in that time: nobody can know the models of tomorrow.

    A search by Cost Explorer itself would cost the same, and what it finds is documented nowhere.
    """
    asked: dict[str, Any] = {"TimePeriod": period, "Dimension": "SERVICE"}
    found: set[str] = set()
    seen: set[str] = set()
    while True:
        answer = read(_Values, aws.call("ce", "get_dimension_values", asked), _VALUES)
        found |= {one.Value for one in answer.DimensionValues if _SOLD_AS in one.Value}
        if not answer.NextPageToken:
            return sorted(found)
        asked = {**asked, "NextPageToken": next_token(answer.NextPageToken, seen, _VALUES)}


def _question(period: dict[str, str], services: list[str], account: str) -> dict[str, Any]:
    wanted = [("SERVICE", services), ("LINKED_ACCOUNT", [account])]
    return {
        "TimePeriod": period,
        "Granularity": "DAILY",
        "Metrics": [_METRIC],
        "GroupBy": [{"Type": "DIMENSION", "Key": key} for key in ("SERVICE", "USAGE_TYPE")],
        "Filter": {"And": [{"Dimensions": {"Key": key, "Values": values}} for key, values in wanted]},
    }


def _intervals(aws: Aws, asked: dict[str, Any]) -> Iterator[tuple[_Interval, str]]:
    """Yield the days of all pages, each with its place; a day may go on in the next page."""
    seen: set[str] = set()
    while True:
        report = read(_Report, aws.call("ce", "get_cost_and_usage", asked), _SOURCE)
        yield from ((one, f"ResultsByTime.{index}") for index, one in enumerate(report.ResultsByTime))
        if not report.NextPageToken:
            return
        asked = {**asked, "NextPageToken": next_token(report.NextPageToken, seen, _SOURCE)}


def charged(row: Row, line: CostRow) -> Bucket:
    """Return the bucket of a line. What no metric counts is its own charge, word for word."""
    edition = _EDITION.fullmatch(line.service)
    is_counted = _OF_TOKENS.search(line.usage_type) is not None and not _UNCOUNTED.search(line.usage_type)
    return Bucket(
        row.start,
        row.end,
        {"service": line.service, "usage_type": line.usage_type},
        context=PriceContext(batch=_BATCH.search(line.usage_type) is not None),
        model=edition["model"] if edition else None,
        amount=line.amount,
        charge=TOKENS if is_counted else line.usage_type,
        description=f"{line.service}: {line.usage_type}",
    )
