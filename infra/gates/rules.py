"""What every deployment of the tracker keeps to, asked of the translated template. An empty list means that it does."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from infra.gates import alarms, environment, permissions, schema
from infra.gates.sam import ROOT, Template, resources, target

if TYPE_CHECKING:
    from collections.abc import Callable

_API_SECONDS = 28
# What an access log may hold: nothing of the headers, the query string or the authorizer.
_LOGGABLE = {
    "requestTime",
    "requestId",
    "httpMethod",
    "path",
    "status",
    "responseLength",
    "responseLatency",
    "identity.sourceIp",
    "integrationErrorMessage",
}


def check_runtime(template: Template) -> list[str]:
    """Python 3.13 on arm64, a handler that exists, the Makefile's build, and no concurrency taken from others."""
    wrong = []
    for name, function in resources(template, "AWS::Lambda::Function").items():
        if function.get("Runtime") != "python3.13" or function.get("Architectures") != ["arm64"]:
            wrong.append(f"{name} is not python3.13 on arm64, which the artefact is built for.")
        if template["Resources"][name].get("Metadata", {}).get("BuildMethod") != "makefile":
            wrong.append(f"{name} is not built by the Makefile; SAM's own builder ships tests and .env files.")
        if not _has_handler(function["Handler"]):
            wrong.append(f"{name} names the handler {function['Handler']}, which does not exist.")
        if "ReservedConcurrentExecutions" in function:
            wrong.append(f"{name} reserves concurrency; new accounts have ten places in all and none to reserve.")
        if name in _behind_the_api(template) and function.get("Timeout") != _API_SECONDS:
            wrong.append(f"{name} does not end after {_API_SECONDS} seconds; API Gateway gives up after 30.")
    return wrong


