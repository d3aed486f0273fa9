"""The price book of this moment: the catalogue under the overrides that people stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.prices.book import PriceBook
from shared.prices.overrides import Override
from shared.store import prices

if TYPE_CHECKING:
    from shared.prices.catalogue import Catalogue
    from shared.store.database import Connection


def load_book(connection: Connection, catalogue: Catalogue) -> PriceBook:
    """Return the catalogue with every stored override."""
    overrides = [
        Override(
            id=str(row["id"]),
            model=row["model"],
            provider=row["provider"],
            since=row["since"],
            input=row["input_per_1m"],
            output=row["output_per_1m"],
            cache_read=row["cache_read_per_1m"],
            cache_write_5m=row["cache_write_per_1m"],
            cache_write_1h=row["cache_write_1h_per_1m"],
            created_at=row["created_at"],
        )
        for row in prices.overrides(connection)
    ]
    return PriceBook(overrides, catalogue)
