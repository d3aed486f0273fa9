"""How every list answers: a page with its cursor and the URL of the next one, or bare flat objects with a Link."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.api.routing import Answer, Request, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def page_of(
    request: Request,
    rows: Sequence[Mapping[str, Any]],
    limit: int,
    cursor_of: Callable[[Mapping[str, Any]], str],
    flat: Callable[[Mapping[str, Any]], Mapping[str, Any]],
) -> Result:
    """Answer the first `limit` of `rows`, of which one more was read to see whether there is a next page.

    `cursor_of` names a row for the cursor of the page after it, `flat` gives the scalars of a row for `?shape=flat`.
    """
    page, has_more = rows[:limit], len(rows) > limit
    cursor = cursor_of(page[-1]) if has_more else None
    following = request.url(cursor=cursor, offset=None) if has_more else None
    if is_flat(request):
        return bare([flat(row) for row in page], request, following)
    return {
        "success": True,
        "data": page,
        "count": len(page),
        "has_more": has_more,
        "next_cursor": cursor,
        "next": following,
    }


def is_flat(request: Request) -> bool:
    """Tell whether the caller wants the bare array."""
    return request.query.get("shape", str) == "flat"


def bare(rows: Sequence[Mapping[str, Any]], request: Request, following: str | None = None) -> Answer:
    """Answer the bare array; its Link names this answer and the next page, if there is one."""
    links = [f'<{request.url()}>; rel="self"', *([f'<{following}>; rel="next"'] if following else [])]
    return Answer(rows, headers={"Link": ", ".join(links)})
