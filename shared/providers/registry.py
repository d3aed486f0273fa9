"""Every provider we can poll. To add one: its file, its line here, its fixture under tests/fixtures/providers/."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.providers import anthropic, openai

if TYPE_CHECKING:
    from shared.providers.spec import ProviderSpec

REGISTRY: dict[str, ProviderSpec] = {
    "anthropic": anthropic.SPEC,
    "openai": openai.SPEC,
}
