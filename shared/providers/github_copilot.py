"""GitHub Copilot's AI credits: what each day of an organisation, an enterprise or a person's own plan was billed.

Source: "Billing usage" in the REST reference, docs.github.com/rest/billing/usage.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from shared.core.makers import maker, seller
from shared.core.usage import MAX_COUNT, Usage
from shared.errors import (
    CredentialError,
    MalformedResponseError,
    ProviderError,
    SettingError,
    WrongKindError,
)
from shared.providers.base import Bucket, Name, Owner, Page, Row, Stream, Window
from shared.providers.http import Budget, JsonClient, Service
from shared.providers.payload import Payload, Text, Usd, check_window, read, resumed
from shared.providers.spec import Option, ProviderSpec, WrongKey

API_VERSION = "2026-03-10"
# Credits are billed since then. Days before it were counted in premium requests and are in another report.
CREDITS_SINCE = datetime(2026, 6, 1, tzinfo=UTC)
CREDITS = Stream(
    "ai_credits",
    grain=timedelta(days=1),
    lag=timedelta(days=1),
    history=timedelta(days=730),
    earliest=CREDITS_SINCE,
)

# Where the report of whom is, by the option that names them.
_PLACES = {"organization": "organizations", "user": "users", "enterprise": "enterprises"}
_NOT_FOR_ENTERPRISES = ("github_pat_", "ghu_", "ghs_")
# `Auto: Claude Haiku 4.5`: Copilot chose the model.
_CHOSEN = re.compile(r"auto:\s*", re.IGNORECASE)


class _MissingError(ProviderError):
    """There is no report at this address, or not for this token."""


class _Wire(Payload):
    model_config = ConfigDict(alias_generator=to_camel)


class _Period(_Wire):
    year: int
    month: int | None = None
    day: int | None = None


class _Item(_Wire):
    """What was used of one thing on one day; net is gross without what the plan includes. Quantities have decimals."""

    product: Text
    sku: Text
    model: Text
    unit_type: Text
    price_per_unit: Usd
    gross_quantity: Usd
    gross_amount: Usd
    discount_quantity: Usd
    discount_amount: Usd
    net_quantity: Usd
    net_amount: Usd


# What is kept of a row: so nobody's name can come along.
_KEPT = tuple(str(field.alias) for field in _Item.model_fields.values())


class _Report(_Wire):
    time_period: _Period
    usage_items: list[dict[str, Any]]


class GitHubCopilot:
    """One organisation, enterprise or person, whose report is read day by day: its rows bear no date."""

    name = "github-copilot"
    streams: tuple[Stream, ...] = (CREDITS,)

    def __init__(self, key: str, base_url: str, http: httpx.Client, budget: Budget, **whose: str) -> None:
        """Bind the token to the one of `organization`, `user` and `enterprise` that `whose` names.

        Raises:
            CredentialError: the key cannot be one.
            WrongKindError: it is of a kind that an enterprise's report refuses.
            SettingError: `whose` names none or several.
        """
        if len(whose) != 1:
            raise SettingError(f"{SPEC.title} needs one of the options {', '.join(_PLACES)}.")
        [(kind, slug)] = whose.items()
        if kind == "enterprise" and key.startswith(_NOT_FOR_ENTERPRISES):
            raise WrongKindError(
                "The report of an enterprise refuses fine-grained tokens (github_pat_...) and those of apps; it needs "
                "a classic token (ghp_...) of somebody who administers the enterprise or its billing.",
                "a token of a kind that no enterprise takes",
            )
        service = Service(
            title=SPEC.title,
            base_url=base_url,
            setting="the account's option base_url",
            key_needed=SPEC.key_needed,
            key=key,
            headers={
                "Authorization": f"Bearer {key}",
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": API_VERSION,
            },
        )
        self._client = JsonClient(service, http, budget)
        self._now = budget.now
        self._kind, self._slug = kind, slug
        self._path = f"/{_PLACES[kind]}/{quote(slug, safe='')}/settings/billing/ai_credit/usage"

    def owner(self) -> Owner:
        """Return whose report it is, known by name; raises as `Provider.fetch` does.

        Today's is asked for, because many may see an organisation and few its bill.
        """
        self._report(self._now())
        # GitHub's names are the same in upper and lower case.
        return Owner(f"{self._kind}/{self._slug.lower()}", f"the {self._kind} {self._slug}")

    def names(self) -> tuple[Name, ...]:
        """Return nothing: the report knows neither keys nor workspaces."""
        return ()

    def fetch(self, stream: Stream, window: Window, cursor: str | None) -> Page:
        """Read one day, which is a page; see `Provider.fetch`."""
        check_window(window, stream.grain)
        day = resumed(window, cursor, SPEC.title)
        report = self._report(day)
        if report.time_period != _Period(year=day.year, month=day.month, day=day.day):
            raise MalformedResponseError(f"{self._source} is of another day than {day:%Y-%m-%d} at timePeriod.")
        following = day + stream.grain
        rows = []
        for index, item in enumerate(report.usage_items):
            read(_Item, item, self._source, f"usageItems.{index}")
            rows.append(Row(day, following, {name: item[name] for name in _KEPT}))
        return Page(tuple(rows), None if following == window.end else f"{following:%Y-%m-%d}", (day, following))

    def parse(self, stream: Stream, row: Row) -> Bucket:
        """Turn a row into a bucket; see `Provider.parse`."""
        item = read(_Item, row.raw, f"{SPEC.title}'s {stream.name}")
        return Bucket(
            row.start,
            row.end,
            {"product": item.product, "sku": item.sku, "model": item.model, "unitType": item.unit_type},
            usage=Usage(requests=_requests(item)),
            model=_model(item.model),
            amount=item.net_amount,
            description=_description(item),
        )

    @property
    def _source(self) -> str:
        return f"{SPEC.title}'s {self._path}"

    def _report(self, day: datetime) -> _Report:
        query = [("year", str(day.year)), ("month", str(day.month)), ("day", str(day.day))]
        try:
            return read(_Report, self._client.get(self._path, query, refusal=_refusal), self._source)
        except _MissingError as error:
            raise CredentialError(
                f"GitHub shows no bill of the {self._kind} {self._slug} to this token (404): the name is wrong, or the "
                f"token's owner may not see its billing. {SPEC.key_needed}",
                httpx.codes.NOT_FOUND,
            ) from error
        except CredentialError as error:
            if "user-agent" not in error.said.lower():
                raise
            raise ProviderError(
                "GitHub refuses requests without a User-Agent, which something on the way takes out of ours; check the "
                "proxy, or the option base_url."
            ) from error


def _refusal(status: int, _said: str) -> type[ProviderError]:
    return _MissingError if status == httpx.codes.NOT_FOUND else ProviderError


def _model(named: str) -> str:
    """Return the id of a model that GitHub calls by its title: `Claude Haiku 4.5` is `claude-haiku-4.5`.

    What is no model, such as `Copilot Code Review`, keeps its title.
    """
    model_id = re.sub(r"\s+", "-", _CHOSEN.sub("", named.strip(), count=1)).lower()
    return named if maker(GitHubCopilot.name, model_id) == seller(GitHubCopilot.name) else model_id


def _requests(item: _Item) -> int:
    """Return what was counted where the unit is requests; credits are money, and no number of requests."""
    count = item.gross_quantity
    is_number = item.unit_type.lower() == "requests" and count == count.to_integral_value() and 0 <= count <= MAX_COUNT
    return int(count) if is_number else 0


def _description(item: _Item) -> str:
    included = f", {item.discount_quantity:f} of them included" if item.discount_quantity else ""
    return f"{item.sku}: {item.gross_quantity:f} {item.unit_type}{included}"


SPEC = ProviderSpec(
    name=GitHubCopilot.name,
    title="GitHub Copilot",
    make=GitHubCopilot,
    base_url="https://api.github.com",
    key_settings=(),
    key_needed=(
        "GitHub Copilot's report needs a token of somebody who administers its billing: fine-grained (github_pat_...) "
        "with Administration: read for an organisation, or Plan: read for a person; or classic (ghp_...) with "
        "admin:org or user, and for an enterprise with manage_billing:enterprise."
    ),
    wrong_keys=(
        WrongKey("ghr_", "a token that only renews others"),
        WrongKey("tid=", "the session token of an editor"),
        WrongKey("sk-ant-", "a key of Anthropic"),
        WrongKey("sk-", "a key of OpenAI"),
    ),
    options=(
        Option("organization", "The organisation that pays, as in github.com/acme; or else user or enterprise."),
        Option("user", "Whoever pays for a plan of their own, as in github.com/octocat; or else organization."),
        Option("enterprise", "The enterprise that pays, as in github.com/enterprises/acme; or else organization."),
    ),
    exactly_one_of=("organization", "user", "enterprise"),
)
