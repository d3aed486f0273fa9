"""Every setting, read once: the environment over a local `.env`, checked at start, secrets never shown."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from shared.core.periods import parse_zone
from shared.dotenv import default_home, read_dotenv
from shared.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

_CREDENTIALS = (
    "anthropic_admin_key",
    "anthropic_admin_api_key",
    "anthropic_api_key",
    "openai_admin_key",
    "openrouter_api_key",
    "xai_management_key",
    "moonshot_api_key",
    "deepseek_api_key",
    "litellm_api_key",
)

# Parameters of SQLAlchemy's asyncpg dialect that libpq refuses.
_ASYNCPG_ONLY = {"prepared_statement_cache_size", "prepared_statement_name_func", "statement_cache_size"}

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def _database_url(value: str) -> SecretStr:
    scheme, _, driver = urlsplit(value).scheme.partition("+")
    parts = urlsplit(value)
    if scheme not in {"postgresql", "postgres"} or not (parts.hostname or "host=" in parts.query):
        raise ValueError("write postgresql://user:password@host/database")
    query = parse_qsl(parts.query, keep_blank_values=True)
    if driver == "asyncpg":
        query = [("sslmode" if key == "ssl" else key, text) for key, text in query if key not in _ASYNCPG_ONLY]
    _ = parts.port  # raises ValueError where it is not a number
    # safe="/" keeps `host=/path/of/a/socket` readable; libpq accepts both.
    return SecretStr(urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(query, safe="/"), "")))


def _secret(value: str) -> SecretStr:
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("it holds a space or a character that no key has; paste it again")
    return SecretStr(value)


def _zone_name(value: str) -> str:
    return parse_zone(value).key


def _origins(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _check_origins(value: tuple[str, ...]) -> tuple[str, ...]:
    for origin in value:
        parts = urlsplit(origin)
        if origin != "*" and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.path):
            raise ValueError(f"write origins like https://app.example.com, separated by commas, not {origin!r}")
    return value


def _path(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("begin it with a slash, such as /api/memories")
    return value


def _header(value: str) -> str:
    if not _HEADER_NAME.fullmatch(value):
        raise ValueError("write the name of an HTTP header, such as X-API-Key")
    return value


def _address(value: str) -> str:
    # Brings an HTTP library along, a tenth of a second of a cold start; defaults are not checked, so few pay it.
    from shared.addresses import check_address  # noqa: PLC0415 - not every setting is one

    return check_address(value)


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


Secret = Annotated[SecretStr, BeforeValidator(_secret)]
DatabaseUrl = Annotated[SecretStr, BeforeValidator(_database_url)]
BaseUrl = Annotated[str, AfterValidator(_address)]


class Settings(BaseModel):
    """All settings; the environment variable of a field is its name in capitals (`home` is `COST_TRACKER_HOME`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    database_url: DatabaseUrl | None = None
    database_url_direct: DatabaseUrl | None = None
    api_key: Secret | None = None
    key_pepper: Secret | None = None

    anthropic_admin_key: Secret | None = None
    anthropic_admin_api_key: Secret | None = None
    anthropic_api_key: Secret | None = None
    openai_admin_key: Secret | None = None
    openrouter_api_key: Secret | None = None
    xai_management_key: Secret | None = None
    moonshot_api_key: Secret | None = None
    deepseek_api_key: Secret | None = None
    litellm_api_key: Secret | None = None
    anthropic_base_url: BaseUrl = "https://api.anthropic.com"
    openai_base_url: BaseUrl = "https://api.openai.com/v1"
    openrouter_base_url: BaseUrl = "https://openrouter.ai/api/v1"
    x_ai_base_url: BaseUrl = "https://management-api.x.ai"
    moonshotai_base_url: BaseUrl = "https://api.moonshot.ai/v1"
    deepseek_base_url: BaseUrl = "https://api.deepseek.com"
    litellm_base_url: BaseUrl = "http://127.0.0.1:4000"
    anthropic_reports: Literal["stable", "analytics", "stable+claude-code", "analytics+claude-code"] = "stable"

    context_vault_url: BaseUrl | None = None
    context_vault_path: Annotated[str, AfterValidator(_path)] = "/api/memories"
    context_vault_method: Annotated[Literal["POST", "PUT", "PATCH"], BeforeValidator(_upper)] = "POST"
    context_vault_auth_header: Annotated[str, AfterValidator(_header)] = "X-API-Key"
    context_vault_api_key: Secret | None = None
    context_vault_workspace: str = "openclaw_default"
    context_vault_envelope: Literal["full", "bare"] = "full"
    context_vault_content: Literal["object", "text"] = "object"
    context_vault_names: Literal["ids", "short"] = "ids"

    collection_interval_hours: Annotated[int, Field(ge=1, le=168)] = 6
    collection_lookback_days: Annotated[int, Field(ge=1, le=90)] = 3
    collection_backfill_days: Annotated[int, Field(ge=1, le=400)] = 90
    timezone: Annotated[str, AfterValidator(_zone_name)] = "UTC"
    cors_origins: Annotated[tuple[str, ...], BeforeValidator(_origins), AfterValidator(_check_origins)] = ()
    export_bucket: str | None = None
    price_catalogue_url: BaseUrl | None = None
    environment: str = "local"
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)] = "INFO"
    home: Path = Path("~/.ai-cost-tracker")
    port: Annotated[int, Field(ge=0, le=65535)] = 8000

    @classmethod
    def load(
        cls,
        environ: Mapping[str, str] | None = None,
        dotenv_path: Path | None = None,
        parameters: Mapping[str, str] = MappingProxyType({}),
    ) -> Settings:
        """Read settings from the environment (by default this process's), over those of a `.env` file if it exists.

        Empty values count as not set. `parameters`, by the same names, stand in where neither has one.

        Raises:
            SettingError: one sentence that names the first malformed setting and never its value, if it is secret.
        """
        given = {**(read_dotenv(dotenv_path) if dotenv_path else {}), **(os.environ if environ is None else environ)}
        texts = {
            field: given.get(name, "").strip() or parameters.get(name, "").strip() for field, name in names().items()
        }
        values = {field: text for field, text in texts.items() if text}
        home = Path(values.get("home", "") or default_home())
        try:
            return cls.model_validate({**values, "home": home.expanduser().absolute()})
        except ValidationError as error:
            raise SettingError(_sentence(error)) from None  # its chain would print the values

    @property
    def zone(self) -> ZoneInfo:
        """The zone that days are cut in by default."""
        return parse_zone(self.timezone)

    def credentials(self) -> dict[str, str]:
        """Return the provider keys that are set, by the names of their settings; the registry knows which counts."""
        found = {names()[field]: getattr(self, field) for field in _CREDENTIALS}
        return {name: secret.get_secret_value() for name, secret in found.items() if secret is not None}

    def base_url(self, provider: str) -> str | None:
        """Return the address set for a provider, None where there is no such setting."""
        url: str | None = getattr(self, f"{provider.replace('-', '_')}_base_url", None)
        return url

    def required(self, field: str) -> str:
        """Return a setting as text.

        Raises:
            SettingError: it is not set.
        """
        value = getattr(self, field)
        if value is None:
            raise SettingError(f"Set {names()[field]}; .env.example says what it is for.")
        return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def names() -> dict[str, str]:
    """Return the environment variable of each field."""
    return {field: "COST_TRACKER_HOME" if field == "home" else field.upper() for field in Settings.model_fields}


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    reason = first["msg"].removeprefix("Value error, ").rstrip(".")
    return f"The setting {names()[str(first['loc'][0])]} is malformed: {reason[0].lower()}{reason[1:]}."
