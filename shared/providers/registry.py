"""Every provider we can poll. To add one: its file, its line here, its fixture under tests/fixtures/providers/."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.providers.spec import ProviderSpec

# The files beside this one, each with its SPEC.
_FILES = (
    "anthropic",
    "openai",
    "openrouter",
    "moonshotai",
    "deepseek",
    "github_copilot",
    "x_ai",
    "litellm",
    "aws",
)

_SPECS: list[ProviderSpec] = [import_module(f"shared.providers.{file}").SPEC for file in _FILES]
REGISTRY: dict[str, ProviderSpec] = {spec.name: spec for spec in _SPECS}
