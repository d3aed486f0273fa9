"""Which models were counted, and under which names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.store.database import Connection


def used(connection: Connection) -> list[tuple[str, str]]:
    """Return (provider, canonical id) of every model that was ever counted, in order.

    A bill's charges that stand where a model would are no models.
    """
    rows = connection.execute(
        """
        SELECT provider, model FROM models_used
        WHERE EXISTS (SELECT 1 FROM model_names WHERE model_names.model = models_used.model) ORDER BY provider, model
        """
    )
    return [(row["provider"], row["model"]) for row in rows]


def used_names(connection: Connection) -> list[tuple[str, str]]:
    """Return (provider, id as it was sent, in lower case) of every model that was ever counted, in order."""
    rows = connection.execute(
        """
        SELECT provider, name FROM models_used JOIN model_names ON model_names.model = models_used.model
        ORDER BY provider, name
        """
    )
    return [(row["provider"], row["name"]) for row in rows]
