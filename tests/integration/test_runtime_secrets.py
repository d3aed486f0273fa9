"""Settings out of SSM: fetched together, remembered, changed without a deployment, and missed with a sentence."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from moto import mock_aws
from psycopg import sql

from functions import runtime
from functions.ssm import Parameters
from shared.errors import SettingError
from shared.store.database import PasswordRefusedError, ping
from tests.integration.migrating import url_of

PREFIX = "/ai-cost-tracker/test/"
Put = Callable[[str, str], None]


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def put() -> Iterator[Put]:
    with mock_aws():
        client = boto3.client("ssm")

        def one(name: str, value: str) -> None:
            client.put_parameter(Name=PREFIX + name, Value=value, Type="SecureString", Overwrite=True)

        yield one


@pytest.fixture
def role(dsn: str) -> Iterator[Callable[[str], str]]:
    """A role of Postgres that needs its password; called with one, it becomes the password and the URL is returned."""
    name = f"rotated_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(dsn, autocommit=True) as admin:
        row = admin.execute("SHOW hba_file").fetchone()
        assert row is not None
        rules = Path(row[0])
        rules.write_text(f"local all {name} scram-sha-256\n{rules.read_text()}")
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        admin.execute("SELECT pg_reload_conf()")

        def rotate(password: str) -> str:
            admin.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(name), sql.Literal(password)))
            return url_of(dsn).replace("postgres@", f"{name}:{password}@")

        _await_rule(rotate("the-first-password").replace("the-first", "a-wrong"))
        yield rotate
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def _await_rule(wrong_url: str) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            psycopg.connect(wrong_url).close()
        except psycopg.OperationalError:
            return
        time.sleep(0.05)
    raise AssertionError("Postgres does not ask for the password")


def test_parameters_are_settings_and_the_environment_wins(put: Put) -> None:
    for number in range(12):  # more than one page
        put(f"SPARE_{number}", "x")
    put("API_KEY", "from-the-parameters")
    put("TIMEZONE", "Europe/Berlin")
    put("COLLECTION_LOOKBACK_DAYS", "5")
    environ = {"SSM_PREFIX": PREFIX, "TIMEZONE": "Asia/Tokyo", "COLLECTION_LOOKBACK_DAYS": " "}
    settings = runtime.Process(environ).settings()
    assert settings.required("api_key") == "from-the-parameters"
    assert settings.timezone == "Asia/Tokyo"
    assert settings.collection_lookback_days == 5


def test_a_malformed_parameter_is_named_without_its_value(put: Put) -> None:
    put("DATABASE_URL", "mysql://user:secret-of-mine@host/db")
    with pytest.raises(SettingError, match="DATABASE_URL is malformed") as error:
        runtime.Process({"SSM_PREFIX": PREFIX}).settings()
    assert "secret-of-mine" not in str(error.value)


def test_values_are_remembered_and_then_asked_for_again(put: Put) -> None:
    put("API_KEY", "the-first-key")
    parameters = Parameters(PREFIX, max_age=1)
    assert parameters.fetch() == {"API_KEY": "the-first-key"}
    put("API_KEY", "the-second-key")
    assert parameters.fetch() == {"API_KEY": "the-first-key"}
    assert parameters.fetch(fresh=True) == {"API_KEY": "the-second-key"}
    put("API_KEY", "the-third-key")
    time.sleep(1.1)
    assert parameters.fetch() == {"API_KEY": "the-third-key"}


def test_a_process_keeps_its_app_until_a_parameter_changes(put: Put) -> None:
    put("DATABASE_URL", "postgresql://u:password-one@h/db")
    process = runtime.Process({"SSM_PREFIX": PREFIX})
    first = process.app()
    assert process.app() is first
    put("API_KEY", "a-new-key")
    process.settings(fresh=True)
    second = process.app()
    assert second is not first
    assert second.settings.required("api_key") == "a-new-key"
    assert process.app() is second


def test_a_rotated_password_is_asked_for_without_a_deployment(put: Put, role: Callable[[str], str]) -> None:
    put("DATABASE_URL", role("password-of-monday"))
    app = runtime.Process({"SSM_PREFIX": PREFIX}).app()
    app.database.run(ping)
    put("DATABASE_URL", role("password-of-tuesday"))
    app.database.run(ping)  # the open connection outlives the password
    app.database.close()
    app.database.run(ping)
    app.database.close()


def test_a_password_that_stays_wrong_is_said_so_after_one_more_look(put: Put, role: Callable[[str], str]) -> None:
    put("DATABASE_URL", role("password-of-monday").replace("of-monday", "of-nobody"))
    app = runtime.Process({"SSM_PREFIX": PREFIX}).app()
    with pytest.raises(PasswordRefusedError) as error:
        app.database.run(ping)
    assert "of-nobody" not in str(error.value)


def test_without_a_prefix_aws_is_not_asked() -> None:
    environ = {"DATABASE_URL": "postgresql://u:pw@h/db", "SSM_PREFIX": " "}
    assert runtime.Process(environ).settings().required("database_url") == "postgresql://u:pw@h/db"


class _Ssm(BaseHTTPRequestHandler):
    """Answers every call to SSM with what the server holds in `answers`, the last one again and again."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        answers: list[tuple[int, dict[str, Any]]] = self.server.answers  # type: ignore[attr-defined] # set below
        status, answer = answers.pop(0) if len(answers) > 1 else answers[0]
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def ssm(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Ssm) as server:
        answers: list[tuple[int, dict[str, Any]]] = []
        server.answers = answers  # type: ignore[attr-defined] # read by the handler
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", f"http://127.0.0.1:{server.server_address[1]}")
        yield answers
        server.shutdown()


DENIED = (400, {"__type": "AccessDeniedException", "message": "User is not authorized to ssm:GetParametersByPath"})


def found(value: str) -> tuple[int, dict[str, Any]]:
    return 200, {"Parameters": [{"Name": f"{PREFIX}API_KEY", "Value": value, "Type": "SecureString"}]}


def test_a_role_that_may_not_read_is_a_sentence(ssm: list[tuple[int, dict[str, Any]]]) -> None:
    ssm.append(DENIED)
    with pytest.raises(SettingError, match=r"\(AccessDeniedException\).*ssm:GetParametersByPath") as error:
        runtime.Process({"SSM_PREFIX": PREFIX}).app()
    assert PREFIX in str(error.value)


def test_what_was_read_stands_in_while_ssm_does_not_answer(ssm: list[tuple[int, dict[str, Any]]]) -> None:
    ssm += [found("the-first-key"), (500, {"__type": "InternalServerError"})]
    parameters = Parameters(PREFIX, max_age=0)
    assert parameters.fetch() == {"API_KEY": "the-first-key"}
    assert parameters.fetch() == {"API_KEY": "the-first-key"}
    ssm[:] = [found("the-second-key")]
    # For half a minute nobody waits for SSM again.
    assert parameters.fetch() == {"API_KEY": "the-first-key"}
