"""Dated price overrides as people entered them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.store.database import Connection


def overrides(connection: Connection) -> list[dict[str, Any]]:
    """Return every override: `id, model, provider, since`, prices in USD per million tokens, `created_at`."""
    return connection.execute(
        """
        SELECT id, model, provider, since, input_per_1m, output_per_1m, cache_read_per_1m, cache_write_per_1m,
            cache_write_1h_per_1m, created_at
        FROM price_overrides ORDER BY id
        """
    ).fetchall()
