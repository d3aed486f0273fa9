"""The lists of keys and workspaces: cursors by id, limits and filters of the Admin API."""

from collections.abc import Sequence

from infra.demo.dataset import Dataset, Json
from infra.demo.query import Query, refuse
from infra.demo.server import Request

PAGING = ("after_id", "before_id", "limit")
DEFAULT_LIMIT, MAX_LIMIT = 20, 1000
STATUSES = ("active", "inactive", "archived", "expired")


def api_keys(request: Request, dataset: Dataset) -> Json:
    """Answer `GET /v1/organizations/api_keys`; `?beta=true` gets the shape of the SDK."""
    query = Query(request, (*PAGING, "status", "workspace_id", "created_by_user_id", "beta"))
    status = query.text("status", STATUSES)
    workspace_id, creator = query.text("workspace_id"), query.text("created_by_user_id")
    beta = query.text("beta", ("true", "false")) == "true"
    keys = [
        key
        for key in dataset.keys
        if status in (None, key.status)
        and workspace_id in (None, key.workspace_id)
        and creator in (None, key.created_by)
    ]
    return _page(query, [key.wire(beta=beta) for key in keys])


def workspaces(request: Request, dataset: Dataset) -> Json:
    """Answer `GET /v1/organizations/workspaces`: archived ones only with `include_archived=true`."""
    query = Query(request, (*PAGING, "include_archived"))
    archived = query.text("include_archived", ("true", "false")) == "true"
    return _page(query, [w.wire() for w in dataset.workspaces if archived or w.archived_at is None])


def _page(query: Query, items: Sequence[Json]) -> Json:
    """Cut the page out of a list; `has_more` looks in the direction of reading."""
    limit = query.whole("limit", DEFAULT_LIMIT, MAX_LIMIT)
    after, before = query.text("after_id"), query.text("before_id")
    if after is not None and before is not None:
        raise refuse("before_id: Only one of after_id and before_id may be given")
    if before is not None:
        rest = items[: _position(items, "before_id", before)]
        page = rest[-limit:]
    else:
        rest = items if after is None else items[_position(items, "after_id", after) + 1 :]
        page = rest[:limit]
    return {
        "data": list(page),
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(rest) > len(page),
    }


def _position(items: Sequence[Json], name: str, wanted: str) -> int:
    for index, item in enumerate(items):
        if item["id"] == wanted:
            return index
    raise refuse(f"{name}: there is no object with the id {wanted!r}")
