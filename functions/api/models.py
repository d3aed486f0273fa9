"""Models: their price today and where it comes from, the names they go by, and names of the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from functions.api.errors import refuse_unknown
from functions.api.lists import bare, is_flat
from functions.api.parameters import SHAPE
from functions.api.query import Param
from functions.api.routing import Body, Request, Result, Router, Scope
from functions.api.schemas import COUNT, FLAG, NUMBER_OR_NULL, TEXT, TEXT_OR_NULL, array, mapping, schema
from shared.core.naming import provider_id
from shared.errors import InvalidInputError, NotFoundError
from shared.store import models, prices
from shared.store.audit import Author
from shared.workflows.pricing import load_book, set_aliases

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from functions.runtime import App
    from shared.core.pricing import Rates
    from shared.prices.book import PriceBook

router: Router[App] = Router("Models")

LONGEST_NAME = 200  # characters
_MOST_ALIASES = 50
_NEAREST = 3
_PRICING = dict.fromkeys(prices.COLUMNS.values(), NUMBER_OR_NULL)
PRICING = schema(_PRICING, description="USD per million tokens")
_MODEL = {
    "id": TEXT,
    "name": TEXT,
    "provider": TEXT_OR_NULL,
    "aliases": array(TEXT),
    "pricing": PRICING,
    "since": {"type": ["string", "null"], "description": "UTC date on which this price began, where that is known"},
    "source": {"type": ["string", "null"], "description": "override, catalogue or built-in; null without a price"},
}
_DETAIL = schema(
    {
        **_MODEL,
        "tiers": {"type": "array", "description": "Prices of requests whose input is above so many tokens"},
        "adjustments": {"type": "array", "description": "Where the price is not simply the listed one, and why"},
    }
)
_PROVIDER = Param("provider", "Only models sold by this provider.", example="anthropic")


@dataclass(frozen=True, slots=True)
class Shelf:
    """Everything that a look at models needs: the price book, what was used, and the instant that is today."""

    book: PriceBook
    used: frozenset[tuple[str, str]]
    now: datetime

    @classmethod
    def open(cls, request: Request, app: App) -> Shelf:
        """Read the shelf as it is now."""
        return app.database.run(lambda c: cls(load_book(c, app.catalogue), frozenset(models.used(c)), request.now))

    def find(self, name: str, provider: str | None) -> tuple[str | None, str]:
        """Return (provider, canonical id) of a model by any of its names.

        Raises:
            NotFoundError: nobody knows it; the sentence names the nearest ones.
        """
        seller = provider or self._seller(name)
        model = self.book.canonical(seller, name)
        if self.book.is_known(seller, name) or any(used == model for _, used in self.used):
            return seller, model
        near = self.book.nearest(name, _NEAREST)
        hint = f"did you mean {' or '.join(near)}?" if near else "GET /api/models?all=true lists every one."
        raise NotFoundError(f"There is no model {name[:LONGEST_NAME]!r}; {hint}")

    def _seller(self, name: str) -> str | None:
        found = self.book.infer_provider(name)
        if found is None:
            found = next((seller for seller, model in sorted(self.used) if model.lower() == name.lower()), None)
        return found

    def listed(self, *, everything: bool) -> list[tuple[str | None, str]]:
        """Return (provider, id) of the names table and what was used or priced here; or of the whole catalogue too."""
        found: set[tuple[str | None, str]] = set(self.used)
        found.update((entry.provider, entry.id) for entry in self.book.names.entries if not entry.id.endswith("/*"))
        targets = {override.model for override in self.book.overrides} | set(self.book.names.aliases.values())
        known = {model for _, model in found}
        found.update((self.book.infer_provider(model), model) for model in targets - known)
        if everything:
            found.update((listing.provider, listing.id) for listing in self.book.catalogue.models())
        return sorted(found, key=lambda pair: (pair[0] or "", pair[1]))

    def rows(self, pairs: list[tuple[str | None, str]]) -> Iterator[dict[str, Any]]:
        """Yield models as lists show them."""
        titles = {(listing.provider, listing.id): listing.name for listing in self.book.catalogue.models()}
        for provider, model in pairs:
            card = self.book.card(provider, model, self.now)
            base = card.base if card else None
            listed = self.book.catalogue.canonical(provider, model)
            yield {
                "id": model,
                "name": titles.get((provider or "", listed or ""), model),
                "provider": provider,
                "aliases": self._aliases(model),
                "pricing": pricing(base),
                "since": base.since if base else None,
                "source": base.source if base else None,
            }

    def _aliases(self, model: str) -> list[str]:
        names = self.book.names
        own = {alias for alias, target in names.aliases.items() if target == model}
        entry = next((entry for entry in names.entries if entry.id == model), None)
        # A name that the user gave to another model is that one's now.
        shipped = {name for name in (entry.names if entry else ()) if names.aliases.get(name.lower(), model) == model}
        return sorted(own | shipped)


@router.get(
    "/api/models",
    scope=Scope.USAGE_READ,
    summary="Models with the price in force today, where it comes from and since when",
    description="Without `all` those of the names table and those that were used or priced here. With `id` one model, "
    "by any of its names: for ids with a slash.",
    query=(
        _PROVIDER,
        Param("q", "Only models whose id, name or alias holds this text."),
        Param("all", "The whole price catalogue.", "flag"),
        Param("id", "One model by any of its names, as /api/models/{id} answers it.", example="openai/gpt-4o"),
        SHAPE,
    ),
    response=schema({"success": FLAG, "data": {"type": ["array", "object"]}, "count": COUNT}, "count"),
    errors=(404,),
)
def list_models(request: Request, app: App) -> Result:
    """Answer models by provider and id, or the one that is asked for."""
    name = request.query.get("id", str)
    if name is not None:
        return _one(request, app, name)
    shelf = Shelf.open(request, app)
    pairs = shelf.listed(everything=request.query.flag("all"))
    provider = _provider(request)
    wanted = (request.query.get("q", str) or "").lower()
    rows = [
        row
        for row in shelf.rows([pair for pair in pairs if provider in {None, pair[0]}])
        if any(wanted in text.lower() for text in (row["id"], row["name"], *row["aliases"]))
    ]
    if is_flat(request):
        return bare([_flat(row) for row in rows], request)
    return {"success": True, "data": rows, "count": len(rows)}


@router.get(
    "/api/models/{id}",
    scope=Scope.USAGE_READ,
    summary="One model by any of its names",
    description="For ids with a slash use `GET /api/models?id=`.",
    query=(_PROVIDER,),
    response=schema({"success": FLAG, "data": _DETAIL}),
    errors=(404,),
)
def get_model(request: Request, app: App) -> Result:
    """Answer one model."""
    return _one(request, app, request.params["id"])


@router.put(
    "/api/models/{id}/aliases",
    scope=Scope.CONFIG_WRITE,
    summary="Set your own names for a model",
    description="The list replaces the one before; a name such as `sonnet`, or one of another model's, moves here. The "
    "next line that is written uses it. Lines that are stored keep their model until POST /admin/reprice.",
    body=Body(schema({"aliases": array(TEXT)}), {"aliases": ["sonnet", "our-best-model"]}),
    response=schema(
        {
            "success": FLAG,
            "data": schema(
                {
                    "id": TEXT,
                    "aliases": array(TEXT),
                    "moved": {**mapping(TEXT), "description": "Names that were another model's until now"},
                }
            ),
        }
    ),
    errors=(404,),
)
def put_aliases(request: Request, app: App) -> Result:
    """Store the aliases and answer with them."""
    body = request.json_object()
    refuse_unknown("field", body, ("aliases",))
    wanted = _wanted(body.get("aliases"))
    _, model = Shelf.open(request, app).find(request.params["id"], None)
    author = Author(request.caller.name, request.now)
    name, moved = set_aliases(app.database, app.catalogue, model, wanted, author)
    return {"success": True, "data": {"id": name, "aliases": wanted, "moved": moved}}


def pricing(rates: Rates | None) -> dict[str, Any]:
    """Return the prices that lists show, USD per million tokens; None where there is none."""
    return {column: None if rates is None else getattr(rates, name) for name, column in prices.COLUMNS.items()}


def _one(request: Request, app: App, name: str) -> dict[str, Any]:
    shelf = Shelf.open(request, app)
    provider, model = shelf.find(name, _provider(request))
    [row] = shelf.rows([(provider, model)])
    card = shelf.book.card(provider, model, shelf.now)
    tiers = card.tiers[1:] if card else ()
    row["tiers"] = [{"above": above, **pricing(rates)} for above, rates in tiers]
    row["adjustments"] = list(card.base.adjustments) if card else []
    return {"success": True, "data": row}


def _provider(request: Request) -> str | None:
    given = request.query.get("provider", str)
    return None if given is None else provider_id(given)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat = {name: value for name, value in row.items() if name != "pricing"}
    return {**flat, "aliases": " ".join(row["aliases"]), **row["pricing"]}


def _wanted(value: object) -> list[str]:
    if not isinstance(value, list) or len(value) > _MOST_ALIASES:
        raise _wrong(f"aliases must be a list of at most {_MOST_ALIASES} names; an empty one removes them.")
    found = []
    for item in value:
        alias = item.strip().lower() if isinstance(item, str) else ""
        if not alias or len(alias) > LONGEST_NAME or not alias.isprintable() or alias.endswith("/*"):
            raise _wrong(f"aliases holds something that is no name: write 1 to {LONGEST_NAME} printable characters.")
        found.append(alias)
    return sorted(set(found))


def _wrong(message: str) -> InvalidInputError:
    return InvalidInputError(f"The field {message}", [{"field": "aliases", "message": message}])
