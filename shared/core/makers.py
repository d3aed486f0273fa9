"""Who sells a model and who made it, under the names they write on invoices."""

from __future__ import annotations

import re

from shared.core.naming import provider_id

_NAMES = {
    "anthropic": "Anthropic",
    "openai": "OpenAI",
    "openrouter": "OpenRouter",
    "perplexity": "Perplexity",
    "mistral": "Mistral AI",
    "x-ai": "xAI",
    "moonshotai": "Moonshot AI",
    "deepseek": "DeepSeek",
    "aws": "AWS",
    "google": "Google",
    "azure": "Microsoft",
    "github-copilot": "GitHub",
    "groq": "Groq",
    "cohere": "Cohere",
    "meta-llama": "Meta",
}

# How models' names begin, by the provider id of their maker or, where that sells nothing itself, by its name.
_MAKERS = {
    "anthropic": ("claude",),
    "openai": ("gpt", "o1", "o3", "o4", "chatgpt", "codex", "text-embedding", "dall-e", "whisper", "davinci", "sora"),
    "google": ("gemini", "gemma", "imagen", "veo"),
    "mistral": ("mistral", "mixtral", "codestral", "ministral", "devstral", "magistral", "pixtral"),
    "deepseek": ("deepseek",),
    "x-ai": ("grok",),
    "perplexity": ("sonar",),
    "moonshotai": ("kimi", "moonshot"),
    "cohere": ("command", "cohere"),
    "Meta": ("llama",),
    "Alibaba Cloud": ("qwen", "qwq"),
    "Amazon": ("nova", "titan"),
    "Z.ai": ("glm",),
}
_BY_PREFIX = sorted(
    ((prefix, maker) for maker, prefixes in _MAKERS.items() for prefix in prefixes), key=lambda pair: -len(pair[0])
)


def seller(provider: str) -> str:
    """Return the name of a provider (an id of ours) as it is written; one we do not know as it is."""
    return _NAMES.get(provider, provider)


def maker(provider: str, model: str) -> str:
    """Return who made a model: by how its name begins, else by a prefix that is a provider's, else its seller.

    `anthropic/claude-opus-4-6`, sold by OpenRouter, is Anthropic's; so is `us.anthropic.claude-...` at AWS.
    """
    for word in reversed(re.split(r"[/.]", model.lower())):
        found = next((made_by for prefix, made_by in _BY_PREFIX if word.startswith(prefix)), None)
        found = found or (provider_id(word) if provider_id(word) in _NAMES else None)
        if found is not None:
            return _NAMES.get(found, found)
    return seller(provider)
