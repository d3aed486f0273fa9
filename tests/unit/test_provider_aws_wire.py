"""Who asks AWS and what becomes of its refusals: keys, roles and machines, and nothing of them in any error."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from shared.errors import CredentialError, CursorRefusedError, ProviderError, ProviderUnavailableError
from shared.providers.aws import COSTS, SPEC, USAGE
from shared.providers.aws_credentials import read_credential
from shared.providers.base import Window
from shared.providers.diagnosis import EXPIRED, MISSING_PERMISSION, UNKNOWN_KEY, WRONG_KIND, diagnose
from tests.fixtures.providers.aws_cloud import ASSUMED_ID, CREDENTIAL, Cloud, refusal
from tests.fixtures.providers.wire import KEY, Time, refused

NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
AT = datetime(2026, 11, 18, 14, tzinfo=UTC)
WEEK = Window(AT.replace(hour=0) - timedelta(days=5), AT.replace(hour=0) + timedelta(days=2))
KEY_ID, TOKEN = "AKIAQ7R2M5T8W1X4Z6B9", "FwoGZXIvYXdzE-PLANTED-token=="
ROLE = "arn:aws:iam::204861973055:role/costs"
WHO = "User: arn:aws:iam::204861973055:user/jane.doe is not authorized to perform: "


@pytest.fixture
def cloud() -> Cloud:
    cloud = Cloud(NOW)
    cloud.use(AT, "amazon.nova-lite-v1:0", InputTokenCount=7)
    return cloud


@pytest.mark.parametrize(
    "text",
    [
        "",
        KEY,
        KEY_ID,
        f"{KEY_ID}:",
        f"{KEY_ID}:short",
        f"{KEY_ID}:{KEY} {KEY}",
        f"{KEY_ID}:{KEY}:x",
        f"{KEY_ID}:{KEY}é",
        f"AROA{KEY_ID[4:]}:{KEY}",
        f"ASIA{KEY_ID[4:]}:{KEY}",
        "Ambient",
        f"ABSK{KEY}",
    ],
)
def test_what_is_no_credential_is_refused_before_anything_is_sent(text: str) -> None:
    http = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(500)))
    error = refused(
        CredentialError, lambda: SPEC.connect(text, http, Time().budget(), None, {"region": "eu-central-1"})
    )
    assert (error.status, SPEC.key_needed in str(error)) == (None, True)
    assert KEY_ID not in str(error)


def test_a_credential_shows_nothing_of_itself() -> None:
    found = read_credential(f"{KEY_ID}:{KEY}:{TOKEN}", "")
    assert found is not None
    assert (found.key_id, found.secret, found.token) == (KEY_ID, KEY, TOKEN)
    assert repr(found) == "Credential()"
    assert found.hidden(f"a {KEY_ID} b {KEY} c {TOKEN}") == "a [key] b [key] c [key]"


@pytest.mark.parametrize(
    ("code", "message", "status", "kind", "said"),
    [
        ("UnrecognizedClientException", "The security token included in the request is invalid.", 400, 401, "invalid"),
        ("InvalidClientTokenId", "The security token included in the request is invalid", 403, 401, "invalid"),
        ("InvalidSignatureException", f"Signature of {KEY_ID} with {KEY}.", 400, 401, "of [key] with [key]"),
        ("ExpiredTokenException", "The security token included in the request is expired", 400, 401, "expired"),
        ("AccessDeniedException", f"{WHO}cloudwatch:GetMetricData because no", 400, 403, "cloudwatch:GetMetricData"),
        ("AccessDenied", f"{WHO}cloudwatch:GetMetricData on resource: arn:aws", 403, 403, "cloudwatch:GetMetricData"),
        ("AccessDeniedException", "User not enabled for cost explorer access", 400, 403, "not enabled for cost"),
        ("SomethingNew", "", 403, 403, "SomethingNew"),
    ],
)
def test_refused_keys_are_told_from_missing_permissions(
    cloud: Cloud, code: str, message: str, status: int, kind: int, said: str
) -> None:
    cloud.instead["GetMetricData"] = [refusal(code, message, status)]
    error = refused(CredentialError, lambda: cloud.provider().fetch(USAGE, WEEK, None))
    assert (error.status, said in error.said, SPEC.key_needed in str(error)) == (kind, True, True)
    assert "jane" not in str(error)
    assert KEY_ID not in str(error)
    assert cloud.count("GetMetricData") == 1


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ValidationException", 400, ProviderError),
        ("DataUnavailableException", 400, ProviderError),
        ("RequestTimeTooSkewed", 403, ProviderError),
        ("InvalidNextTokenException", 400, CursorRefusedError),
    ],
)
def test_other_refusals(cloud: Cloud, code: str, status: int, kind: type[ProviderError]) -> None:
    cloud.instead["GetCostAndUsage"] = [refusal(code, "No.", status)]
    cloud.charge(AT.date(), "USE1-NovaLite-input-tokens", "1")
    assert code in str(refused(kind, lambda: cloud.provider().fetch(COSTS, WEEK, None)))


@pytest.mark.parametrize(
    "code", ["ThrottlingException", "Throttling", "LimitExceededException", "TooManyRequestsException"]
)
def test_limits_that_come_as_400_are_waited_for(cloud: Cloud, code: str) -> None:
    time = Time()
    cloud.instead["GetMetricData"] = [refusal(code, "Rate exceeded")] * 2
    assert cloud.provider(time.budget()).fetch(USAGE, WEEK, None).rows
    assert time.sleeps == [1, 2]
    cloud.instead["GetMetricData"] = [refusal(code, "Rate exceeded")] * 5
    error = refused(ProviderUnavailableError, lambda: cloud.provider().fetch(USAGE, WEEK, None))
    assert str(error).startswith(f"Amazon CloudWatch limits requests ({code}), at the last of 5 tries")


def test_a_wrong_clock_is_no_wrong_key(cloud: Cloud) -> None:
    message = "Signature expired: 20261120T103000Z is now earlier than 20261120T103500Z"
    cloud.instead["ListMetrics"] = [refusal("InvalidSignatureException", message)]
    assert str(refused(ProviderError, lambda: cloud.provider().names())).endswith(": set the clock.")


def test_no_time_is_no_question(cloud: Cloud) -> None:
    refused(ProviderUnavailableError, lambda: cloud.provider(Time().budget(0)).owner())
    assert cloud.asked == []


def test_redirects_are_not_followed(cloud: Cloud) -> None:
    cloud.instead["ListMetrics"] = [httpx.Response(307, headers={"location": "https://elsewhere.test/"})]
    assert "not followed" in str(refused(ProviderError, lambda: cloud.provider().names()))


def test_a_refusal_without_readable_words_is_one(cloud: Cloud) -> None:
    cloud.instead["GetCallerIdentity"] = [httpx.Response(403, text="<html>")]
    assert refused(CredentialError, lambda: cloud.provider().owner()).status == 403


def test_a_role_is_taken_on_once_and_asks_for_all_the_rest(cloud: Cloud) -> None:
    provider = cloud.provider(role_arn=ROLE)
    provider.owner()
    assert provider.fetch(USAGE, WEEK, None).rows
    assert [name for _, name, _ in cloud.asked][:2] == ["AssumeRole", "GetCallerIdentity"]
    assert cloud.count("AssumeRole") == 1
    assert cloud.signed[0] == KEY_ID
    assert set(cloud.signed[1:]) == {ASSUMED_ID}


def test_a_role_that_is_not_granted_is_named_as_the_missing_permission(cloud: Cloud) -> None:
    body = (
        f"<ErrorResponse><Error><Code>AccessDenied</Code><Message>{WHO}sts:AssumeRole</Message></Error></ErrorResponse>"
    )
    cloud.instead["AssumeRole"] = [httpx.Response(403, text=body)] * 2
    provider = cloud.provider(role_arn=ROLE)
    for _ in range(2):  # it does not ask as itself the second time
        assert refused(CredentialError, provider.owner).said == "sts:AssumeRole is not allowed"


def test_the_machine_may_be_who_asks(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAF1T4H7K2N5Q8S3V6")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    http = httpx.Client(transport=httpx.MockTransport(cloud.answer))
    SPEC.connect("ambient", http, Time().budget(), None, {"region": "eu-central-1"}).owner()
    assert cloud.signed == ["AKIAF1T4H7K2N5Q8S3V6"]
    error = refused(
        CredentialError,
        lambda: SPEC.connect("ambient", http, Time().budget(), "https://a.test", {"region": "eu-central-1"}),
    )
    assert "no base_url" in str(error)


def test_a_machine_may_have_no_credentials(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    http = httpx.Client(transport=httpx.MockTransport(cloud.answer))
    provider = SPEC.connect("ambient", http, Time().budget(), None, {"region": "eu-central-1"})
    assert str(refused(CredentialError, provider.owner)).startswith("There are no credentials of AWS on this machine.")


def test_keys_of_an_account_do_not_depend_on_the_machine(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody-has-it")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://elsewhere.test")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAF1T4H7K2N5Q8S3V6")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the machine")
    cloud.provider().owner()
    assert (set(cloud.signed), {region for region, *_ in cloud.asked}) == ({KEY_ID}, {"eu-central-1"})


def test_keys_are_tried_for_what_they_are_here_for(cloud: Cloud) -> None:
    cloud.instead["ListMetrics"] = [refusal("AccessDenied", f"{WHO}cloudwatch:ListMetrics because no policy")]
    assert refused(CredentialError, cloud.provider().owner).said == "cloudwatch:ListMetrics is not allowed"


@pytest.mark.parametrize(
    ("key", "code", "message", "found"),
    [
        (CREDENTIAL, "UnrecognizedClientException", "It is invalid.", UNKNOWN_KEY),
        (CREDENTIAL, "ExpiredTokenException", "It is expired", EXPIRED),
        (CREDENTIAL, "AccessDeniedException", f"{WHO}cloudwatch:ListMetrics", MISSING_PERMISSION),
        ("ABSKabc", "UnrecognizedClientException", "", WRONG_KIND),
    ],
)
def test_what_is_wrong_is_one_sentence(cloud: Cloud, key: str, code: str, message: str, found: str) -> None:
    cloud.instead["ListMetrics"] = [refusal(code, message)]
    said = diagnose(SPEC, key, refused(CredentialError, lambda: cloud.provider().names()))
    assert (said.code, said.advice) == (found, SPEC.key_needed)