def check_failures(template: Template) -> list[str]:
    """An event that a function fails to handle ends in a queue: every function but those that answer a caller."""
    kept = {
        target(each["FunctionName"])
        for each in resources(template, "AWS::Lambda::EventInvokeConfig").values()
        if target(each.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")) in _queues(template)
    }
    waiting = set(resources(template, "AWS::Lambda::Function")) - _behind_the_api(template)
    return [f"{name} loses the events that it fails on; give it an OnFailure." for name in sorted(waiting - kept)]


def check_schedules(template: Template) -> list[str]:
    """A schedule tries again, keeps what it cannot deliver, says which instant is meant, and has its own minute."""
    wrong = []
    minutes: dict[str, str] = {}
    for name, schedule in resources(template, "AWS::Scheduler::Schedule").items():
        sent = schedule["Target"]
        if target(sent.get("DeadLetterConfig", {}).get("Arn")) not in _queues(template):
            wrong.append(f"{name} has no DeadLetterConfig.")
        if not {"MaximumRetryAttempts", "MaximumEventAgeInSeconds"} <= set(sent.get("RetryPolicy", {})):
            wrong.append(f"{name} has no RetryPolicy.")
        if '"<aws.scheduler.scheduled-time>"' not in sent.get("Input", ""):
            wrong.append(f"{name} does not send its scheduled time; a late retry would work on another window.")
        if target(schedule.get("ScheduleExpressionTimezone")) != "Timezone":
            wrong.append(f"{name} does not run in the zone that days are cut in.")
        if "Name" in schedule:
            wrong.append(f"{name} has a fixed name; two stacks in one account would collide.")
        minute = re.search(r"cron\((\d+) ", str(schedule["ScheduleExpression"]))
        if minute is None or minute[1] == "0":
            wrong.append(f"{name} does not run at a minute of its own; use cron, off the full hour.")
        elif (other := minutes.setdefault(minute[1], name)) != name:
            wrong.append(f"{name} runs at the same minute as {other}.")
    return wrong


def check_migration(template: Template) -> list[str]:
    """No function runs before the schema fits it, and new migrations are noticed."""
    migrations = resources(template, "Custom::Migrate")
    if len(migrations) != 1:
        return ["There is not one Custom::Migrate."]
    [(migration, properties)] = migrations.items()
    migrator = target(properties["ServiceToken"])
    functions = resources(template, "AWS::Lambda::Function")
    wrong = [
        f"{name} does not wait for {migration}; add DependsOn."
        for name in functions
        if name != migrator and migration not in _listed(template["Resources"][name].get("DependsOn", []))
    ]
    if properties.get("SchemaHash") != schema.current():
        wrong.append(f"{migration} does not carry the digest of the migrations; run: make schema-hash")
    retries = [
        each
        for each in resources(template, "AWS::Lambda::EventInvokeConfig").values()
        if target(each["FunctionName"]) == migrator
    ]
    longest = functions[str(migrator)]["Timeout"] * (
        1 + max([each["MaximumRetryAttempts"] for each in retries], default=2)
    )
    if not longest < properties.get("ServiceTimeout", 0) <= 3600:  # noqa: PLR2004 - CloudFormation's longest
        wrong.append(f"{migration} gives up before the last attempt of {migrator} has ended; raise ServiceTimeout.")
    return wrong


def check_logs(template: Template) -> list[str]:
    """Logs go to groups of ours, end some day, and the access log holds no key."""
    groups = resources(template, "AWS::Logs::LogGroup")
    wrong = [
        f"{name} keeps its lines for ever; set RetentionInDays."
        for name, each in groups.items()
        if not each.get("RetentionInDays")
    ]
    for name, function in resources(template, "AWS::Lambda::Function").items():
        if target(function.get("LoggingConfig", {}).get("LogGroup")) not in groups:
            wrong.append(f"{name} logs to a group that Lambda makes and nobody empties; set LoggingConfig.")
    for name, stage in resources(template, "AWS::ApiGatewayV2::Stage").items():
        access = stage.get("AccessLogSettings", {})
        if target(access.get("DestinationArn")) not in groups:
            wrong.append(f"{name} has no access log.")
        extra = set(re.findall(r"\$context\.([A-Za-z.]+)", access.get("Format", ""))) - _LOGGABLE
        wrong += [f"{name} logs $context.{each}, which may hold a key." for each in sorted(extra)]
        if not {"ThrottlingRateLimit", "ThrottlingBurstLimit"} <= set(stage.get("DefaultRouteSettings", {})):
            wrong.append(f"{name} is not throttled; anybody could run up a bill.")
    return wrong


def check_keys(template: Template) -> list[str]:
    """What was encrypted can be read as long as the database lives, and keys are renewed by AWS."""
    wrong = []
    for name, key in resources(template, "AWS::KMS::Key").items():
        if not key.get("EnableKeyRotation"):
            wrong.append(f"{name} is never renewed; set EnableKeyRotation.")
        kept = {template["Resources"][name].get(each) for each in ("DeletionPolicy", "UpdateReplacePolicy")}
        if kept != {"Retain"}:
            wrong.append(f"{name} goes with the stack, and what it encrypted is lost; set both policies to Retain.")
    return wrong


def check_parameters(template: Template) -> list[str]:
    """`sam deploy --guided` can be answered with Enter throughout, and is never told a secret."""
    return [
        f"The parameter {name} {fault}."
        for name, parameter in template["Parameters"].items()
        for fault, is_so in (
            ("has no default", "Default" not in parameter),
            ("has no description", not parameter.get("Description")),
            ("is a secret; secrets belong in SSM", bool(parameter.get("NoEcho")) or _is_secret(name)),
        )
        if is_so
    ]


RULES: tuple[Callable[[Template], list[str]], ...] = (
    check_runtime,
    check_failures,
    check_schedules,
    check_migration,
    check_logs,
    check_keys,
    check_parameters,
    environment.check_environment,
    permissions.check_wildcards,
    permissions.check_roles,
    alarms.check_interval,
    alarms.check_alarms,
    alarms.check_coverage,
)


def check(template: Template) -> list[str]:
    """Return everything that is wrong with a translated template, one sentence each."""
    return [sentence for rule in RULES for sentence in rule(template)]


def _behind_the_api(template: Template) -> set[str | None]:
    permitted = resources(template, "AWS::Lambda::Permission").values()
    return {target(each["FunctionName"]) for each in permitted if each["Principal"] == "apigateway.amazonaws.com"}


def _queues(template: Template) -> set[str]:
    return set(resources(template, "AWS::SQS::Queue"))


def _has_handler(dotted: str) -> bool:
    module, _, function = dotted.rpartition(".")
    path = ROOT / f"{module.replace('.', '/')}.py"
    if not path.exists():
        return False
    body = ast.parse(path.read_text()).body
    assigned = {
        name.id for node in body if isinstance(node, ast.Assign) for name in node.targets if isinstance(name, ast.Name)
    }
    return function in assigned | {node.name for node in body if isinstance(node, ast.FunctionDef)}


def _is_secret(parameter: str) -> bool:
    return parameter.upper() in {name.replace("_", "") for name in environment.secrets()}


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - any JSON
    return value if isinstance(value, list) else [value]
