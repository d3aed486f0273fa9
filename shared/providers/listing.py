"""Lists of named things that providers page by the last id or by an offset, such as keys, workspaces and projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

import httpx

from shared.errors import MalformedResponseError, ProviderError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MAX_NAME_PAGES = 100

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class NotListedError(ProviderError):
    """There is nothing at this address."""


def missing(status: int, _said: str) -> type[ProviderError]:
    """Pick the error of a refusal: nothing there, or anything else."""
    return NotListedError if status == httpx.codes.NOT_FOUND else ProviderError


class Listed(Protocol[T_co]):
    """One page of a list."""

    @property
    def data(self) -> Sequence[T_co]:
        """What the page names."""

    @property
    def has_more(self) -> bool:
        """Whether another page follows."""

    @property
    def last_id(self) -> str | None:
        """The id after which the next page begins."""


def listed(read_page: Callable[[str | None], Listed[T_co]], source: str) -> Iterator[T_co]:
    """Yield everything of a list; `read_page(last_id)` reads a page, the first one with None.

    Raises:
        MalformedResponseError: the chain breaks off, returns to an earlier page or never ends; `source` names it.
    """
    last: str | None = None
    seen: set[str] = set()
    for _ in range(MAX_NAME_PAGES):
        page = read_page(last)
        yield from page.data
        if not page.has_more:
            return
        last = page.last_id
        if not last or last in seen:
            raise MalformedResponseError(f"{source} promises more but its last_id is missing or was given before.")
        seen.add(last)
    raise MalformedResponseError(f"{source} has not ended after {MAX_NAME_PAGES} pages.")


def listed_by_offset(read_page: Callable[[int], Sequence[T]], id_of: Callable[[T], str], source: str) -> Iterator[T]:
    """Yield everything of a list, each id once; `read_page(offset)` reads a page, the first one with 0.

    A page with nothing new ends it: the one past the end, one that moved on as the list grew, or a repeated one.

    Raises:
        MalformedResponseError: it never ends; `source` names it.
    """
    seen: set[str] = set()
    offset = 0
    for _ in range(MAX_NAME_PAGES):
        page = read_page(offset)
        fresh = {id_of(one): one for one in page if id_of(one) not in seen}
        if not fresh:
            return
        yield from fresh.values()
        seen.update(fresh)
        offset += len(page)
    raise MalformedResponseError(f"{source} has not ended after {MAX_NAME_PAGES} pages.")
