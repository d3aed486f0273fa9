"""Accounts as people make and change them: credentials sealed before they are stored, no owner and no name twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from shared.errors import ConflictError, InvalidInputError, NotFoundError
from shared.providers.spec import BASE_URL
from shared.store import account_settings as store
from shared.store import accounts, audit
from shared.workflows.sealing import binding

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from shared.providers.base import Owner
    from shared.store.audit import Author
    from shared.store.database import Connection, Database
    from shared.workflows.sealing import Sealer


@dataclass(frozen=True, slots=True)
class Draft:
    """An account to be made, polled if it has a credential; `owner` is whose that is, None if nobody could say."""

    name: str
    provider: str
    credential: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict)
    is_default: bool = False
    monthly_limit: Decimal | None = None
    owner: Owner | None = None


def create(database: Database, sealer: Sealer, draft: Draft, author: Author) -> dict[str, Any]:
    """Store an account and return it as `store.account_settings.get` does.

    Raises:
        ConflictError: the name is taken, or another account polls the same owner.
        SettingError: the credential cannot be encrypted here.
    """
    account_id = database.run(store.draw_id)
    sealed = None
    if draft.credential is not None:
        sealed = sealer.seal(draft.credential, binding(account_id, draft.provider, draft.options))
    values = {
        "name": draft.name,
        "provider": draft.provider,
        "credential": sealed,
        "options": dict(draft.options),
        "is_default": draft.is_default,
        "monthly_limit": draft.monthly_limit,
        "owner_id": None if draft.owner is None else draft.owner.id,
    }

    def work(connection: Connection) -> dict[str, Any]:
        # Only there when the COMMIT of an earlier try was not answered.
        stored = store.get(connection, account_id)
        if stored is not None:
            return stored
        _check_name(connection, draft.name, account_id)
        _check_owner(connection, draft.provider, draft.owner, account_id)
        if draft.is_default:
            store.clear_default(connection, draft.provider)
        store.insert(connection, account_id, values)
        made = _found(connection, account_id)
        audit.write(connection, author, "account added", {"after": _noted(made)})
        return made

    return _run(database, work)


def change(
    database: Database,
    sealer: Sealer,
    account_id: int,
    changes: Mapping[str, Any],
    author: Author,
    owner: Owner | None = None,
) -> dict[str, Any]:
    """Replace some of `name, credential, options, is_default, monthly_limit` and return the account.

    A new credential takes the place of the old one, and opens an archived account again. `owner` is whose it is, None
    if nobody could say.

    Raises:
        NotFoundError: no such account.
        ConflictError: the name is taken; the credential is somebody else's, or another account's; it is being deleted.
        InvalidInputError: another address for a credential that was not sent again.
        SettingError: the credential cannot be encrypted here.
    """
    before = database.run(lambda connection: _found(connection, account_id))
    options = changes.get("options", before["options"])
    values = dict(changes)
    if "credential" in changes:
        values["credential"] = sealer.seal(changes["credential"], binding(account_id, before["provider"], options))
    elif before["has_credential"] and options.get(BASE_URL) != before["options"].get(BASE_URL):
        raise InvalidInputError(
            "Send the credential again with another base_url: it would be sent there, which only its owner may decide.",
            [{"field": "credential", "message": "Needed with another base_url."}],
        )

    def work(connection: Connection) -> dict[str, Any]:
        held = _held(connection, account_id)
        if held["options"] != before["options"]:
            raise ConflictError(f"The account {held['name']} was changed at the same time; look at it and try again.")
        if held["archived_at"] is not None and values.get("is_default") and "credential" not in values:
            raise ConflictError(f"The account {held['name']} is archived; give it a credential again, or name another.")
        _check_name(connection, values.get("name", held["name"]), account_id)
        if owner is not None and owner.id is not None:
            _check_same(held, owner)
            _check_owner(connection, held["provider"], owner, account_id)
            values["owner_id"] = owner.id
        if values.get("is_default"):
            store.clear_default(connection, held["provider"])
        store.update(connection, account_id, values)
        after = _found(connection, account_id)
        detail = {"before": _noted(held), "after": _noted(after), "credential": "credential" in changes}
        if detail["credential"] or detail["before"] != detail["after"]:
            audit.write(connection, author, "account changed", detail)
        return after

    return _run(database, work)


def no_account(account_id: int) -> NotFoundError:
    """Return the error for an account that does not exist."""
    return NotFoundError(f"There is no account {account_id}; GET /api/accounts lists them.")


def twice(owner: Owner, name: str) -> ConflictError:
    """Return the error for an owner whose usage another account counts already."""
    return ConflictError(
        f"This key belongs to {owner.name}, whose usage is counted under the account {name} already and would count "
        "twice; give that account the new key instead."
    )


def _run(database: Database, work: Any) -> dict[str, Any]:  # noqa: ANN401 - a callable that answers a row
    try:
        found: dict[str, Any] = database.run(work)
    except psycopg.errors.UniqueViolation as error:
        raise ConflictError(
            "Another account was made or changed at the same time; look at them and try again."
        ) from error
    return found


def _found(connection: Connection, account_id: int) -> dict[str, Any]:
    found = store.get(connection, account_id)
    if found is None:
        raise no_account(account_id)
    return found


def _held(connection: Connection, account_id: int) -> dict[str, Any]:
    held = store.lock(connection, account_id)
    if held is None:
        raise no_account(account_id)
    if held["deleting_at"] is not None:
        raise ConflictError(f"The account {held['name']} is being deleted.")
    return held


def _check_same(held: Mapping[str, Any], owner: Owner) -> None:
    if held["owner_id"] not in {None, owner.id}:
        raise ConflictError(
            f"This key belongs to {owner.name}, but the account {held['name']} holds figures of somebody else; make "
            "another account for it."
        )


def _check_name(connection: Connection, name: str, account_id: int) -> None:
    if store.id_of(connection, name) not in {None, account_id}:
        raise ConflictError(f"There is an account {name!r} already; choose another name.")


def _check_owner(connection: Connection, provider: str, owner: Owner | None, account_id: int) -> None:
    if owner is None or owner.id is None:
        return
    other = accounts.owned_by(connection, provider, owner.id, besides=account_id)
    if other is not None:
        raise twice(owner, other)


def _noted(account: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the audit log keeps of an account; whether there is a credential, never which."""
    names = ("id", "name", "provider", "options", "is_default", "monthly_limit", "has_credential", "archived_at")
    return {name: account[name] for name in names}
