"""Which account an event without one belongs to."""

from shared.store import accounts
from shared.store.database import Connection


def test_a_polled_account_is_the_default_even_if_another_is_older(connection: Connection) -> None:
    stored = accounts.ensure(connection, "subscription", "anthropic", "stored")
    assert accounts.defaults(accounts.everyone(connection)) == {"anthropic": stored.id}
    polled = accounts.ensure(connection, "anthropic", "anthropic", "environment")
    accounts.ensure(connection, "second", "anthropic", "environment")
    other = accounts.ensure(connection, "codex", "openai", "stored")
    assert accounts.defaults(accounts.everyone(connection)) == {"anthropic": polled.id, "openai": other.id}
