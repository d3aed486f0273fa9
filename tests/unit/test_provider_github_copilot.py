"""GitHub Copilot's AI credits: a day a page, whose bill it is, and what its rows say."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from shared.errors import (
    CredentialError,
    CursorRefusedError,
    MalformedResponseError,
    ProviderError,
    ProviderUnavailableError,
    SettingError,
    WrongKindError,
)
from shared.providers.base import Owner, Window
from shared.providers.diagnosis import EXPIRED, MISSING_PERMISSION, OTHER, UNKNOWN_KEY, WRONG_KIND, diagnose
from shared.providers.github_copilot import CREDITS, SPEC, GitHubCopilot
from shared.providers.spec import OptionError
from tests.fixtures.providers.github_fake import TOKEN, FakeGitHub, item
from tests.fixtures.providers.recording import pages, reply
from tests.fixtures.providers.wire import NOW, Time, refused

DAY = timedelta(days=1)
FIRST = datetime(2026, 9, 8, tzinfo=UTC)
WINDOW = Window(FIRST, FIRST + 3 * DAY)
BILLS = {
    date(2026, 5, 31): [item("GPT-5.6", "70")],
    date(2026, 9, 8): [item("Claude Sonnet 4.6", "812.4375", "650"), item("GPT-5.6", "20")],
    date(2026, 9, 10): [item("Claude Sonnet 4.6", "12.5")],
    date(2026, 9, 11): [item("Claude Sonnet 4.6", "99")],
}


def copilot(fake: Any, time: Time | None = None, key: str = TOKEN, **whose: str) -> GitHubCopilot:  # noqa: ANN401 - a handler
    http = httpx.Client(transport=httpx.MockTransport(fake))
    whose = whose or {"organization": "tidewater-labs"}
    return GitHubCopilot(key, SPEC.base_url, http, (time or Time()).budget(), **whose)


def test_a_day_is_a_page() -> None:
    fake = FakeGitHub(BILLS)
    provider = copilot(fake)
    found = list(pages(provider, CREDITS, WINDOW))
    assert [page.listed for page in found] == [(FIRST + n * DAY, FIRST + (n + 1) * DAY) for n in range(3)]
    amounts = [[provider.parse(CREDITS, row).amount for row in page.rows] for page in found]
    assert amounts == [[Decimal("1.624375"), Decimal("0.2")], [], [Decimal("0.125")]]
    assert [str(request.url.query, "ascii") for request in fake.requests] == [
        f"year=2026&month=9&day={day}" for day in (8, 9, 10)
    ]


def test_what_is_sent() -> None:
    fake = FakeGitHub(BILLS)
    copilot(fake).owner()
    [request] = fake.requests
    assert request.url.path == "/organizations/tidewater-labs/settings/billing/ai_credit/usage"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["accept"] == "application/vnd.github+json"
    assert request.headers["x-github-api-version"] == "2026-03-10"
    assert request.headers["user-agent"].startswith("AICostTracker/")


@pytest.mark.parametrize(
    ("kind", "slug", "path"),
    [
        ("organization", "acme", "/organizations/acme/"),
        ("user", "Octo-Cat", "/users/Octo-Cat/"),
        ("enterprise", "acme-group", "/enterprises/acme-group/"),
        ("organization", "../users/octocat?a", "/organizations/..%2Fusers%2Foctocat%3Fa/"),
    ],
)
def test_whose_bill_it_is(kind: str, slug: str, path: str) -> None:
    asked: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return reply({"timePeriod": {"year": 2026}, "usageItems": []})

    provider = copilot(handler, None, "ghp_PLANTED", **{kind: slug})
    assert provider.owner() == Owner(f"{kind}/{slug.lower()}", f"the {kind} {slug}")
    assert provider.names() == ()
    assert asked[0].url.raw_path.startswith(path.encode())


def test_exactly_one_option_says_whose() -> None:
    assert SPEC.check_options({"user": "octocat"}) == {"user": "octocat"}
    with pytest.raises(
        OptionError, match=r"^GitHub Copilot needs one of the options organization, user or enterprise\.$"
    ):
        SPEC.check_options({"user": None})
    with pytest.raises(OptionError, match=r"or enterprise, not organization and user together\.$") as caught:
        SPEC.check_options({"organization": "acme", "user": "octocat"})
    assert caught.value.name == "user"
    for options in ({}, {"organization": "acme", "user": "octocat"}):
        with pytest.raises(SettingError):
            SPEC.connect(TOKEN, httpx.Client(), Time().budget(), options=options)


def test_a_day_that_is_still_running_is_read() -> None:
    provider = copilot(FakeGitHub(BILLS))
    today = FIRST + 3 * DAY
    [row] = provider.fetch(CREDITS, Window(today, today + DAY), None).rows
    assert provider.parse(CREDITS, row).amount == Decimal("0.99")


def test_days_before_credits_are_in_another_report() -> None:
    assert CREDITS.earliest == datetime(2026, 6, 1, tzinfo=UTC)
    may = Window(datetime(2026, 5, 31, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC))
    assert copilot(FakeGitHub(BILLS)).fetch(CREDITS, may, None).rows == ()


@pytest.mark.parametrize("cursor", ["2026-09-08", "2026-09-11", "2026-13-01", "page_2", ""])
def test_a_day_that_is_not_in_the_window_is_no_cursor(cursor: str) -> None:
    refused(CursorRefusedError, lambda: copilot(FakeGitHub(BILLS)).fetch(CREDITS, WINDOW, cursor))


@pytest.mark.parametrize("period", [{"year": 2026}, {"year": 2026, "month": 9}, {"year": 2025, "month": 9, "day": 8}])
def test_an_answer_of_another_time_is_refused(period: dict[str, int]) -> None:
    provider = copilot(lambda _: reply({"timePeriod": period, "usageItems": []}))
    error = refused(MalformedResponseError, lambda: provider.fetch(CREDITS, WINDOW, None))
    assert str(error).endswith("is of another day than 2026-09-08 at timePeriod.")


@pytest.mark.parametrize(
    ("fake", "key", "code", "says"),
    [
        (FakeGitHub(BILLS), "ghp_another", UNKNOWN_KEY, "does not know this key (Bad credentials)"),
        (FakeGitHub(BILLS), "ghr_another", WRONG_KIND, "This is a token that only renews others"),
        (FakeGitHub(BILLS), "sk-proj-another", WRONG_KIND, "This is a key of OpenAI"),
        (FakeGitHub(BILLS, may_read=False), TOKEN, MISSING_PERMISSION, "not accessible by personal access token"),
        (
            FakeGitHub(BILLS, is_member=False),
            TOKEN,
            MISSING_PERMISSION,
            "no bill of the organization tidewater-labs to",
        ),
        (
            FakeGitHub(BILLS, owner="Another"),
            TOKEN,
            MISSING_PERMISSION,
            "(404): the name is wrong, or the token's owner",
        ),
        (lambda _: reply({"message": "Your token expired"}, 401), TOKEN, EXPIRED, "has expired (Your token expired)"),
    ],
)
def test_what_is_wrong_with_a_token(fake: Any, key: str, code: str, says: str) -> None:  # noqa: ANN401 - a handler
    found = diagnose(SPEC, key, refused(CredentialError, copilot(fake, key=key).owner))
    assert found.code == code
    assert says in found.message
    assert "Administration: read" in f"{found.message} {found.advice}"


def test_who_takes_our_name_out_is_no_fault_of_the_token() -> None:
    def proxy(request: httpx.Request) -> httpx.Response:
        del request.headers["user-agent"]
        return FakeGitHub(BILLS)(request)

    error = refused(ProviderError, copilot(proxy).owner)
    assert "check the proxy" in str(error)
    assert diagnose(SPEC, TOKEN, error).code == OTHER


@pytest.mark.parametrize("key", ["github_pat_PLANTED", "ghs_PLANTED", "ghu_PLANTED"])
def test_an_enterprise_needs_a_classic_token(key: str) -> None:
    fake = FakeGitHub(BILLS, kind="enterprise")
    error = refused(WrongKindError, lambda: copilot(fake, key=key, enterprise="tidewater-labs"))
    assert "classic token (ghp_...)" in str(error)
    assert diagnose(SPEC, key, error).code == WRONG_KIND
    assert fake.requests == []


def test_a_limit_is_waited_for_and_no_refusal() -> None:
    time = Time()
    fake = FakeGitHub(BILLS, left=0, reset=NOW + timedelta(seconds=90))
    original = time.sleep

    def sleep(seconds: float) -> None:
        original(seconds)
        fake.left = 10

    time.sleep = sleep  # type: ignore[method-assign] # what passes is noticed by the fake
    assert copilot(fake, time).fetch(CREDITS, WINDOW, None).rows
    assert time.sleeps == [90]


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "60"}, 60),
        ({"x-ratelimit-remaining": "0", "retry-after": "5", "x-ratelimit-reset": "1"}, 5),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, 1),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}, 1),
        ({"x-ratelimit-remaining": "0"}, 1),
    ],
)
def test_how_long_a_limit_lasts(headers: dict[str, str], wait: int) -> None:
    time = Time()
    answers = [reply({"message": "You have exceeded a secondary rate limit."}, 403, headers)]

    def handler(request: httpx.Request) -> httpx.Response:
        return answers.pop() if answers else FakeGitHub(BILLS)(request)

    copilot(handler, time).owner()
    assert time.sleeps == [wait]


def test_a_limit_that_outlasts_the_run_is_left_to_the_next() -> None:
    fake = FakeGitHub(BILLS, left=0, reset=NOW + timedelta(minutes=40))
    error = refused(ProviderUnavailableError, copilot(fake).owner)
    assert "asks to wait 2400 seconds" in str(error)


@pytest.mark.parametrize(
    ("title", "model"),
    [
        ("Claude Sonnet 4.6", "claude-sonnet-4.6"),
        ("Auto: GPT-5.6", "gpt-5.6"),
        (" Gemini 3.1  Pro ", "gemini-3.1-pro"),
        ("Copilot Code Review", "Copilot Code Review"),
        ("Raptor mini", "Raptor mini"),
    ],
)
def test_titles_become_the_ids_of_models(title: str, model: str) -> None:
    assert _parsed(item(title, "1")).model == model


@pytest.mark.parametrize(
    ("unit", "quantity", "requests"),
    [("requests", 12, 12), ("Requests", 12.0, 12), ("requests", 0.33, 0), ("requests", -1, 0), ("ai-credits", 12, 0)],
)
def test_credits_are_no_requests(unit: str, quantity: float, requests: int) -> None:
    assert _parsed({**item("GPT-5.6", "1"), "unitType": unit, "grossQuantity": quantity}).usage.requests == requests


def test_nobody_is_named_in_what_is_stored() -> None:
    bill = [{**item("GPT-5.6", "1"), "user": "octocat", "userEmail": "octocat@example.com"}]
    [row] = copilot(FakeGitHub({FIRST.date(): bill})).fetch(CREDITS, WINDOW, None).rows
    assert "octocat" not in repr(row)
    assert {"grossAmount", "discountAmount", "netAmount", "pricePerUnit"} < set(row.raw)


def _parsed(row: dict[str, Any]) -> Any:  # noqa: ANN401 - a bucket
    provider = copilot(FakeGitHub({FIRST.date(): [row]}))
    return provider.parse(CREDITS, provider.fetch(CREDITS, WINDOW, None).rows[0])
