"""Alarms: each says where to read on, each measures what is emitted, and nothing that can fail goes without one."""

from __future__ import annotations

import re
from typing import Any

from functions import logs, metrics
from infra.gates.sam import ROOT, Template, resources, target

RUNBOOK = ROOT / "docs" / "operations.md"
_SECTION = re.compile(r"See docs/operations\.md#([a-z0-9-]+)$")
_HOURS_A_DAY = 24
_HOUR = 3600
_LONGEST_SECONDS = 7 * _HOURS_A_DAY * _HOUR


def anchors(markdown: str) -> set[str]:
    """Return the link targets of a page's headings, as code hosts make them."""
    headings = re.findall(r"(?m)^#+ (.+)$", markdown)
    return {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def check_interval(template: Template) -> list[str]:
    """The figures of each interval follow from it, and the day holds a whole number of them."""
    wrong = []
    mapping = template["Mappings"]["Interval"]
    allowed = set(template["Parameters"]["CollectionIntervalHours"]["AllowedValues"])
    if allowed != set(mapping):
        wrong.append("The mapping Interval and the allowed CollectionIntervalHours differ.")
    for text, figures in mapping.items():
        hours = int(text)
        field = {1: "*", _HOURS_A_DAY: "0"}.get(hours, f"0/{hours}")
        expected = {"Hours": field, "Silence": 2 * hours + 1, "Lag": (2 * hours + 3) * _HOUR}
        if _HOURS_A_DAY % hours or figures != expected:
            wrong.append(f"The mapping Interval is wrong for {text} hours; expected {expected}.")
    return wrong


def check_alarms(template: Template) -> list[str]:
    """Every alarm tells the topic, names a section that exists, and can be evaluated."""
    wrong = []
    sections = anchors(RUNBOOK.read_text())
    for name, alarm in resources(template, "AWS::CloudWatch::Alarm").items():
        named = _SECTION.search(alarm.get("AlarmDescription", ""))
        if named is None or named[1] not in sections:
            wrong.append(f"{name} does not name a section of docs/operations.md that exists.")
        if {target(each) for each in alarm.get("AlarmActions", [])} != set(resources(template, "AWS::SNS::Topic")):
            wrong.append(f"{name} tells nobody; set AlarmActions.")
        if "TreatMissingData" not in alarm:
            wrong.append(f"{name} does not say what silence means; set TreatMissingData.")
        periods, period = _largest(template, alarm["EvaluationPeriods"]), alarm["Period"]
        if period * periods > (_LONGEST_SECONDS if period >= _HOUR else _HOURS_A_DAY * _HOUR):
            wrong.append(f"{name} looks further back than CloudWatch can.")
    return wrong


def check_coverage(template: Template) -> list[str]:
    """Everything that can fail has its alarm, and no alarm waits for a figure that nobody sends."""
    alarms = resources(template, "AWS::CloudWatch::Alarm")
    seen = {(each["Namespace"], each["MetricName"], _subject(each)): each for each in alarms.values()}
    ours = f"{logs.SERVICE} Stage"
    needed = {
        ("AWS/Lambda", metric, function)
        for function in resources(template, "AWS::Lambda::Function")
        for metric in ("Errors", "Throttles")
    }
    needed |= {
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", queue) for queue in resources(template, "AWS::SQS::Queue")
    }
    for api in resources(template, "AWS::ApiGatewayV2::Api"):
        needed |= {("AWS/ApiGateway", metric, api) for metric in ("5xx", "Latency")}
    needed |= {(metrics.NAMESPACE, metric.name, ours) for metric in metrics.EVERY}
    wrong = [f"No alarm watches {metric} of {subject}." for _, metric, subject in sorted(needed - set(seen))]
    wrong += [
        f"An alarm waits for {metric} of {subject}, which nobody sends."
        for _, metric, subject in sorted(set(seen) - needed)
    ]
    for metric in (metrics.COLLECTOR_LAG, metrics.SUMMARIES_PENDING):
        if seen.get((metrics.NAMESPACE, metric.name, ours), {}).get("TreatMissingData") != "breaching":
            wrong.append(f"The alarm on {metric.name} does not notice silence; missing data must be breaching.")
    wrong += [
        f"The alarm on {metric} of {subject} takes an average of waits; use p95."
        for (_, metric, subject), each in seen.items()
        if metric == "Latency" and each.get("ExtendedStatistic") != "p95"
    ]
    return wrong


def _subject(alarm: dict[str, Any]) -> str:
    return " ".join(target(each["Value"]) or str(each["Value"]) for each in alarm["Dimensions"])


def _largest(template: Template, value: Any) -> int:  # noqa: ANN401 - a number or Fn::FindInMap
    if isinstance(value, dict):
        mapping, _, column = value["Fn::FindInMap"]
        return max(int(row[column]) for row in template["Mappings"][mapping].values())
    return int(value)
