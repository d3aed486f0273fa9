"""The demo's providers: fake servers on loopback, the settings that lead to them, and invoices by hand."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Self

from pydantic import SecretStr

from infra.demo import anthropic
from infra.demo.invoices import invoices
from infra.demo.openai import fake as openai
from infra.demo.openrouter import fake as openrouter
from shared.store import accounts, records
from shared.store.reports import Filters
from shared.workflows import manual
from shared.workflows.pricing import load_book

if TYPE_CHECKING:
    from functions.runtime import App
    from infra.demo.invoices import Invoice
    from shared.config import Settings
    from shared.store.database import Connection


class DemoProviders:
    """Every provider of the synthetic organisation, served between `start` and `stop`."""

    def __init__(self) -> None:
        self._anthropic = anthropic.FakeAnthropic()
        self._openai = openai.FakeOpenAI()
        self._openrouter = openrouter.FakeOpenRouter()

    def start(self) -> Self:
        """Serve all of them."""
        self._anthropic.start()
        self._openai.start()
        self._openrouter.start()
        return self

    def stop(self) -> None:
        """Stop serving."""
        self._anthropic.stop()
        self._openai.stop()
        self._openrouter.stop()

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
            "openrouter_api_key": SecretStr(openrouter.MANAGEMENT_KEY),
            "openrouter_base_url": self._openrouter.base_url,
        }
        return settings.model_copy(update=no_keys | fake)


def enter_invoices(app: App) -> None:
    """Enter by hand what only an invoice tells, each invoice once, under an account of the demo."""
    for invoice in invoices(app.clock().astimezone(UTC).date()):
        account = f"{invoice.service}-demo"
        if not app.database.run(lambda c, i=invoice, a=account: _is_entered(c, i, a)):  # type: ignore[misc] # run at once
            body = {
                "service": invoice.service,
                "account": account,
                "date": f"{invoice.date}",
                "cost": invoice.cost,
                "notes": invoice.notes,
            }
            manual.create(app.database, lambda c: load_book(c, app.catalogue), body, app.clock())


def _is_entered(connection: Connection, invoice: Invoice, account: str) -> bool:
    held = accounts.ensure(connection, account, invoice.service, "demo")
    midnight = datetime.combine(invoice.date, time(0), tzinfo=UTC)
    same = Filters({"account_id": [held.id], "source": ["manual"]})
    return bool(records.page(connection, (midnight, midnight + timedelta(days=1)), same, None, 1, 0))
