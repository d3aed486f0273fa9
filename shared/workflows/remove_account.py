"""Remove an account: archived with its usage, or gone with it, at once in every figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.core import crash
from shared.errors import ConflictError
from shared.store import account_removal as store
from shared.store import account_settings, audit
from shared.workflows.accounts import no_account

if TYPE_CHECKING:
    from shared.store.audit import Author
    from shared.store.database import Connection, Database

KEEP, DELETE = CHOICES = ("keep", "delete")
_CALLED = {
    "api": "polled",
    "event": "logged",
    "import": "imported",
    "manual": "entered by hand",
    "held": "in quarantine",
}


def remove(database: Database, account_id: int, usage: str | None, author: Author) -> dict[str, Any]:
    """End an account and return `account`, its `name`, what became of its `usage`, and its `lines` as `store.usage`.

    `keep` archives it: it is not polled any more and its figures stay. `delete` takes what was polled, derived and
    entered out of every figure in one transaction and voids its events; so does None, for an account without usage.
    Again after a crash it goes on, without asking again.

    Raises:
        NotFoundError: no such account.
        ConflictError: it has usage, and nobody said what should become of it.
    """

    def begin(connection: Connection) -> dict[str, Any]:
        store.end_what_recurs(connection, account_id, author.at)
        held = account_settings.lock(connection, account_id)
        if held is None:
            raise no_account(account_id)
        lines = store.usage(connection, account_id)
        if held["deleting_at"] is None:
            check_choice(held["name"], lines, usage)
        if usage == KEEP and held["deleting_at"] is not None:
            raise ConflictError(f"The account {held['name']} is being deleted; it cannot be kept any more.")
        (store.archive if usage == KEEP else store.mark)(connection, account_id, author.at)
        found = {"account": account_id, "name": held["name"], "usage": usage or DELETE, "lines": lines}
        if usage == KEEP and held["archived_at"] is None:
            audit.write(connection, author, "account archived", found)
        crash.at("remove:marked")
        return found

    def finish(connection: Connection) -> None:
        # A COMMIT whose answer was lost is tried again, and finds the account gone. It is not locked before its lines
        # are: whoever is writing one of them waits for the account last.
        if store.erase(connection, account_id, f"The account {found['name']} was deleted with its usage.", author.at):
            audit.write(connection, author, "account deleted", found)

    found = database.run(begin)
    crash.at("remove:begun")
    if usage != KEEP:
        database.run(finish)
        crash.at("remove:answered")
    return found


def check_choice(name: str, lines: dict[str, int], usage: str | None) -> None:
    """Refuse to guess what should become of an account's usage (lines by source).

    Raises:
        ConflictError: names both choices and what they are about.
    """
    told = ", ".join(f"{count} {word}" for source, word in _CALLED.items() if (count := lines.get(source)))
    if usage is None and told:
        raise ConflictError(
            f"The account {name} has usage (lines: {told}); add usage=keep to archive it with its figures, or "
            "usage=delete to take them out of every total."
        )
