"""The demo's providers: fake servers on loopback, and the settings that lead to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import SecretStr

from infra.demo import anthropic
from infra.demo.openai import fake as openai

if TYPE_CHECKING:
    from shared.config import Settings


class DemoProviders:
    """Every provider of the synthetic organisation, served between `start` and `stop`."""

    def __init__(self) -> None:
        self._anthropic = anthropic.FakeAnthropic()
        self._openai = openai.FakeOpenAI()

    def start(self) -> Self:
        """Serve all of them."""
        self._anthropic.start()
        self._openai.start()
        return self

    def stop(self) -> None:
        """Stop serving."""
        self._anthropic.stop()
        self._openai.stop()

    def settings(self, settings: Settings) -> Settings:
        """Return the settings with the fake providers' keys and addresses, and no others.

        With --demo there may be real keys. What they open has no place beside invented figures.
        """
        no_keys: dict[str, object] = {name.lower(): None for name in settings.credentials()}
        fake = {
            "anthropic_admin_key": SecretStr(anthropic.ADMIN_KEY),
            "anthropic_base_url": self._anthropic.url,
            "openai_admin_key": SecretStr(openai.ADMIN_KEY),
            "openai_base_url": self._openai.base_url,
        }
        return settings.model_copy(update=no_keys | fake)
