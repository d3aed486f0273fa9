"""Lists of named things that providers page by the last id, such as keys, workspaces and projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from shared.errors import MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MAX_NAME_PAGES = 100

T_co = TypeVar("T_co", covariant=True)


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
