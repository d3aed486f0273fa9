"""Which series of figures CloudWatch has about Bedrock: one per endpoint, model, project and kind of count.

Sources: the Bedrock user guide, monitoring-runtime-metrics.html and monitoring-mantle-metrics.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from shared.errors import MalformedResponseError
from shared.providers.payload import Payload, Text, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.providers.aws_wire import Aws

MAX_PAGES = 1_000
# Tokens of pages are opaque and long (8,192 characters in Cost Explorer).
PageToken = Annotated[str, Field(max_length=10_000)]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One way to call models: where it counts, and by which names of metrics each kind of count goes.

    Where a count has several names, they were its name at different times or places and mean the same.
    """

    name: str
    namespace: str
    model: str
    project: str | None
    counts: Mapping[str, tuple[str, ...]]

    @property
    def metrics(self) -> frozenset[str]:
        """Return every name of a metric that is asked for."""
        return frozenset(name for names in self.counts.values() for name in names)


RUNTIME = Endpoint(
    "bedrock-runtime",
    "AWS/Bedrock",
    "ModelId",
    None,
    {
        "requests": ("Invocations",),
        "input": ("InputTokenCount",),
        "output": ("OutputTokenCount",),
        "cache_read": ("CacheReadInputTokenCount", "CacheReadInputTokens"),
        "cache_write": ("CacheWriteInputTokenCount", "CacheWriteInputTokens"),
        "images": ("OutputImageCount",),
    },
)
# The other endpoint publishes every request at four levels; the finest one names the project, and its metrics of
# tokens are called otherwise. Adding levels up would count each request several times.
MANTLE = Endpoint(
    "bedrock-mantle",
    "AWS/BedrockMantle",
    "Model",
    "Project",
    {
        "requests": ("Inferences",),
        "input": ("InputTokens", "TotalInputTokens"),
        "output": ("OutputTokens", "TotalOutputTokens"),
    },
)
ENDPOINTS = {endpoint.name: endpoint for endpoint in (RUNTIME, MANTLE)}


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """One metric of one model in one region; `project` is None where the endpoint has none or does not say."""

    region: str
    endpoint: str
    model: str
    project: str
    metric: str

    @property
    def dimensions(self) -> list[dict[str, str]]:
        """Return what identifies it inside its namespace, as AWS takes it."""
        endpoint = ENDPOINTS[self.endpoint]
        named = {endpoint.model: self.model} | ({str(endpoint.project): self.project} if self.project else {})
        return [{"Name": name, "Value": value} for name, value in named.items()]


class _Dimension(Payload):
    Name: Text
    Value: Text


class _Metric(Payload):
    MetricName: Text
    Dimensions: list[_Dimension] = Field(default_factory=list)


class _Listed(Payload):
    Metrics: list[_Metric]
    NextToken: PageToken | None = None


def series(aws: Aws, regions: tuple[str, ...]) -> tuple[Series, ...]:
    """Return every series that had figures within the last two weeks, in a fixed order; raises as `Aws.call`.

    CloudWatch forgets the others, although it still answers for them.
    """
    found = [one for region in regions for endpoint in ENDPOINTS.values() for one in _of(aws, region, endpoint)]
    return tuple(sorted(set(found)))


def _of(aws: Aws, region: str, endpoint: Endpoint) -> list[Series]:
    found = [one for metric in _listed(aws, region, endpoint) if (one := _known(metric, region, endpoint)) is not None]
    in_projects = {one.model for one in found if one.project and one.metric in endpoint.counts["input"]}
    return [one for one in found if bool(one.project) == (one.model in in_projects)]


def _known(metric: _Metric, region: str, endpoint: Endpoint) -> Series | None:
    named = {dimension.Name: dimension.Value for dimension in metric.Dimensions}
    model = named.pop(endpoint.model, None)
    project = named.pop(endpoint.project, "") if endpoint.project is not None else ""
    # With any other dimension it is a part of a series without it.
    if not model or named or metric.MetricName not in endpoint.metrics:
        return None
    return Series(region, endpoint.name, model, project, metric.MetricName)


def _listed(aws: Aws, region: str, endpoint: Endpoint) -> Iterator[_Metric]:
    asked = {"Namespace": endpoint.namespace}
    source = f"Amazon CloudWatch's ListMetrics in {region}"
    seen: set[str] = set()
    while True:
        # Never with RecentlyActive, which leaves out whatever was idle for three hours.
        page = read(_Listed, aws.call("cloudwatch", "list_metrics", asked, region), source)
        yield from page.Metrics
        if not page.NextToken:
            return
        asked = {**asked, "NextToken": next_token(page.NextToken, seen, source)}


def next_token(token: str, seen: set[str], source: str) -> str:
    """Return the token of the next page, and remember it.

    Raises:
        MalformedResponseError: it was there before, or there are too many.
    """
    if token in seen or len(seen) >= MAX_PAGES:
        raise MalformedResponseError(f"{source} keeps sending the same or endless pages.")
    seen.add(token)
    return token
