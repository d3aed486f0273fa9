"""Every rule about the template can fail: one change each, and the sentence that it must bring."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from infra.gates import alarms, environment, permissions, rules, sam
from infra.gates.sam import Template

Rule = Callable[[Template], list[str]]
GONE = object()

RESOURCES = "Resources/"
COLLECTOR = f"{RESOURCES}CollectorFunction/"
API = f"{RESOURCES}ApiFunction/"
SCHEDULE = f"{RESOURCES}CollectorFunctionSchedule/Properties/"
INVOKE = f"{RESOURCES}CollectorFunctionEventInvokeConfig"
MIGRATE = f"{RESOURCES}Migrate/Properties/"
STAGE = f"{RESOURCES}HttpApiApiGatewayDefaultStage/Properties/"
ROLE = f"{RESOURCES}CollectorRole/Properties/"
STATEMENT = f"{ROLE}Policies/0/PolicyDocument/Statement/0/"
TRUST = f"{ROLE}AssumeRolePolicyDocument/Statement/0/"
LAG = f"{RESOURCES}CollectorLag/Properties/"
VARIABLES = "Properties/Environment/Variables/"

# rule, where, what is put there, what the rule must say
CHANGES: list[tuple[Rule, str, Any, str]] = [
    (rules.check_runtime, f"{COLLECTOR}Properties/Runtime", "python3.11", "CollectorFunction is not python3.13"),
    (rules.check_runtime, f"{COLLECTOR}Properties/Architectures", ["x86_64"], "not python3.13 on arm64"),
    (rules.check_runtime, f"{COLLECTOR}Properties/Architectures", GONE, "not python3.13 on arm64"),
    (rules.check_runtime, f"{COLLECTOR}Metadata", GONE, "not built by the Makefile"),
    (rules.check_runtime, f"{COLLECTOR}Properties/Handler", "functions.collector.handle", "which does not exist"),
    (rules.check_runtime, f"{COLLECTOR}Properties/Handler", "functions.collect.handler", "which does not exist"),
    (rules.check_runtime, f"{COLLECTOR}Properties/ReservedConcurrentExecutions", 1, "reserves concurrency"),
    (rules.check_runtime, f"{API}Properties/Timeout", 30, "ApiFunction does not end after 28 seconds"),
    (rules.check_failures, INVOKE, GONE, "CollectorFunction loses the events"),
    (rules.check_failures, f"{INVOKE}/Properties/DestinationConfig", GONE, "CollectorFunction loses the events"),
    (rules.check_failures, f"{RESOURCES}MigrateFunctionEventInvokeConfig", GONE, "MigrateFunction loses the events"),
    (rules.check_schedules, f"{SCHEDULE}Target/DeadLetterConfig", GONE, "no DeadLetterConfig"),
    (rules.check_schedules, f"{SCHEDULE}Target/RetryPolicy", GONE, "no RetryPolicy"),
    (rules.check_schedules, f"{SCHEDULE}Target/Input", GONE, "does not send its scheduled time"),
    (rules.check_schedules, f"{SCHEDULE}ScheduleExpressionTimezone", "UTC", "does not run in the zone"),
    (rules.check_schedules, f"{SCHEDULE}Name", "collect", "fixed name"),
    (rules.check_schedules, f"{SCHEDULE}ScheduleExpression", "rate(6 hours)", "a minute of its own"),
    (rules.check_schedules, f"{SCHEDULE}ScheduleExpression", "cron(0 * * * ? *)", "a minute of its own"),
    (rules.check_schedules, f"{SCHEDULE}ScheduleExpression", "cron(37 * * * ? *)", "runs at the same minute"),
    (rules.check_migration, f"{RESOURCES}Migrate", GONE, "not one Custom::Migrate"),
    (rules.check_migration, f"{COLLECTOR}DependsOn", GONE, "CollectorFunction does not wait for Migrate"),
    (rules.check_migration, f"{API}DependsOn", "HttpApi", "ApiFunction does not wait for Migrate"),
    (rules.check_migration, f"{MIGRATE}SchemaHash", "0001-0123456789ab", "make schema-hash"),
    (rules.check_migration, f"{MIGRATE}SchemaHash", GONE, "make schema-hash"),
    (rules.check_migration, f"{MIGRATE}ServiceTimeout", 900, "raise ServiceTimeout"),
    (rules.check_migration, f"{MIGRATE}ServiceTimeout", GONE, "raise ServiceTimeout"),
    (rules.check_migration, f"{RESOURCES}MigrateFunctionEventInvokeConfig", GONE, "raise ServiceTimeout"),
    (rules.check_logs, f"{RESOURCES}CollectorLogs/Properties/RetentionInDays", GONE, "keeps its lines for ever"),
    (rules.check_logs, f"{COLLECTOR}Properties/LoggingConfig", GONE, "a group that Lambda makes"),
    (rules.check_logs, f"{STAGE}AccessLogSettings", GONE, "has no access log"),
    (rules.check_logs, f"{STAGE}AccessLogSettings/Format", '{"h":"$context.authorizer.key"}', "may hold a key"),
    (rules.check_logs, f"{STAGE}AccessLogSettings/Format", '{"q":"$context.queryString"}', "may hold a key"),
    (rules.check_logs, f"{STAGE}DefaultRouteSettings/ThrottlingRateLimit", GONE, "not throttled"),
    (rules.check_keys, f"{RESOURCES}CredentialsKey/Properties/EnableKeyRotation", GONE, "is never renewed"),
    (rules.check_keys, f"{RESOURCES}CredentialsKey/DeletionPolicy", GONE, "what it encrypted is lost"),
    (rules.check_keys, f"{RESOURCES}CredentialsKey/UpdateReplacePolicy", "Delete", "what it encrypted is lost"),
    (rules.check_parameters, "Parameters/Stage/Default", GONE, "Stage has no default"),
    (rules.check_parameters, "Parameters/Stage/Description", GONE, "Stage has no description"),
    (rules.check_parameters, "Parameters/Stage/NoEcho", True, "Stage is a secret"),
    (rules.check_parameters, "Parameters/DatabaseUrl", {"Default": "", "Description": "d"}, "DatabaseUrl is a secret"),
    (environment.check_environment, f"{COLLECTOR}{VARIABLES}TIMEZONE", GONE, "CollectorFunction does not set TIMEZONE"),
    (environment.check_environment, f"{COLLECTOR}{VARIABLES}SSM_PREFIX", GONE, "does not set SSM_PREFIX"),
    (environment.check_environment, f"{API}{VARIABLES}WORKER_FUNCTION", GONE, "does not set WORKER_FUNCTION"),
    (environment.check_environment, f"{COLLECTOR}{VARIABLES}CREDENTIALS_KEY", GONE, "does not set CREDENTIALS_KEY"),
    (environment.check_environment, f"{COLLECTOR}{VARIABLES}TIME_ZONE", "UTC", "sets TIME_ZONE, which nothing reads"),
    (environment.check_environment, f"{COLLECTOR}{VARIABLES}API_KEY", "k", "sets API_KEY; secrets belong in SSM"),
    (permissions.check_wildcards, f"{STATEMENT}Resource", "*", "name the resource"),
    (permissions.check_wildcards, f"{STATEMENT}Action", "logs:*", "name the actions"),
    (permissions.check_wildcards, f"{STATEMENT}NotAction", "iam:*", "allows all but a few"),
    (permissions.check_wildcards, f"{TRUST}Principal", "*", "lets in anybody"),
    (permissions.check_wildcards, f"{TRUST}Principal", {"AWS": "*"}, "lets in anybody"),
    (permissions.check_wildcards, f"{ROLE}ManagedPolicyArns", ["arn:aws:iam::aws:policy/x"], "borrows a managed"),
    (permissions.check_roles, f"{COLLECTOR}Properties/Role", {"Fn::GetAtt": ["ApiRole", "Arn"]}, "has ApiRole"),
    (permissions.check_roles, f"{COLLECTOR}Properties/Role", "arn:aws:iam::1:role/x", "has a foreign role"),
    (alarms.check_interval, "Parameters/CollectionIntervalHours/AllowedValues", ["5", "6"], "Interval and the allowed"),
    (alarms.check_interval, "Mappings/Interval/6/Hours", "0/5", "wrong for 6 hours"),
    (alarms.check_interval, "Mappings/Interval/24/Lag", 3600, "wrong for 24 hours"),
    (alarms.check_interval, "Mappings/Interval/1/Silence", 24, "wrong for 1 hours"),
    (alarms.check_alarms, f"{LAG}AlarmDescription", "See docs/operations.md#nowhere", "CollectorLag does not name"),
    (alarms.check_alarms, f"{LAG}AlarmDescription", "Old figures.", "CollectorLag does not name"),
    (alarms.check_alarms, f"{LAG}AlarmActions", GONE, "CollectorLag tells nobody"),
    (alarms.check_alarms, f"{LAG}TreatMissingData", GONE, "what silence means"),
    (alarms.check_alarms, f"{LAG}EvaluationPeriods", 200, "further back than CloudWatch can"),
    (alarms.check_alarms, f"{LAG}Period", 60 * 30, "further back than CloudWatch can"),
    (alarms.check_coverage, f"{LAG}TreatMissingData", "notBreaching", "does not notice silence"),
    (alarms.check_coverage, f"{LAG}MetricName", "CollectorAge", "waits for CollectorAge"),
    (alarms.check_coverage, f"{LAG}Namespace", "Tracker", "waits for CollectorLagSeconds"),
    (alarms.check_coverage, f"{LAG}Dimensions/1", GONE, "No alarm watches CollectorLagSeconds"),
    (alarms.check_coverage, f"{RESOURCES}CollectorErrors", GONE, "No alarm watches Errors of CollectorFunction"),
    (alarms.check_coverage, f"{RESOURCES}ApiThrottles", GONE, "No alarm watches Throttles of ApiFunction"),
    (alarms.check_coverage, f"{RESOURCES}ApiServerErrors", GONE, "No alarm watches 5xx of HttpApi"),
    (alarms.check_coverage, f"{RESOURCES}FailedInvocationsWaiting", GONE, "of FailedInvocations"),
    (alarms.check_coverage, f"{RESOURCES}RollupDrift", GONE, "No alarm watches RollupDriftDays"),
    (alarms.check_coverage, f"{RESOURCES}SummaryNotSent", GONE, "No alarm watches SummariesPending"),
    (alarms.check_coverage, f"{RESOURCES}ApiSlow/Properties/ExtendedStatistic", GONE, "use p95"),
]  # fmt: skip


@pytest.fixture(scope="module")
def translated() -> Template:
    return sam.translate(sam.SOURCE.read_text())


def changed(template: Template, path: str, value: object) -> Template:
    result = copy.deepcopy(template)
    *folders, last = path.split("/")
    node: Any = result
    for folder in folders:
        node = node[int(folder) if isinstance(node, list) else folder]
    key = int(last) if isinstance(node, list) else last
    if value is GONE:
        del node[key]
    else:
        node[key] = value
    return result


@pytest.mark.parametrize(("rule", "path", "value", "says"), CHANGES, ids=lambda each: getattr(each, "__name__", None))
def test_a_rule_notices(translated: Template, rule: Rule, path: str, value: object, says: str) -> None:
    assert not any(says in sentence for sentence in rule(translated)), "it must not say so of the template as it is"
    assert any(says in sentence for sentence in rule(changed(translated, path, value)))


def test_every_rule_is_shown_to_fail() -> None:
    assert {rule for rule, *_ in CHANGES} == set(rules.RULES)


def test_what_is_left_out_of_the_environment_has_to_exist(translated: Template) -> None:
    wrong = environment.check_environment(translated, {**environment.NOT_SET, "OLD_SETTING": "it was there once"})
    assert wrong == ["NOT_SET names OLD_SETTING, which nothing reads; remove it."]


def test_a_reason_for_a_wildcard_covers_one_action_on_one_resource(translated: Template) -> None:
    path = f"{RESOURCES}TracePolicy/Properties/PolicyDocument/Statement/0/Action"
    assert permissions.check_wildcards(changed(translated, path, ["xray:GetTraceSummaries"]))


def test_sections_are_found_by_their_links() -> None:
    assert alarms.anchors("# Running it\n\n## API 5xx\n\ntext\n### What it costs, roughly\n") == {
        "running-it",
        "api-5xx",
        "what-it-costs-roughly",
    }
