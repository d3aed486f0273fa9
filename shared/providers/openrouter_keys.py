"""OpenRouter's workspaces and the keys of each: a list of keys is always that of one workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.providers.listing import NotListedError, listed_by_offset, missing
from shared.providers.payload import Instant, Payload, Text, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from shared.providers.http import JsonClient


class Workspace(Payload):
    """A workspace; deleted ones are not listed."""

    id: Text
    name: Text


class Key(Payload):
    """A key, known to reports by its hash; `label` is its own beginning and end."""

    hash: Text
    name: Text | None = None
    label: Text | None = None
    disabled: bool = False
    expires_at: Instant | None = None
    workspace_id: Text | None = None

    @property
    def title(self) -> str:
        """Whatever there is to call it by."""
        return self.name or self.label or self.hash

    def is_archived(self, now: datetime) -> bool:
        """Say whether it cannot be used any more."""
        return self.disabled or (self.expires_at is not None and self.expires_at <= now)


class _Workspaces(Payload):
    data: list[Workspace]


class _Keys(Payload):
    data: list[Key]


def workspaces(client: JsonClient, title: str) -> tuple[Workspace, ...]:
    """Return every workspace, none where that is unknown; raises as `JsonClient.get` does."""
    path = "/workspaces"
    source = f"{title}'s {path}"

    def page(offset: int) -> list[Workspace]:
        return read(_Workspaces, client.get(path, _from(offset), refusal=missing), source).data

    try:
        return tuple(listed_by_offset(page, lambda space: space.id, source))
    except NotListedError:
        return ()


def keys(client: JsonClient, title: str, spaces: Sequence[Workspace]) -> tuple[Key, ...]:
    """Return every key once, disabled and expired ones included; raises as `JsonClient.get` does.

    Unless one is named, the default workspace is listed, which may be among `spaces`.
    """
    found = {key.hash: key for key in _keys(client, title, ())}
    listed = {key.workspace_id for key in found.values()}
    for space in spaces:
        if space.id not in listed:
            found |= {key.hash: key for key in _keys(client, title, (("workspace_id", space.id),))}
    return tuple(found.values())


def _keys(client: JsonClient, title: str, space: tuple[tuple[str, str], ...]) -> Iterator[Key]:
    path = "/keys"
    source = f"{title}'s {path}"

    def page(offset: int) -> list[Key]:
        query = [("include_disabled", "true"), ("include_expired", "true"), *space, *_from(offset)]
        return read(_Keys, client.get(path, query), source).data

    return listed_by_offset(page, lambda key: key.hash, source)


def _from(offset: int) -> list[tuple[str, str]]:
    return [("offset", str(offset))] if offset else []
