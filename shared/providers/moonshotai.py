"""Moonshot's (Kimi's) prepaid balance, read with an ordinary API key; its API has no usage.

Source: "Check balance", platform.moonshot.ai/docs/api/balance, and its Chinese edition for the currency there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from shared.providers.base import Balance
from shared.providers.payload import Payload, read
from shared.providers.prepaid import Amount, Prepaid
from shared.providers.spec import KeySetting, Option, ProviderSpec, WrongKey

if TYPE_CHECKING:
    import httpx

    from shared.providers.http import Budget

_PATH = "/users/me/balance"
_GLOBAL, _CHINA = "https://api.moonshot.ai/v1", "https://api.moonshot.cn/v1"
_REGIONS = ("ai", "cn")


class _Money(Payload):
    """`cash` is below zero while something is owed, and `available` is the vouchers' then."""

    available_balance: Amount
    voucher_balance: Amount
    cash_balance: Amount


class _Answer(Payload):
    code: Literal[0]
    status: Literal[True]
    data: _Money


class Moonshot(Prepaid):
    """One account of one of the two platforms, which share neither keys nor money nor currency."""

    name = "moonshotai"

    def __init__(self, key: str, base_url: str, http: httpx.Client, budget: Budget, region: str | None = None) -> None:
        if region == "cn" and base_url == _GLOBAL:
            base_url = _CHINA
        in_china = (urlsplit(base_url).hostname or "").endswith(".cn") if region is None else region == "cn"
        # The answer does not say; the platforms' documentation does.
        self._currency = "CNY" if in_china else "USD"
        super().__init__(SPEC, key, base_url, http, budget)

    def balances(self) -> tuple[Balance, ...]:
        """Return the one balance; see `HasBalances.balances`."""
        money = read(_Answer, self.client.get(_PATH), f"{self.title}'s {_PATH}").data
        return (
            Balance(
                self._currency,
                money.available_balance,
                "available balance",
                granted=money.voucher_balance,
                topped_up=money.cash_balance,
            ),
        )


SPEC = ProviderSpec(
    name=Moonshot.name,
    title="Moonshot (Kimi)",
    make=Moonshot,
    base_url=_GLOBAL,
    key_settings=(KeySetting("MOONSHOT_API_KEY"),),
    key_needed=(
        "Moonshot's balance needs an API key (sk-...) of the platform that is asked: keys of platform.moonshot.ai work "
        "at api.moonshot.ai only, keys of platform.moonshot.cn need the option region=cn, or MOONSHOTAI_BASE_URL="
        f"{_CHINA}."
    ),
    wrong_keys=(
        WrongKey("sk-kimi-", "the key of a Kimi subscription"),
        WrongKey("sk-ant-", "a key of Anthropic"),
        WrongKey("sk-or-", "a key of OpenRouter"),
        WrongKey("sk-proj-", "a key of OpenAI"),
    ),
    options=(
        Option("region", "Which platform the key is from: ai (the default) or cn (mainland China).", choices=_REGIONS),
    ),
    has_reports=False,
)
