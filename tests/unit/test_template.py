"""template.yaml passes its gates: two lints, SAM's translation, and what each role may do, word for word."""

import json
import re
import tomllib

import pytest

from infra.gates import __main__ as gates
from infra.gates import environment, rules, sam, schema
from infra.gates.permissions import granted
from infra.gates.sam import Template

SSM = "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/ai-cost-tracker/${Stage}"
SETTINGS = {f"ssm:GetParametersByPath on {SSM}", f"ssm:GetParametersByPath on {SSM}/*"}

# What each role may do. A line more here is a decision: say why in docs/decisions.md.
GOLDEN = {
    "ApiRole": {
        "logs:CreateLogStream on ApiLogs",
        "logs:PutLogEvents on ApiLogs",
        "lambda:InvokeFunction on CollectorFunction",
        "kms:Encrypt on CredentialsKey",
        "kms:Decrypt on CredentialsKey",
        *SETTINGS,
    },
    "CollectorRole": {
        "kms:Decrypt on CredentialsKey",
        "logs:CreateLogStream on CollectorLogs",
        "logs:PutLogEvents on CollectorLogs",
        "sqs:SendMessage on FailedInvocations",
        *SETTINGS,
    },
    "VaultPushRole": {
        "logs:CreateLogStream on VaultPushLogs",
        "logs:PutLogEvents on VaultPushLogs",
        "sqs:SendMessage on FailedInvocations",
        *SETTINGS,
    },
    "MigrateRole": {
        "logs:CreateLogStream on MigrateLogs",
        "logs:PutLogEvents on MigrateLogs",
        "sqs:SendMessage on FailedInvocations",
        *SETTINGS,
    },
    "ScheduleRole": {
        "lambda:InvokeFunction on CollectorFunction",
        "lambda:InvokeFunction on VaultPushFunction",
        "sqs:SendMessage on UndeliveredSchedules",
    },
    # The key's own policy: IAM decides.
    "CredentialsKey": {
        f"kms:{action} on itself"
        for action in (
            "Encrypt",
            "Decrypt",
            "DescribeKey",
            "GetKeyPolicy",
            "PutKeyPolicy",
            "ListKeyPolicies",
            "EnableKey",
            "DisableKey",
            "EnableKeyRotation",
            "DisableKeyRotation",
            "GetKeyRotationStatus",
            "UpdateKeyDescription",
            "CreateAlias",
            "UpdateAlias",
            "DeleteAlias",
            "ListResourceTags",
            "TagResource",
            "UntagResource",
            "ScheduleKeyDeletion",
            "CancelKeyDeletion",
        )
    },
    "TracePolicy": {"xray:PutTraceSegments on *", "xray:PutTelemetryRecords on *"},
}


@pytest.fixture(scope="module")
def source() -> str:
    return sam.SOURCE.read_text()


@pytest.fixture(scope="module")
def translated(source: str) -> Template:
    return sam.translate(source)


def test_cfn_lint_passes_the_source(source: str) -> None:
    assert sam.lint(source, "template.yaml") == []


def test_cfn_lint_passes_the_translation(translated: Template) -> None:
    assert sam.lint(json.dumps(translated), "translated.json") == []


def test_our_rules_pass(translated: Template) -> None:
    assert rules.check(translated) == []


def test_roles_may_do_exactly_this(translated: Template) -> None:
    assert granted(translated) == GOLDEN


def test_lint_can_fail_on_the_source(source: str) -> None:
    assert any(
        "E3003" in line or "Handler" in line
        for line in sam.lint(source.replace("Handler:", "Hadler:", 1), "template.yaml")
    )


def test_lint_can_fail_on_a_translation() -> None:
    queue = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"Colour": "blue"}}}}
    assert any("Colour" in line for line in sam.lint(json.dumps(queue), "translated.json"))


def test_the_translator_refuses_what_lint_lets_pass(source: str) -> None:
    both = source.replace("DeadLetterConfig: {Arn:", "DeadLetterConfig: {Type: SQS, Arn:", 1)
    assert both != source
    with pytest.raises(sam.TranslationError, match="DeadLetterConfig"):
        sam.translate(both)


def test_the_command_says_that_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert gates.main() == 0
    assert capsys.readouterr().out == "template.yaml passes every gate.\n"


def test_the_digest_is_written_where_it_belongs(source: str) -> None:
    stale = source.replace(schema.current(), "0001-0123456789ab")
    assert schema.written(stale) == source != stale


def test_the_template_holds_every_secret_setting_out(source: str) -> None:
    assert environment.secrets() >= {
        "DATABASE_URL",
        "API_KEY",
        "KEY_PEPPER",
        "ANTHROPIC_ADMIN_KEY",
        "CONTEXT_VAULT_API_KEY",
    }
    assert not [name for name in environment.secrets() if re.search(rf"\b{name}\b", source)]


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import os\nos.environ['WORKER_FUNCTION']", {"WORKER_FUNCTION"}),
        ("import os\nNAME = 'SSM_PREFIX'\nos.getenv(NAME)", {"SSM_PREFIX"}),
        ("def f(environ):\n    return environ.get('LOG_LEVEL', '')", {"LOG_LEVEL"}),
        ("CODE = 'NOT_FOUND'", set()),
    ],
)
def test_variables_that_code_reads_are_found(code: str, found: set[str]) -> None:
    assert environment.read_by(code) == found


def test_sam_builds_beside_the_sources_and_asks_for_no_more_than_iam() -> None:
    settings = tomllib.loads((sam.ROOT / "samconfig.toml").read_text())["default"]
    assert settings["build"]["parameters"] == {"build_in_source": True, "parallel": True}
    assert settings["deploy"]["parameters"]["capabilities"] == "CAPABILITY_IAM"
    assert settings["validate"]["parameters"]["lint"] is True
