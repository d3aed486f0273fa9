"""The migration function without a database: what it is sent, and how CloudFormation hears of it."""

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functions import cloudformation, events, migrate
from functions.cloudformation import Answer, AnswerError
from functions.logs import FunctionFailedError, logger
from shared.errors import SettingError
from tests.fixtures.events import Context, load
from tests.fixtures.events.answers import SIGNATURE, listening


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DATABASE_URL", "DATABASE_URL_DIRECT", "SSM_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def log() -> Iterator[io.StringIO]:
    handler: Any = logger.registered_handler
    # Not `setStream`, which flushes the one before: a tracker that a test opened left it at a stream that is closed.
    before, handler.stream = handler.stream, io.StringIO()
    yield handler.stream
    handler.stream = before


@pytest.mark.parametrize("name", ["cloudformation_create", "cloudformation_update"])
def test_a_missing_setting_is_a_failure_that_names_it(name: str, log: io.StringIO) -> None:
    with listening() as answers:
        migrate.handler(load(name, ResponseURL=answers.url), Context())
    answer = answers.only()
    assert answer["Status"] == "FAILED"
    assert "DATABASE_URL" in answer["Reason"]
    assert load(name)["RequestId"] in log.getvalue()


@pytest.mark.parametrize("name", ["cloudformation_delete", "cloudformation_rollback"])
def test_what_needs_no_database_succeeds_without_one(name: str) -> None:
    with listening() as answers:
        result = migrate.handler(load(name, ResponseURL=answers.url), Context())
    answer, event = answers.only(), load(name)
    assert answer["Status"] == result["status"] == "SUCCESS"
    ids = ("StackId", "RequestId", "LogicalResourceId", "PhysicalResourceId")
    assert {key: answer[key] for key in ids} == {key: event[key] for key in ids}


def test_a_template_newer_than_the_artefact_is_refused() -> None:
    event = load("cloudformation_update")
    event["ResourceProperties"]["SchemaHash"] = "9999-0123456789ab"
    with listening() as answers:
        migrate.handler({**event, "ResponseURL": answers.url}, Context())
    assert answers.only()["Status"] == "FAILED"
    assert "build again" in answers.only()["Reason"]


def test_an_unknown_request_is_answered_too() -> None:
    with listening() as answers:
        migrate.handler(load("cloudformation_create", ResponseURL=answers.url, RequestType="Upsert"), Context())
    assert answers.only()["Status"] == "FAILED"
    assert "'Upsert'" in answers.only()["Reason"]


def test_an_unexpected_failure_is_answered_and_logged(log: io.StringIO) -> None:
    def explode(**_how: bool) -> Any:  # noqa: ANN401 - never returns
        raise RuntimeError("something nobody thought of")

    with listening() as answers:
        request = events.custom_resource(load("cloudformation_create", ResponseURL=answers.url))
        migrate.serve(request, explode, lambda: 30.0)
    assert answers.only()["Status"] == "FAILED"
    assert "nobody thought of" not in answers.only()["Reason"]
    assert "nobody thought of" in log.getvalue()


def test_work_that_hangs_is_answered_before_the_deadline() -> None:
    context, released = Context(seconds=1.5), threading.Event()

    def hang(**_how: bool) -> Any:  # noqa: ANN401 - never returns in time
        released.wait(10)
        raise SettingError("Too late.")

    with listening() as answers:
        request = events.custom_resource(load("cloudformation_create", ResponseURL=answers.url))
        migrate.serve(request, hang, lambda: context.get_remaining_time_in_millis() / 1000)
        assert context.get_remaining_time_in_millis() > 0
    released.set()
    assert answers.only()["Status"] == "FAILED"
    assert "did not end" in answers.only()["Reason"]


@pytest.mark.parametrize("statuses", [(), (500,), (0,), (503, 0, 500)])
def test_the_answer_is_tried_again_until_it_arrives_once(statuses: tuple[int, ...]) -> None:
    with listening(statuses) as answers:
        migrate.handler(load("cloudformation_delete", ResponseURL=answers.url), Context())
    assert answers.only()["Status"] == "SUCCESS"
    assert answers.tries == len(statuses) + 1
    assert answers.headers[0].get("content-type") == ""  # what the signature covers


@pytest.mark.parametrize("statuses", [(403,), (500,) * 5])
def test_an_answer_that_does_not_arrive_fails_the_invocation_so_that_lambda_repeats_it(
    statuses: tuple[int, ...], log: io.StringIO
) -> None:
    with listening(statuses) as answers, pytest.raises(FunctionFailedError) as failure:
        migrate.handler(load("cloudformation_delete", ResponseURL=answers.url), Context())
    assert answers.tries == len(statuses)
    assert f"status {statuses[0]}" in str(failure.value)
    for text in (str(failure.value), log.getvalue()):
        assert SIGNATURE not in text
        assert "/answer" not in text


def test_no_try_begins_without_time() -> None:
    with listening() as answers:
        request = events.custom_resource(load("cloudformation_delete", ResponseURL=answers.url))
        with pytest.raises(AnswerError, match="no time was left"):
            cloudformation.send(request, Answer("SUCCESS", "Done."), "an-id", lambda: 0.2)
    assert answers.tries == 0


def test_an_answer_fits_into_what_cloudformation_takes() -> None:
    with listening() as answers:
        request = events.custom_resource(load("cloudformation_delete", ResponseURL=answers.url))
        cloudformation.send(request, Answer("FAILED", "ü" * 5000), "an-id", lambda: 30.0)
    assert len(json.dumps(answers.bodies[0])) <= 4096


def test_a_reason_holds_no_secret() -> None:
    with listening() as answers:
        request = events.custom_resource(load("cloudformation_delete", ResponseURL=answers.url))
        reason = "It failed at postgresql://owner:hunter2hunter2@db.example.com/x."
        cloudformation.send(request, Answer("FAILED", reason), "an-id", lambda: 30.0)
    assert answers.bodies[0]["Reason"] == "It failed at postgresql://owner:***@db.example.com/x."


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ({}, "RequestType"),
        ({"time": "2026-11-20T10:07:00Z"}, "RequestType"),
        (load("cloudformation_create", ResponseURL=""), "ResponseURL"),
        (load("cloudformation_create", ResponseURL="http://example.com/?X-Amz-Signature=abcdef"), "ResponseURL"),
        ([], "the event"),
    ],
)
def test_what_cloudformation_did_not_send_is_refused_with_a_sentence(event: Any, says: str, log: io.StringIO) -> None:  # noqa: ANN401 - any JSON
    with pytest.raises(FunctionFailedError, match="nly CloudFormation") as failure:
        migrate.handler(event, Context())
    assert says in str(failure.value)
    assert "abcdef" not in str(failure.value) + log.getvalue()
