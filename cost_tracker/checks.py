"""What `doctor` looks at: one finding per part, each with what to do next where it is not well."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import psycopg

from cost_tracker.client import Client, ClientError
from infra.local import postgres
from shared.errors import CostTrackerError, ProviderError, SettingError
from shared.providers.http import Budget
from shared.providers.registry import REGISTRY
from shared.store.database import connect
from shared.store.migrate import load, version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shared.config import Settings
    from shared.store.database import Connection

_PATIENCE_SECONDS = 15.0
_CLOCK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One part: `state` is `ok`, `off` (not set up, which may be meant) or `failed`; `advice` is the next step."""

    part: str
    state: str
    what: str
    advice: str = ""


def here(settings: Settings) -> Iterator[Finding]:
    """Yield the findings of this machine's tracker, or of `DATABASE_URL`; nothing is changed or sent to a vault."""
    yield from _database(settings)
    yield _pooler(settings)
    yield from _keys(settings)
    yield from _providers(settings)
    yield _vault(settings)


def there(client: Client) -> Iterator[Finding]:
    """Yield the findings of a deployed tracker, as far as its API tells."""
    for part, path, good in (
        ("api", "/health", "it answers"),
        ("key and database", "/health/ready", "the key is accepted and the database is connected"),
    ):
        try:
            client.get(path)
        except ClientError as error:
            yield Finding(part, "failed", str(error), "Check --url and --key, then the function's log.")
            return
        yield Finding(part, "ok", good)
    coverage = client.get("/costs/daily")["coverage"]
    until = coverage["complete_until"]
    if until is None:
        yield Finding("collection", "off", "no account is complete yet", "Run `cost-tracker collect`.")
    else:
        yield Finding("collection", "ok", f"figures are complete until {until}")


def _database(settings: Settings) -> Iterator[Finding]:
    try:
        dsn = _dsn(settings)
    except SettingError as error:
        yield Finding("database", "failed", str(error))
        return
    if dsn is None:
        yield Finding("database", "off", f"nothing in {settings.home} yet", "Run `cost-tracker init` or `make run`.")
        return
    try:
        with connect(dsn) as connection:
            yield Finding("database", "ok", f"Postgres {connection.info.server_version // 10000} answers")
            yield _migrations(connection)
            yield _clock(connection)
    except psycopg.Error:
        # The driver's own words may name the host and the user.
        yield Finding("database", "failed", "it does not answer", "Check DATABASE_URL, and that the server is awake.")


def _dsn(settings: Settings) -> str | None:
    if settings.database_url is not None:
        return settings.required("database_url")
    return postgres.start(settings.home) if (settings.home / "postgres").exists() else None


def _migrations(connection: Connection) -> Finding:
    known, applied = len(load()), version(connection)
    if applied < known:
        return Finding("migrations", "failed", f"{known - applied} of {known} are missing", "Run `cost-tracker init`.")
    if applied > known:
        return Finding("migrations", "ok", f"the database is at {applied}, ahead of this code ({known})")
    return Finding("migrations", "ok", f"all {known} are applied")


def _clock(connection: Connection) -> Finding:
    row = connection.execute("SELECT clock_timestamp() AS now").fetchone()
    apart = abs((datetime.now(UTC) - row["now"]).total_seconds()) if row else 0.0
    if apart > _CLOCK_SECONDS:
        return Finding("clock", "failed", f"{apart:.0f} s apart from the database", "Set this machine's clock by NTP.")
    return Finding("clock", "ok", "in step with the database")


def _pooler(settings: Settings) -> Finding:
    if settings.database_url is None:
        return Finding("pooler", "off", "the embedded Postgres needs none")
    pooled = _is_pooled(settings.required("database_url"))
    direct = settings.database_url_direct and settings.required("database_url_direct")
    if pooled and not direct:
        return Finding("pooler", "failed", "migrations would go through it", "Set DATABASE_URL_DIRECT as well.")
    if direct and _is_pooled(direct):
        return Finding("pooler", "failed", "DATABASE_URL_DIRECT leads to it too", "Use the direct URL there.")
    return Finding("pooler", "ok", "functions go through it, migrations do not" if pooled else "direct connection")


def _is_pooled(url: str) -> bool:
    # Neon marks the host of its pooler; PgBouncer's usual port is 6432.
    parts = urlsplit(url)
    return "-pooler." in (parts.hostname or "") or parts.port == 6432  # noqa: PLR2004 - PgBouncer


def _keys(settings: Settings) -> Iterator[Finding]:
    for name, field, file in (("API_KEY", "api_key", "api-key"), ("KEY_PEPPER", "key_pepper", "key-pepper")):
        kept = settings.home / file
        if getattr(settings, field) is not None:
            yield Finding(name, "ok", "set")
        elif not kept.exists():
            yield Finding(name, "off", "not set", "A local run makes one; on AWS store it as an SSM parameter.")
        elif stat.S_IMODE(kept.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
            yield Finding(name, "failed", f"others may read {kept}", f"Run: chmod 600 {kept}")
        else:
            yield Finding(name, "ok", f"kept in {kept}")
    sealer = settings.home / "credential-key"
    if sealer.exists() and stat.S_IMODE(sealer.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        yield Finding("credentials", "failed", f"others may read {sealer}", f"Run: chmod 600 {sealer}")


def _providers(settings: Settings) -> Iterator[Finding]:
    credentials = settings.credentials()
    for name, spec in REGISTRY.items():
        key = spec.find_key(credentials)
        if not spec.key_settings:
            yield Finding(
                name, "off", "no setting, only accounts", f"Run `cost-tracker accounts add`. {spec.key_needed}"
            )
            continue
        if key is None:
            yield Finding(name, "off", "no key", spec.key_needed)
            continue
        with httpx.Client(timeout=_PATIENCE_SECONDS) as http:
            try:
                provider = spec.connect(key, http, Budget.lasting(_PATIENCE_SECONDS), settings.base_url(name))
                yield Finding(name, "ok", f"reads the usage of {provider.owner().name}")
            except (ProviderError, SettingError) as error:
                yield Finding(name, "failed", str(error))


def _vault(settings: Settings) -> Finding:
    if settings.context_vault_url is None:
        return Finding("vault", "off", "CONTEXT_VAULT_URL is not set; nothing is pushed")
    try:
        status = httpx.get(settings.context_vault_url, timeout=_PATIENCE_SECONDS).status_code
    except httpx.HTTPError:
        return Finding("vault", "failed", "it does not answer", "Check CONTEXT_VAULT_URL.")
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return Finding("vault", "failed", f"it answers {status}", "Look at the vault; what is due waits here.")
    missing = settings.context_vault_api_key is None
    # Only a push tries its path and key, and a push is no check.
    advice = "CONTEXT_VAULT_API_KEY is not set." if missing else "`cost-tracker push --dry-run` shows what would go."
    return Finding("vault", "ok", "it is there", advice)


def collected(look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """Return all findings; an error of ours that nothing expected becomes one too."""
    found: list[Finding] = []
    try:
        found.extend(look())
    except CostTrackerError as error:
        found.append(Finding("settings", "failed", str(error)))
    return found
