"""A small Python client, for notebooks, agents and the command line. Money arrives as Decimal, never float.

    from cost_tracker.client import Client

    with Client() as costs:  # this machine's tracker, in process; Client(url, key) asks a deployed one
        costs.log_usage("sonnet", 1500, 750, category="planning")["data"]["cost_usd"]   # Decimal("0.01575")
        costs.calculate_cost("gpt-4o", 2000, 1000)["total_cost"]                        # Decimal("0.015")
        costs.by("project", start="2026-11-01", model=["opus", "sonnet"])["data"]
        costs.get("/costs/explain", date="2026-11-17")
        costs.run("/admin/collect", {"provider": "anthropic"})["status"]                # "succeeded"

What it raises, and what each error says, is in `cost_tracker.caller`.
"""

from __future__ import annotations

from contextlib import ExitStack
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cost_tracker.caller import ApiError, Caller, ClientError, Run, UnreachableError, over_http

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, datetime

    import httpx

__all__ = ["ApiError", "Client", "ClientError", "Run", "UnreachableError"]

_NOT_FOUND = 404
_PAGE = 1000
_COSTS = ("input_cost", "output_cost", "cache_cost")

Answer = dict[str, Any]


class Client(Caller):
    """A tracker: a deployed one at `url`, or without arguments this machine's own, opened in process.

    In process it is the real tracker, never the demo; what is missing is made, and nothing has to be running.

    Args:
        url: where it is, such as `http://127.0.0.1:8000`; a path in it is kept.
        key: an API key with the scopes of what is asked.
        http: an httpx client with base address and key already set, instead of `url` and `key`.

    Raises:
        UnreachableError: `url` is not an http or https address.
        SettingError: in process, a setting is malformed, or home or database cannot be used.
    """

    def __init__(self, url: str | None = None, key: str | None = None, *, http: httpx.Client | None = None) -> None:
        self._opened = ExitStack()
        if http is None:
            http = _in_process(self._opened) if url is None else over_http(url, key)
        super().__init__(http, url or "the tracker")
        self.is_remote = url is not None

    def close(self) -> None:
        """Close connections, and the tracker if it is in process; the client cannot be used afterwards."""
        super().close()
        self._opened.close()

    def log_usage(
        self,
        model: str,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        *,
        at: datetime | str | None = None,
        dry_run: bool = False,
        **fields: object,
    ) -> Answer:
        """Record what one call, or several of a kind, used.

        Args:
            model: as it was called; aliases and dated ids are understood.
            input_tokens: without cache reads and writes; one of the two counts may be left out and is 0 then.
            output_tokens: reasoning included.
            at: when, ISO 8601 or an aware datetime; default now.
            dry_run: price it and store nothing.
            fields: any of `POST /api/usage`: `category`, `project`, `agent`, `session_label`, `cache_read_tokens`,
                `tags={...}`, `metadata={...}`, `cost` (USD), `event_id` (makes sending it again harmless) ...

        Returns:
            `{"status": "created"|"duplicate", "data": record, "warnings": [...]}`; `warnings`, only there if any, say
            that a model has no price and which ones are near. `data["cost_usd"]` is None then.

        Raises:
            ApiError: a field is wrong (400), or the `event_id` is taken by another event (409).
            UnreachableError: nothing answered; with an `event_id` it can be sent again.
        """
        given = {"model": model, **_counts(input_tokens, output_tokens), "recorded_at": at, **fields}
        body = {name: _exact(value) for name, value in given.items() if value is not None}
        answer: Answer = self.post("/api/usage", body, dry_run=dry_run or None)
        return answer

    def log_manual(self, service: str, cost: Decimal | float | str, day: date | str, **fields: object) -> Answer:
        """Record what a service cost (USD) on a day, by hand; `fields` as in `POST /api/usage/manual`.

        Returns `{"status": "created", "data": record}`. It counts at noon UTC of the day.

        Raises:
            ApiError, UnreachableError: as `log_usage`.
        """
        given = {"service": service, "date": day, "cost": Decimal(str(cost)), **fields}
        answer: Answer = self.post("/api/usage/manual", {name: _exact(value) for name, value in given.items()})
        return answer

    def log_recurring(
        self, service: str, cost: Decimal | float | str, day: date | str, repeat: str, **fields: object
    ) -> Answer:
        """Record what a service costs (USD) again and again from a day on: `weekly`, `monthly` or `yearly`.

        `fields` are as in `POST /api/usage/manual/recurring`, `until` among them. Returns `{"status": "created",
        "data": rule}`; what is due is booked already.

        Raises:
            ApiError, UnreachableError: as `log_usage`.
        """
        given = {"service": service, "date": day, "cost": Decimal(str(cost)), "repeat": repeat, **fields}
        body = {name: _exact(value) for name, value in given.items()}
        answer: Answer = self.post("/api/usage/manual/recurring", body)
        return answer

    def calculate_cost(
        self,
        model: str,
        input_tokens: int = 0,
        output_tokens: int = 0,
        *,
        at: datetime | str | None = None,
        **fields: object,
    ) -> Answer:
        """Price tokens without storing anything, at the prices in force at `at` (default now).

        `fields` are those of `log_usage` that prices depend on: `cache_read_tokens`, `cache_write_tokens`, `batch` ...

        Returns:
            `{"model": canonical id, "total_cost", "input_cost", "output_cost", "cache_cost", "priced_by"}` in USD;
            costs are None where the model has no price.

        Raises:
            ApiError, UnreachableError: as `log_usage`.
        """
        record = self.log_usage(model, input_tokens, output_tokens, at=at, dry_run=True, **fields)["data"]
        costs = {name: record[name] for name in _COSTS}
        return {"model": record["model"], "total_cost": record["cost_usd"], **costs, "priced_by": record["priced_by"]}

    def normalize_model_name(self, name: str) -> str:
        """Return the id that reports show a model under; a name that nobody knows comes back as it is.

        Raises:
            ApiError, UnreachableError: see `cost_tracker.caller`.
        """
        try:
            return str(self.get("/api/models", id=name)["data"]["id"])
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            return name.strip()

    def daily(self, day: date | str | None = None, **filters: object) -> Answer:
        """Return what a day cost (default today), with its breakdowns: the answer of `GET /costs/daily`.

        `filters`, here and below, are those of the API (`project=["A", "B"]`, `tag="k:v"`), and `tz`.
        """
        return self._report("daily", date=day, **filters)

    def range(
        self,
        start: date | str | None = None,
        end: date | str | None = None,
        group_by: str = "day",
        **filters: object,
    ) -> Answer:
        """Return the costs of the `periods` (hour, day, week or month) between two inclusive dates.

        Without dates the current month to date: the answer of `GET /costs/range`.
        """
        return self._report("range", start=start, end=end, group_by=group_by, **filters)

    def by(
        self, dimension: str, start: date | str | None = None, end: date | str | None = None, **filters: object
    ) -> Answer:
        """Return the costs between two inclusive dates by model, project, session-type, agent ..., dearest first."""
        return self._report(f"by-{dimension.replace('_', '-')}", start=start, end=end, **filters)

    def summary(self, period: str = "monthly", **filters: object) -> Answer:
        """Return what today and the 6 (`weekly`) or 29 (`monthly`) days before cost, and the change to those before."""
        return self._report(f"summary/{period}", **filters)

    def each(self, path: str, **params: object) -> Iterator[Answer]:
        """Yield every row of a list, page by page: `each("/api/usage", model="opus")`."""
        cursor = None
        while True:
            page = self.get(path, limit=_PAGE, cursor=cursor, **params)
            yield from page["data"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def _report(self, name: str, **params: object) -> Answer:
        answer: Answer = self.get(f"/costs/{name}", **params)
        return answer


def _in_process(opened: ExitStack) -> httpx.Client:
    from cost_tracker.environment import load_settings  # noqa: PLC0415 - a deployed tracker needs none of it
    from infra.local.tracker import Tracker  # noqa: PLC0415 - the same

    return opened.enter_context(Tracker.open(load_settings(), demo=False)).client()


def _counts(input_tokens: int | None, output_tokens: int | None) -> dict[str, int]:
    if input_tokens is None and output_tokens is None:
        return {}
    return {"tokens_in": input_tokens or 0, "tokens_out": output_tokens or 0}


def _exact(value: object) -> object:
    """Return a value with its floats as the decimals they are written as."""
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, dict):
        return {key: _exact(item) for key, item in value.items()}
    return [_exact(item) for item in value] if isinstance(value, (list, tuple)) else value
