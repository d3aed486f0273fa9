from __future__ import annotations

import itertools
import tomllib
from pathlib import Path

import pytest

from shared import VERSION
from shared.config import _CREDENTIALS, Settings, names
from shared.dotenv import read_dotenv
from shared.errors import SettingError

ROOT = Path(__file__).parents[2]


def test_defaults() -> None:
    settings = Settings.load({})
    assert settings.database_url is None
    assert settings.zone.key == "UTC"
    assert (settings.port, settings.collection_interval_hours, settings.cors_origins) == (8000, 6, ())
    assert settings.home.is_absolute()


def test_the_example_lists_every_setting_once_with_its_default() -> None:
    path = ROOT / ".env.example"
    listed = [line.partition("=")[0] for line in path.read_text().splitlines() if line and line[0] != "#"]
    assert listed == list(dict.fromkeys(listed))
    assert set(listed) == set(names().values())
    assert Settings.load({}, path) == Settings.load({})
    shown = {name: value for name, value in read_dotenv(path).items() if value}
    defaults = {field: Settings.model_fields[field].default for field in names()}
    unshown = {"COST_TRACKER_HOME", "CORS_ORIGINS"}
    assert shown == {
        name: str(defaults[field])
        for field, name in names().items()
        if defaults[field] is not None and name not in unshown
    }


def test_every_setting_of_the_example_has_its_line_of_explanation() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    for before, line in itertools.pairwise(lines):
        if line and line[0] != "#":
            assert before.startswith("# ")


def test_the_version_is_the_package_s() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(
        "PORT=1\nENVIRONMENT='from file' # why\nexport LOG_LEVEL=debug\nTIMEZONE=\"europe/berlin\"\n\n# x\n"
    )
    settings = Settings.load({"PORT": "2", "LOG_LEVEL": ""}, path)
    assert (settings.port, settings.environment) == (2, "from file")
    assert (settings.log_level, settings.timezone) == ("INFO", "Europe/Berlin")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("API_KEY=abc", "abc"),
        ("API_KEY = abc # comment", "abc"),
        ("API_KEY=a#c", "a#c"),
        ("API_KEY='a # c'", "a # c"),
        ('API_KEY="a=b=="', "a=b=="),
        ("export API_KEY=abc", "abc"),
        ("API_KEY=", ""),
        ("API_KEY=# nothing", "# nothing"),
        ("API_KEY= # nothing", ""),
    ],
)
def test_lines_of_a_file(tmp_path: Path, line: str, value: str) -> None:
    (tmp_path / ".env").write_text(line + "\n")
    assert read_dotenv(tmp_path / ".env") == {"API_KEY": value}


def test_a_file_that_is_not_settings(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("API_KEY=1\nhello\n")
    with pytest.raises(SettingError, match="Line 2"):
        Settings.load({}, tmp_path / ".env")
    with pytest.raises(SettingError, match="cannot be read"):
        Settings.load({}, tmp_path)
    assert read_dotenv(tmp_path / "none") == {}


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("postgresql://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgres://u:p@h:5433/d?sslmode=require", "postgresql://u:p@h:5433/d?sslmode=require"),
        ("postgresql+asyncpg://u:p@h/d", "postgresql://u:p@h/d"),
        (
            "postgresql+asyncpg://u:p@h/d?ssl=require&prepared_statement_cache_size=0",
            "postgresql://u:p@h/d?sslmode=require",
        ),
        ("postgresql://postgres:@/postgres?host=/tmp/pg", "postgresql://postgres:@/postgres?host=/tmp/pg"),
        ("postgresql://u:p%40ss@h/d", "postgresql://u:p%40ss@h/d"),
    ],
)
def test_database_urls(given: str, url: str) -> None:
    assert Settings.load({"DATABASE_URL": given}).required("database_url") == url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://u:hunter2@h/d"),
        ("DATABASE_URL", "postgresql://"),
        ("DATABASE_URL_DIRECT", "postgresql://u:hunter2@h:port/d"),
        ("API_KEY", "hunter2 hunter2"),
        ("API_KEY", "hunter2\nX: y"),
        ("ANTHROPIC_BASE_URL", "http://api.anthropic.com"),
        ("OPENAI_BASE_URL", "https://me:hunter2@api.openai.com"),
        ("CONTEXT_VAULT_URL", "vault"),
        ("CONTEXT_VAULT_URL", "http://127.0.0.1.example.com"),
        ("CONTEXT_VAULT_PATH", "api"),
        ("CONTEXT_VAULT_METHOD", "GET"),
        ("CONTEXT_VAULT_AUTH_HEADER", "X API Key"),
        ("COLLECTION_INTERVAL_HOURS", "six"),
        ("COLLECTION_INTERVAL_HOURS", "0"),
        ("TIMEZONE", "Berlin"),
        ("CORS_ORIGINS", "app.example.com"),
        ("PORT", "65536"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_malformed_setting_is_one_sentence_that_names_it(name: str, value: str) -> None:
    with pytest.raises(SettingError) as refused:
        Settings.load({name: value})
    message = str(refused.value)
    assert message.startswith(f"The setting {name} is malformed: ")
    assert message.endswith((".", "?."))
    assert "\n" not in message
    assert "hunter2" not in message
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/v1/", "http://localhost:1", "http://[::1]:2", "https://x.y"])
def test_plain_http_is_for_this_machine(url: str) -> None:
    assert Settings.load({"OPENAI_BASE_URL": url}).openai_base_url == url.rstrip("/")


def test_secrets_are_never_shown() -> None:
    secrets = {name: "hunter2" for name in names().values() if name.endswith("_KEY") or name == "KEY_PEPPER"}
    settings = Settings.load({**secrets, "DATABASE_URL": "postgresql://u:hunter2@h/d"})
    assert len(secrets) == 12
    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()
    assert settings.required("api_key") == "hunter2"


def test_credentials_by_the_names_of_their_settings() -> None:
    environ = {"ANTHROPIC_API_KEY": "sk-ant-api03-a", "OPENAI_ADMIN_KEY": "b", "API_KEY": "c"}
    settings = Settings.load(environ)
    assert settings.credentials() == {"ANTHROPIC_API_KEY": "sk-ant-api03-a", "OPENAI_ADMIN_KEY": "b"}
    assert set(_CREDENTIALS) == {
        field for field, name in names().items() if name.endswith("_KEY") and not name.startswith(("API", "CONTEXT"))
    }


def test_base_urls_by_provider() -> None:
    settings = Settings.load({"OPENAI_BASE_URL": "http://localhost:1/"})
    assert settings.base_url("openai") == "http://localhost:1"
    assert settings.base_url("anthropic") == "https://api.anthropic.com"
    assert settings.base_url("nobody") is None


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(SettingError, match="Set DATABASE_URL;"):
        Settings.load({}).required("database_url")


def test_origins() -> None:
    assert Settings.load({"CORS_ORIGINS": "https://a.b, http://localhost:3000"}).cors_origins == (
        "https://a.b",
        "http://localhost:3000",
    )
