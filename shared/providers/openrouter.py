"""OpenRouter's activity of an account, key by key, read with a management key.

Source: the API reference, openrouter.ai/docs/api/api-reference: analytics, api-keys, workspaces, credits.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from shared.core.money import CONTEXT, normalise
from shared.core.windows import floor
from shared.errors import MalformedResponseError, WrongKindError
from shared.providers import openrouter_keys
from shared.providers.base import Balance, Bucket, Name, Owner, Page, Row, Stream, Window
from shared.providers.http import Budget, JsonClient, Service
from shared.providers.listing import NotListedError, missing
from shared.providers.openrouter_rows import DAY, ActivityRow, StoredRow, attributed, counted
from shared.providers.payload import Payload, Text, Usd, check_window, read
from shared.providers.spec import KeySetting, ProviderSpec, WrongKey

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

    from shared.providers.openrouter_keys import Key, Workspace

HISTORY = timedelta(days=30)
# Only days that are over are told, and they are told soon after midnight.
ACTIVITY = Stream("activity", grain=DAY, lag=timedelta(hours=1), is_final_only=True, history=HISTORY)
_PATH = "/activity"


class _Activity(Payload):
    data: list[dict[str, Any]]


class _Self(Payload):
    label: Text | None = None
    is_management_key: bool | None = None
    is_provisioning_key: bool | None = None  # its older name
    organization_id: Text | None = None
    creator_user_id: Text | None = None

    @property
    def may_read(self) -> bool:
        """Whether it is a management key; one that says nothing is found out when reports are asked for."""
        said = {self.is_management_key, self.is_provisioning_key}
        return True in said or False not in said


class _CurrentKey(Payload):
    data: _Self


class _Credits(Payload):
    total_credits: Usd
    total_usage: Usd


class _CreditsAnswer(Payload):
    data: _Credits


class OpenRouter:
    """One account, personal or an organisation's."""

    name = "openrouter"
    streams: tuple[Stream, ...] = (ACTIVITY,)

    def __init__(self, key: str, base_url: str, http: httpx.Client, budget: Budget) -> None:
        self._client = JsonClient(Service.bearer(SPEC, key, base_url), http, budget)
        self._now = budget.now
        self._listed: tuple[tuple[Workspace, ...], tuple[Key, ...]] | None = None

    def owner(self) -> Owner:
        """Return the organisation or person whose key it is; raises as `Provider.fetch` does.

        A person is known by a digest of their id, which is not kept; the key's own word says that it is for inference.
        """
        path = "/key"
        key = read(_CurrentKey, self._client.get(path), _source(path)).data
        if not key.may_read:
            kind = "a key for inference"
            raise WrongKindError(f"This is {kind}, which cannot read {SPEC.title}'s reports. {SPEC.key_needed}", kind)
        if key.organization_id is not None:
            return Owner(key.organization_id, f"the organisation {key.organization_id}")
        if key.creator_user_id is None:
            raise MalformedResponseError(f"{_source(path)} says neither whose key it is nor who made it.")
        person = sha256(f"{self.name} {key.creator_user_id}".encode()).hexdigest()
        return Owner(person, f"the account of the key {key.label or ''}".strip())

    def names(self) -> tuple[Name, ...]:
        """Return every key and workspace that is listed; raises as `Provider.fetch` does."""
        self._listed = None
        spaces, keys = self._lists()
        now = self._now()
        return (
            *(Name("key", key.hash, key.title, key.is_archived(now), key.workspace_id) for key in keys),
            *(Name("workspace", space.id, space.name) for space in spaces),
        )

    def balances(self) -> tuple[Balance, ...]:
        """Return the credits that are left, in USD; see `HasBalances.balances`."""
        path = "/credits"
        found = read(_CreditsAnswer, self._client.get(path), _source(path)).data
        left = CONTEXT.subtract(found.total_credits, found.total_usage)
        return (Balance("USD", normalise(left), "credits"),)

    def fetch(self, stream: Stream, window: Window, cursor: str | None) -> Page:
        """Read a window as one page: every key, then the account, which has what no listed key explains.

        The account comes last, so that what is added while they are read is its own. At midnight the oldest day is
        not told any more: `listed` begins where every answer still told. `cursor` is always None.
        """
        check_window(window, stream.grain)
        if cursor is not None:
            raise ValueError("the activity has one page")
        if self._told_since([]) >= window.end:
            return Page((), None, (window.end, window.end))
        _, keys = self._lists()
        answers = {key.hash: self._activity(window, key.hash) for key in keys}
        whole, newest = self._activity(window, None)
        since = self._told_since([newest, *(last for _, last in answers.values())])
        since = min(max(window.start, since), window.end)
        found = attributed(whole, {key: rows for key, (rows, _) in answers.items()})
        return Page(tuple(row for row in found if row.start >= since), None, (since, window.end))

    def _told_since(self, newest: Iterable[datetime | None]) -> datetime:
        """Return the first day that is told now; the newest days of answers say more where their clock is ahead."""
        over = [day + DAY for day in newest if day is not None]
        return max([floor(self._now(), DAY), *over]) - HISTORY

    def _activity(self, window: Window, key: str | None) -> tuple[list[ActivityRow], datetime | None]:
        """Return the rows inside the window of a key or, with None, of the account, and the newest day there is."""
        # There is no range: either one day, or all there are.
        is_day = window.end - window.start == DAY
        query = [
            ("group_by", "workspace"),
            *([("date", f"{window.start:%Y-%m-%d}")] if is_day else []),
            *([] if key is None else [("api_key_hash", key)]),
        ]
        source = _source(_PATH)
        try:
            answer = read(_Activity, self._client.get(_PATH, query, refusal=missing), source)
        except NotListedError:
            if key is None:
                raise
            return [], None  # deleted a moment ago
        found: list[ActivityRow] = []
        newest: datetime | None = None
        for number, raw in enumerate(answer.data):
            row = read(ActivityRow, raw, source, f"data.{number}")
            newest = row.date if newest is None else max(newest, row.date)
            if window.start <= row.date < window.end:
                found.append(row)
            elif is_day:
                raise MalformedResponseError(f"{source} has a row at data.{number} of another day than was asked for.")
        return found, newest

    def parse(self, stream: Stream, row: Row) -> Bucket:  # noqa: ARG002 - there is one stream
        """Turn a row into a bucket; see `Provider.parse`."""
        return counted(row, read(StoredRow, row.raw, _source(_PATH)))

    def _lists(self) -> tuple[tuple[Workspace, ...], tuple[Key, ...]]:
        if self._listed is None:
            spaces = openrouter_keys.workspaces(self._client, SPEC.title)
            self._listed = spaces, openrouter_keys.keys(self._client, SPEC.title, spaces)
        return self._listed


def _source(path: str) -> str:
    return f"{SPEC.title}'s {path}"


SPEC = ProviderSpec(
    name=OpenRouter.name,
    title="OpenRouter",
    make=OpenRouter,
    base_url="https://openrouter.ai/api/v1",
    key_settings=(KeySetting("OPENROUTER_API_KEY"),),
    key_needed=(
        "OpenRouter's activity needs a management key, which openrouter.ai makes under Settings, Management keys; keys "
        "for inference begin the same (sk-or-v1-...) and are refused."
    ),
    wrong_keys=(
        WrongKey("sk-ant-", "a key of Anthropic"),
        WrongKey("sk-proj-", "a key of OpenAI"),
        WrongKey("sk-admin-", "an Admin key of OpenAI"),
    ),
)
