"""Services that people pay for, and how each can be tracked: what has no API needs a hint where its figure is."""

from __future__ import annotations

from dataclasses import dataclass

API, EVENTS, MANUAL = TRACKED = ("api", "events", "manual")


@dataclass(frozen=True, slots=True)
class Service:
    """One service. `provider` is the name its lines have; `guidance` says in a sentence where the figure comes from."""

    id: str
    title: str
    provider: str
    tracked: str
    guidance: str


# Those in the registry of providers are tracked by their API, whatever is said here.
SERVICES = (
    Service(
        "openrouter", "OpenRouter", "openrouter", API,
        "Add an account with a management key; the last 30 days are read, and every day once it is over.",
    ),
    Service(
        "github-copilot", "GitHub Copilot", "github-copilot", MANUAL,
        "Enter seats times their price on the day of the bill; GitHub, Settings, Billing, Usage has both.",
    ),
    Service(
        "aws", "AWS Bedrock", "aws", EVENTS,
        "Send each call's token counts to POST /api/usage; the bill is in Cost Explorer under Amazon Bedrock.",
    ),
    Service(
        "google", "Google Gemini and Vertex AI", "google", EVENTS,
        "Send each answer's usageMetadata to POST /api/usage; the bill is in Cloud Billing, Reports.",
    ),
    Service(
        "azure", "Azure OpenAI", "azure", EVENTS,
        "Send each answer's usage object to POST /api/usage; the bill is in Cost Management under Foundry Models.",
    ),
    Service(
        "x-ai", "xAI", "x-ai", EVENTS,
        "Send each answer's usage object to POST /api/usage; console.x.ai, Billing has the amount.",
    ),
    Service(
        "moonshotai", "Moonshot (Kimi)", "moonshotai", EVENTS,
        "Send each answer's usage object to POST /api/usage; platform.moonshot.ai shows the balance only.",
    ),
    Service(
        "deepseek", "DeepSeek", "deepseek", EVENTS,
        "Send each answer's usage object to POST /api/usage; platform.deepseek.com, Usage has the amounts by month.",
    ),
    Service(
        "litellm", "LiteLLM proxy", "litellm", EVENTS,
        "Import its spend logs as events: they say who used what, and the upstream provider's bill is the money.",
    ),
    Service(
        "groq", "Groq", "groq", MANUAL,
        "Enter the day's or month's amount from console.groq.com, Settings, Billing.",
    ),
    Service(
        "perplexity", "Perplexity", "perplexity", MANUAL,
        "Enter the invoice from the API console, Billing, or send the usage.cost of each answer to POST /api/usage.",
    ),
    Service(
        "mistral", "Mistral", "mistral", MANUAL,
        "Enter the amount from admin.mistral.ai, Billing, Usage.",
    ),
    Service(
        "cursor", "Cursor", "cursor", MANUAL,
        "Enter the invoice from cursor.com, Dashboard, Billing.",
    ),
    Service(
        "local", "Local models", "local", EVENTS,
        "Send token counts to POST /api/usage with provider local; they have no price unless you set one.",
    ),
    Service(
        "claude-max", "Claude Pro, Max and Team", "anthropic", MANUAL,
        "Enter the price of the plan on the day it renews, from claude.ai, Settings, Billing.",
    ),
    Service(
        "chatgpt", "ChatGPT Plus, Pro and Team", "openai", MANUAL,
        "Enter the price of the plan on the day it renews, from chatgpt.com, Settings, Subscription.",
    ),
    Service(
        "copilot-seats", "GitHub Copilot seats", "github-copilot", MANUAL,
        "Enter the number of seats times the price of one on the first of the month, from GitHub, Billing, Licensing.",
    ),
    Service(
        "kimi-moderato", "Kimi Moderato", "moonshotai", MANUAL,
        "Enter the price of the plan on the day it renews, from kimi.com, Settings, Subscription.",
    ),
)  # fmt: skip
