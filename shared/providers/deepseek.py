"""DeepSeek's prepaid balance, read with an ordinary API key; its API has no usage.

Source: "Get user balance", api-docs.deepseek.com/api/get-user-balance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import MalformedResponseError
from shared.providers.base import Balance
from shared.providers.payload import Payload, read
from shared.providers.prepaid import Amount, Currency, Prepaid
from shared.providers.spec import KeySetting, ProviderSpec, WrongKey

if TYPE_CHECKING:
    import httpx

    from shared.providers.http import Budget

_PATH = "/user/balance"


class _Money(Payload):
    """`total_balance` is what was granted and has not expired, and what was topped up."""

    currency: Currency
    total_balance: Amount
    granted_balance: Amount
    topped_up_balance: Amount


class _Answer(Payload):
    is_available: bool
    balance_infos: list[_Money]


class DeepSeek(Prepaid):
    """One account, which may hold yuan and dollars."""

    name = "deepseek"

    def __init__(self, key: str, base_url: str, http: httpx.Client, budget: Budget) -> None:
        super().__init__(SPEC, key, base_url, http, budget)

    def balances(self) -> tuple[Balance, ...]:
        """Return the balance in each currency; see `HasBalances.balances`."""
        source = f"{self.title}'s {_PATH}"
        found = read(_Answer, self.client.get(_PATH), source).balance_infos
        if len({one.currency for one in found}) < len(found):
            raise MalformedResponseError(f"{source} has a currency twice at balance_infos.")
        return tuple(
            Balance(
                one.currency,
                one.total_balance,
                "total balance",
                granted=one.granted_balance,
                topped_up=one.topped_up_balance,
            )
            for one in found
        )


SPEC = ProviderSpec(
    name=DeepSeek.name,
    title="DeepSeek",
    make=DeepSeek,
    base_url="https://api.deepseek.com",
    key_settings=(KeySetting("DEEPSEEK_API_KEY"),),
    key_needed="DeepSeek's balance needs an API key (sk-...), which platform.deepseek.com makes under API keys.",
    wrong_keys=(
        WrongKey("sk-ant-", "a key of Anthropic"),
        WrongKey("sk-or-", "a key of OpenRouter"),
        WrongKey("sk-proj-", "a key of OpenAI"),
    ),
    has_reports=False,
)
