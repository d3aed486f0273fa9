"""OpenAI's projects and the keys of each: there is no list of all keys of an organisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.providers.base import Name
from shared.providers.listing import NotListedError, listed, missing
from shared.providers.payload import Payload, Text, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.providers.http import JsonClient


class _Project(Payload):
    id: Text
    name: Text
    created_at: int = 0
    status: Text | None = None
    archived_at: int | None = None

    @property
    def is_archived(self) -> bool:
        return self.archived_at is not None or self.status == "archived"


class _Projects(Payload):
    data: list[_Project]
    has_more: bool
    last_id: Text | None = None


class _ServiceAccount(Payload):
    name: Text | None = None


class _Owner(Payload):
    service_account: _ServiceAccount | None = None


class _Key(Payload):
    id: Text
    name: Text | None = None
    owner: _Owner | None = None

    @property
    def title(self) -> str:
        """The key's name; the key of a service account may have none but the account's."""
        account = self.owner.service_account if self.owner else None
        return self.name or (account.name if account else None) or self.id


class _Keys(Payload):
    data: list[_Key]
    has_more: bool
    last_id: Text | None = None


def projects(client: JsonClient, title: str) -> Iterator[_Project]:
    """Yield every project, archived ones included; raises as `JsonClient.get` does."""
    path = "/organization/projects"
    source = f"{title}'s {path}"

    def page(last: str | None) -> _Projects:
        return read(_Projects, client.get(path, [("include_archived", "true"), *_after(last)]), source)

    return listed(page, source)


def names(client: JsonClient, title: str) -> tuple[Name, ...]:
    """Return every project as a workspace, and every key of each; raises as `JsonClient.get` does.

    Of a key's owner nothing is kept but the name of a service account: the others are people.
    """
    found: dict[tuple[str, str], Name] = {}
    for project in list(projects(client, title)):
        found["workspace", project.id] = Name("workspace", project.id, project.name, project.is_archived)
        for key in _keys(client, title, project):
            found["key", key.id] = Name("key", key.id, key.title, project.is_archived, project.id)
    return tuple(found.values())


def _keys(client: JsonClient, title: str, project: _Project) -> Iterator[_Key]:
    path = f"/organization/projects/{project.id}/api_keys"
    source = f"{title}'s {path}"

    def page(last: str | None) -> _Keys:
        return read(_Keys, client.get(path, _after(last), refusal=missing), source)

    try:
        yield from listed(page, source)
    except NotListedError:
        # An archived project may have lost its keys; its usage still has the project's name.
        if not project.is_archived:
            raise


def _after(last: str | None) -> list[tuple[str, str]]:
    return [("limit", "100"), *([] if last is None else [("after", last)])]
