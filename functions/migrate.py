"""CloudFormation custom resource -> the schema is up to date before new code runs, or the deployment stops here."""

from __future__ import annotations

import random
import re
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg

from functions import cloudformation, events, logs, runtime
from functions.cloudformation import FAILED, SUCCESS, Answer
from functions.logs import logger
from shared.errors import CostTrackerError, MigrationError
from shared.store import migrate as schema
from shared.store.connection import connect, is_password_refused, reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.events import CustomResource
    from shared.config import Settings
    from shared.store.database import Connection
    from shared.store.migrate import Migration

PHYSICAL_ID = "ai-cost-tracker-schema"
# Kept back for the answer: without it the stack waits for the end of ServiceTimeout.
ANSWER_SECONDS = 15.0
# Statements end this much before the connection is given up, so that Postgres says why.
_MARGIN_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 5.0
_HOPELESS = re.compile(r'(database|role) ".*" does not exist')
_DIGEST = re.compile(r"(\d{4})-[0-9a-f]{12}")


@logs.entry(events.of_resource)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Migrate on Create and Update, do nothing on Delete, and answer CloudFormation, whatever happens.

    Returns `{"status", "reason"}` as answered.

    Raises:
        FunctionFailedError: CloudFormation did not invoke this, or cannot be reached; Lambda delivers the event again.
    """
    request = events.custom_resource(event)
    answer = serve(request, runtime.process.settings, lambda: context.get_remaining_time_in_millis() / 1000)
    return {"status": answer.status, "reason": answer.reason}


def serve(
    request: CustomResource,
    get_settings: Callable[..., Settings],
    remaining: Callable[[], float],
    migrations: tuple[Migration, ...] | None = None,
) -> Answer:
    """Do what CloudFormation asks, tell it how that ended, and return what was told.

    `get_settings(fresh=...)` gives the settings; `remaining` the seconds until Lambda ends; `migrations` are by
    default those of this artefact.

    Raises:
        EventError: the address to answer to is no address that may be called.
        AnswerError: CloudFormation could not be told.
    """
    answer = _in_time(lambda left: _respond(request, get_settings, left, migrations), remaining)
    logger.info("migration", extra={"request": request.request_type, "status": answer.status, "reason": answer.reason})
    cloudformation.send(request, answer, request.physical_id or PHYSICAL_ID, remaining)
    return answer


def _in_time(work: Callable[[Callable[[], float]], Answer], remaining: Callable[[], float]) -> Answer:
    """Return what `work` answers, or that it did not: its end is not waited for longer than there is time to tell."""
    reserve = min(ANSWER_SECONDS, remaining() / 3)
    found: list[Answer] = []
    # What hangs in a name server or a socket cannot be stopped, but it can be left behind.
    thread = threading.Thread(target=lambda: found.append(work(lambda: remaining() - reserve)), daemon=True)
    thread.start()
    thread.join(max(remaining() - reserve, 0))
    return found[0] if found else Answer(FAILED, "The migration did not end in the time it had; deploy again.")


def _respond(
    request: CustomResource,
    get_settings: Callable[..., Settings],
    remaining: Callable[[], float],
    migrations: tuple[Migration, ...] | None,
) -> Answer:
    """Return the answer; nothing is raised. `remaining` gives the seconds for all of it."""
    try:
        return _do(request, get_settings, remaining, schema.load() if migrations is None else migrations)
    except CostTrackerError as error:
        return Answer(FAILED, str(error))
    except Exception:  # noqa: BLE001 - a stack that is never answered hangs for as long as it is allowed to
        logger.exception("the migration failed")
        return Answer(FAILED, "It failed inside the tracker; the log of the migration function has the details.")


def _do(
    request: CustomResource,
    get_settings: Callable[..., Settings],
    remaining: Callable[[], float],
    migrations: tuple[Migration, ...],
) -> Answer:
    if request.request_type == "Delete":
        return Answer(SUCCESS, "The data stays where it is.")
    if request.request_type not in {"Create", "Update"}:
        raise MigrationError(f"There is no request type {request.request_type!r}; send Create, Update or Delete.")
    wanted = _DIGEST.fullmatch(str(request.properties.get("SchemaHash", "")))
    if wanted and int(wanted[1]) < len(migrations):
        # CloudFormation may roll the resource back before the code: the newer migrations must not be tried again.
        return Answer(SUCCESS, f"Rolled back to {wanted[0]}: the database keeps what it has.")
    if wanted and wanted[0] != schema.digest(migrations):
        raise MigrationError(
            f"The template asks for schema {wanted[0]}, this artefact holds {schema.digest(migrations)}; build again."
        )
    return _awake(get_settings, remaining, migrations)


def _awake(
    get_settings: Callable[..., Settings], remaining: Callable[[], float], migrations: tuple[Migration, ...]
) -> Answer:
    """Migrate as soon as the database is awake; a lost connection is made again and finds what is already in."""
    tries, refused = 0, False
    while True:
        settings = get_settings(fresh=refused)
        dsn = settings.required("database_url" if settings.database_url_direct is None else "database_url_direct")
        try:
            with connect(dsn, remaining()) as connection:
                connection.remaining = remaining
                return _apply(connection, migrations, remaining)
        except psycopg.Error as error:
            before, refused = refused, is_password_refused(error)
            if (before and refused) or not (refused or _is_passing(error)):
                raise MigrationError(_refusal(error)) from None
            pause = 0 if refused else random.uniform(0.1, min(0.25 * 2**tries, _LONGEST_PAUSE_SECONDS))  # noqa: S311 - jitter
            if pause + _MARGIN_SECONDS >= remaining():
                raise MigrationError(
                    f"The database did not answer ({reason(error)}); see that it is awake, and deploy again."
                ) from None
        tries += 1
        time.sleep(pause)


def _is_passing(error: psycopg.Error) -> bool:
    """Return whether another try may go better: no connection, a lost one, or a conflict with other transactions."""
    if error.sqlstate is None:
        return not _HOPELESS.search(str(error))
    return error.sqlstate.startswith(("08", "40", "53300", "57P"))


def _refusal(error: psycopg.Error) -> str:
    if is_password_refused(error):
        return "Postgres refuses the password; correct DATABASE_URL_DIRECT."
    if error.sqlstate is None:
        return "There is no such database or user; correct DATABASE_URL_DIRECT."
    return f"Postgres refuses to migrate: {_said(error)}."


def _apply(connection: Connection, migrations: tuple[Migration, ...], remaining: Callable[[], float]) -> Answer:
    try:
        applied = schema.migrate(connection, migrations, remaining=lambda: remaining() - _MARGIN_SECONDS)
    except psycopg.Error as error:
        if connection.closed or _is_passing(error):
            raise
        raise MigrationError(_failure(error, schema.version(connection), migrations)) from error
    now = schema.version(connection)
    data = cloudformation.as_data(Version=f"{now:04}", Applied=len(applied))
    if now > len(migrations):
        return Answer(SUCCESS, f"The database is at {now:04}, ahead of this code: it keeps what it has.", data)
    return Answer(SUCCESS, f"Applied {', '.join(applied)}." if applied else f"Up to date at {now:04}.", data)


def _failure(error: psycopg.Error, at: int, migrations: tuple[Migration, ...]) -> str:
    failed = next((m for m in migrations if m.version == at + 1), None)
    name = f"Migration {failed.version:04} {failed.name}" if failed else "The migration"
    stays = f"the schema stays at {at:04}."
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return f"{name} waited in vain for a lock: deploy again when no other migration or query holds it; {stays}"
    if isinstance(error, psycopg.errors.QueryCanceled):
        return f"{name} did not end in the time it had; {stays}"
    return f"{name} failed: {_said(error)}; {stays}"


def _said(error: psycopg.Error) -> str:
    return (error.diag.message_primary or type(error).__name__).rstrip(".")
