"""What can go wrong on the wire, on demand: a test appends `Fault`s to a fake server, which uses them up in order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count

from infra.demo.dataset import Json

Transform = Callable[[Json], object]


@dataclass(slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong with the next matching requests; a request meets at most one fault.

    Which requests: `path` is a part of the path ("" matches all), `skip` lets that many matching requests through
    first, `times` is how many are hit (None: all that follow).

    What happens, combined as given: the server waits `hang` seconds; answers `status` (with `headers`, and `payload`
    or the provider's own error body) instead of the report; otherwise passes the report through `transform`, whose
    result is sent as JSON (a str verbatim); sends `text` instead of JSON; and with `cut` resets the connection
    half-way through the body. `ignore_page` answers the first page whatever page token was sent, so that invented
    tokens are accepted.
    """

    path: str = ""
    skip: int = 0
    times: int | None = 1
    hang: float = 0
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    payload: Json | None = None
    transform: Transform | None = None
    text: str | None = None
    cut: bool = False
    ignore_page: bool = False
    seen: int = field(default=0, init=False)

    def hits(self, path: str) -> bool:
        """Count a request and say whether this fault strikes it."""
        if self.path not in path:
            return False
        self.seen += 1
        return self.seen > self.skip

    @property
    def spent(self) -> bool:
        """Whether no further request will be hit."""
        return self.times is not None and self.seen >= self.skip + self.times


def rate_limited(path: str = "", *, retry_after: str | None = "1", times: int | None = 1) -> Fault:
    """Return a 429 with `retry-after` (seconds, or whatever a test wants in there), or without any."""
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return Fault(path=path, times=times, status=429, headers=headers)


def repeated_cursor(path: str = "") -> Fault:
    """Return a chain of pages whose token never changes."""
    return Fault(path=path, times=None, transform=_with_token(lambda: "page_again"), ignore_page=True)


def endless_chain(path: str = "") -> Fault:
    """Return a chain of pages that never ends, every token new."""
    numbers = count(1)
    return Fault(path=path, times=None, transform=_with_token(lambda: f"page_{next(numbers)}"), ignore_page=True)


def _with_token(token: Callable[[], str]) -> Transform:
    return lambda payload: {**payload, "has_more": True, "next_page": token()}


def missing_token(payload: Json) -> Json:
    """Say that there is more, but not where."""
    return {**payload, "has_more": True, "next_page": None}


def stray_token(payload: Json) -> Json:
    """Say that this is the end, and name a next page all the same."""
    return {**payload, "has_more": False, "next_page": "page_stray"}


def amount_as_object(payload: Json) -> Json:
    """Write amounts as `{"value", "currency"}`, which is another provider's shape."""
    return _each_row(payload, lambda row: {**row, "amount": {"value": row["amount"], "currency": "usd"}})


def counts_as_text(payload: Json) -> Json:
    """Write output tokens as a string."""
    return _each_row(payload, lambda row: {**row, "output_tokens": str(row["output_tokens"])})


def without_results(payload: Json) -> Json:
    """Leave the `results` of every bucket out."""
    return {**payload, "data": [{k: v for k, v in bucket.items() if k != "results"} for bucket in payload["data"]]}


def _each_row(payload: Json, change: Callable[[Json], Json]) -> Json:
    buckets = [{**bucket, "results": [change(row) for row in bucket["results"]]} for bucket in payload["data"]]
    return {**payload, "data": buckets}
