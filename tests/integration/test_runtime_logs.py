"""What a function logs: one line of JSON each, with its id, and no secret in it, however it got there."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from functions import events, logs
from functions.logs import FunctionFailedError, entry, logger, redact
from shared.config import Settings
from tests.fixtures.events import Context, load

SETTINGS = {
    "DATABASE_URL": "postgresql://owner:p%40ss-of-the-database@db.example.com/tracker",
    "API_KEY": 'quoted"bootstrap\\key',
    "KEY_PEPPER": "pepper-pepper-pepper",
    "ANTHROPIC_ADMIN_KEY": "sk-ant-admin01-abcdefghijklmnop",
    "CONTEXT_VAULT_API_KEY": "vault-key-0123456789",
}
PLANTED = (*SETTINGS.values(), "p@ss-of-the-database", "p%40ss-of-the-database")


def fail(text: str) -> None:
    raise ValueError(text)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    logs.hide(Settings.load(SETTINGS))
    handler: Any = logger.registered_handler
    # Not `setStream`, which flushes the one before: a tracker that a test opened left it at a stream that is closed.
    before, handler.stream = handler.stream, io.StringIO()
    yield handler.stream
    handler.stream = before


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


@pytest.mark.parametrize("secret", PLANTED)
def test_a_known_secret_is_in_no_part_of_a_line(log: io.StringIO, secret: str) -> None:
    logger.info("asked with %s", secret, extra={"header": {"x-api-key": secret}, "body": json.dumps([secret])})
    try:
        fail(f"{secret} was refused")
    except ValueError:
        logger.exception("refused")
    assert not any(spelling in log.getvalue() for spelling in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1]))
    assert [line["message"] for line in lines(log)] == ["asked with ***", "refused"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sk-ant-api03-AAAAAAAAAAAA", "sk-ant-***"),
        ("sk-proj-AAAAAAAAAAAA and sk-or-v1-0123456789", "sk-proj-*** and sk-or-***"),
        ("postgresql://me:secret@host/db", "postgresql://me:***@host/db"),
        ("postgresql+asyncpg://me:secret@host/db", "postgresql+asyncpg://me:***@host/db"),
        ("https://user:secret@proxy:3128", "https://user:***@proxy:3128"),
        ("Authorization: Bearer abcdefghijkl", "Authorization: Bearer ***"),
        ("host=db password=secret user=me", "host=db password=*** user=me"),
        ("act_7k2m9x4c1p8r3fq0v6n2t5w8y1zbdhjm", "act_***"),
        ("act_...1p8r", "act_...1p8r"),
        ("https://s3/x?X-Amz-Signature=abc&X-Amz-Date=1", "https://s3/x?X-Amz-Signature=***&X-Amz-Date=1"),
        ("task-force, mask-making", "task-force, mask-making"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_too(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_each_part_of_a_credential_is_hidden(log: io.StringIO) -> None:
    logs.hide_texts(["AKIAPLANTED000000000:planted/secret+of=aws:planted-token-of-aws"])
    logger.info("planted/secret+of=aws and planted-token-of-aws of AKIAPLANTED000000000")
    assert lines(log)[-1]["message"] == "*** and *** of ***"


def test_a_password_with_quotes_leaves_the_line_json(log: io.StringIO) -> None:
    logger.info('password=ab"cd\\ef', extra={"url": "postgresql://me:a\"b'c@host/db"})
    assert len(lines(log)) == 1


def test_lines_of_libraries_are_redacted(log: io.StringIO) -> None:  # noqa: ARG001 - hides the settings
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        logs.guard_libraries()
        logs.guard_libraries()
        try:
            fail(SETTINGS["KEY_PEPPER"])
        except ValueError:
            logging.getLogger("some.library").exception("with %s", SETTINGS["ANTHROPIC_ADMIN_KEY"])
    finally:
        root.removeHandler(handler)
    assert "with ***" in stream.getvalue()
    assert not any(secret in stream.getvalue() for secret in PLANTED)


def test_each_invocation_has_its_own_id_and_nothing_of_the_one_before(log: io.StringIO) -> None:
    @entry(events.of_work)
    def function(event: dict[str, Any], _context: object) -> dict[str, Any]:
        if "run" in event:
            logger.append_keys(account="of the first")
        logger.info("working")
        return {}

    function({"run": 7}, Context(aws_request_id="first"))
    function(load("schedule"), Context(aws_request_id="second"))
    first, second = lines(log)
    assert (first["correlation_id"], first["function_request_id"], first["account"]) == (
        "run-7",
        "first",
        "of the first",
    )
    assert (second["correlation_id"], second["function_request_id"]) == ("2026-11-20T10:07:00Z", "second")
    assert "account" not in second


def test_a_request_is_logged_under_the_id_of_api_gateway(log: io.StringIO) -> None:
    @entry(events.of_request)
    def function(_event: dict[str, Any], _context: object) -> dict[str, Any]:
        logger.info("answered")
        return {}

    function(load("api_health"), Context())
    assert lines(log)[0]["correlation_id"] == load("api_health")["requestContext"]["requestId"]
    with pytest.raises(FunctionFailedError, match=r"payload format 2\.0"):
        function({**load("api_health"), "version": "1.0"}, Context())


def test_events_are_not_logged_whatever_the_environment_says(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_LOGGER_LOG_EVENT", "true")

    @entry(events.of_request)
    def function(_event: dict[str, Any], _context: object) -> dict[str, Any]:
        return {}

    function(load("api_monthly"), Context())
    assert log.getvalue() == ""


def test_a_failure_is_logged_whole_and_raised_without_secrets(log: io.StringIO) -> None:
    @entry(events.of_work)
    def function(_event: dict[str, Any], _context: object) -> dict[str, Any]:
        raise RuntimeError(f"cannot open {SETTINGS['DATABASE_URL']}")

    with pytest.raises(FunctionFailedError, match=r"RuntimeError: cannot open \*\*\*") as failure:
        function({}, Context())
    assert failure.value.__cause__ is None
    assert failure.value.__suppress_context__
    [line] = lines(log)
    assert line["exception_name"] == "RuntimeError"
    assert "in function" in line["exception"]
    assert not any(secret in log.getvalue() for secret in PLANTED)


def test_tracing_is_off_unless_the_parameter_says_otherwise(log: io.StringIO) -> None:
    def handler(_event: dict[str, Any], _context: object) -> dict[str, Any]:
        return {}

    assert logs.traced(handler, {}) is handler
    assert logs.traced(handler, {"POWERTOOLS_TRACE_DISABLED": "true"}) is handler
    # The X-Ray SDK does not ship: Lambda's own segments remain, and nothing breaks.
    assert logs.traced(handler, {"POWERTOOLS_TRACE_DISABLED": "false"}) is handler
    assert "X-Ray SDK" in log.getvalue()


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ({"run": "1"}, "run: "),
        ({"run": 0}, "run: "),
        ({"run": 1, "time": "2026-11-20T10:07:00Z"}, "not both"),
        ({"time": "tomorrow"}, "not an instant"),
        ({"tiem": "2026-11-20T10:07:00Z"}, "tiem: "),
        ("collect", "the event: "),
        (None, "the event: "),
    ],
)
def test_an_event_that_is_none_of_ours_is_refused_with_a_sentence(event: object, says: str) -> None:
    with pytest.raises(events.EventError, match=r"^Send .*\.$") as error:
        events.work(event)
    assert says in str(error.value)


def test_events_of_schedules_and_by_hand() -> None:
    due = events.scheduled(load("schedule"))
    assert due is not None
    assert due.isoformat() == "2026-11-20T10:07:00+00:00"
    assert events.scheduled({}) is None
    assert events.work({}) == events.Work()
    assert events.work(load("worker")).run == 1
