"""Services that people pay for, and how each can be tracked: what has no API needs a hint where its figure is."""

from __future__ import annotations

from dataclasses import dataclass

API, EVENTS, MANUAL = TRACKED = ("api", "events", "manual")


@dataclass(frozen=True, slots=True)
class Service:
    """One service. `provider` is the name its lines have; `guidance` says in a sentence where the figure comes from.

    `repeat` is how often its entry by hand recurs, None for an amount that differs each time; `day` says on which day.
    """

    id: str
    title: str
    provider: str
    tracked: str
    guidance: str
    repeat: str | None = None
    day: str | None = None


# Those in the registry of providers are tracked by their API, whatever is said here.
SERVICES = (
    Service(
        "google", "Google Gemini and Vertex AI", "google", EVENTS,
        "Send each answer's usageMetadata to POST /api/usage; the bill is in Cloud Billing, Reports.",
    ),
    Service(
        "azure", "Azure OpenAI", "azure", EVENTS,
        "Send each answer's usage object to POST /api/usage; the bill is in Cost Management under Foundry Models.",
    ),
    Service(
        "groq", "Groq", "groq", MANUAL,
        "Enter each month's invoice from console.groq.com, Settings, Billing, at its last day; new accounts are "
        "invoiced within the month as well, and Dashboard, Usage has the amount by day.",
    ),
    Service(
        "perplexity", "Perplexity", "perplexity", MANUAL,
        "Enter what console.perplexity.ai, Billing says was used in the month, or send the usage.cost of each answer "
        "to POST /api/usage; credits that were bought are no cost until they are used.",
    ),
    Service(
        "mistral", "Mistral", "mistral", MANUAL,
        "Enter the total of the month from admin.mistral.ai, API, Usage, at its last day; amounts may be in euros.",
    ),
    Service(
        "cursor", "Cursor", "cursor", MANUAL,
        "Enter the invoice from cursor.com, Dashboard, Billing.",
    ),
    Service(
        "local", "Local models", "local", EVENTS,
        "Send token counts to POST /api/usage with provider local; they have no price unless you set one. A rented "
        "machine or its electricity is an entry by hand, such as service local every month.",
    ),
    Service(
        "claude-max", "Claude Pro, Max and Team", "claude-max", MANUAL,
        "Enter the price of the plan with its tax from claude.ai, Settings, Billing, Invoices (Team: Admin settings, "
        "Billing; seats times their price).",
        "monthly", "the day it renews, which the last invoice names",
    ),
    Service(
        "chatgpt", "ChatGPT Plus, Pro and Team", "openai", MANUAL,
        "Enter the price of the plan with its tax from chatgpt.com, Settings, Subscription (Team: Manage workspace, "
        "Billing; seats times their price).",
        "monthly", "the day it renews",
    ),
    Service(
        "copilot-seats", "GitHub Copilot seats", "copilot-seats", MANUAL,
        "Enter the number of seats times the price of one, from GitHub, Organization settings, Billing and licensing, "
        "Licensing; what is used beyond them is in the account github-copilot.",
        "monthly", "the first of the month",
    ),
    Service(
        "kimi-moderato", "Kimi Moderato", "kimi-moderato", MANUAL,
        "Enter the price of the plan from kimi.com, Settings, Subscription.",
        "monthly", "the day it renews",
    ),
)  # fmt: skip
