"""Units into the ledger, through the API: in batches, again and again until each is answered.

Every row has an event id of its source's, so sending twice stores once. A conflict means that another version of the
response is stored: the fuller one counts, and where that is ours it goes in under an id of its own, and then the
stored one is voided. In this order nothing is lost if we are stopped in between; the next run finishes it.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from cost_tracker.client import ApiError, UnreachableError
from cost_tracker.imports.dedupe import Winner
from shared.core import jsontext
from shared.core.event_ids import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from cost_tracker.client import Client
    from cost_tracker.imports.units import Unit

MOST_ROWS = 5000
MOST_BYTES = 3_500_000
# A dry run answers with whole records, and answers are bounded too.
_DRY_ROWS = 500
_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_AGAIN = frozenset(
    {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)
_INSTEAD = re.compile(r"counted as record (\d+)")
_EXAMPLES = 5
_TOKENS = ("tokens_in", "tokens_out", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens")

# Where a record has another name for what is sent.
_RECORDED = {"tokens_in": "input_tokens", "tokens_out": "output_tokens", "model": "model_raw", "cost": "reported_cost"}

Row: TypeAlias = dict[str, Any]


class Taken(NamedTuple):
    """A winner with the ids of its ledger lines; None where the ledger refused one of its rows."""

    winner: Winner
    ids: tuple[int, ...] | None


@dataclass(slots=True)
class Sent:
    """What the ledger answered so far, in rows.

    `differing` are those of `already` that are stored with another account, project or the like, which was kept.
    `cost` (USD) is known in a dry run only. `witness` is a line that was made, with its event id.
    """

    created: int = 0
    already: int = 0
    differing: int = 0
    revised: int = 0
    voided: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    unpriced: Counter[str] = field(default_factory=Counter)
    warnings: dict[str, str] = field(default_factory=dict)
    cost: Any = 0
    witness: tuple[int, str] | None = None


class Sender:
    """Sends units through `client`; `sent` is the sum of the answers.

    `moves` are fields, `account` or `project`, whose value the caller chose: what is stored under another is corrected.
    """

    def __init__(
        self,
        client: Client,
        *,
        moves: Sequence[str] = (),
        dry_run: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._moves = moves
        self.sent = Sent()
        self._client = client
        self._dry_run = dry_run
        self._sleep = sleep

    def send(self, winners: Iterable[Winner]) -> Iterator[list[Taken]]:
        """Send everything and yield what was answered, batch by batch; what replaces something is voided by then.

        Raises:
            ApiError: the service refuses all of it, such as for its key.
            UnreachableError: nothing answers, even after a minute.
        """
        for batch in _batches(winners, _DRY_ROWS if self._dry_run else MOST_ROWS):
            yield self._send(batch)

    def _send(self, batch: Sequence[Winner]) -> list[Taken]:
        try:
            answer = self._post(_body(batch), batch[0].unit.source, dry_run=self._dry_run)
        except ApiError as error:
            if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and len(batch) > 1:
                middle = len(batch) // 2
                return self._send(batch[:middle]) + self._send(batch[middle:])
            raise
        self._note(answer)
        results = iter(answer["results"])
        taken = []
        for winner in batch:
            ids = [self._settled(winner, number, next(results)) for number in range(winner.unit.size)]
            found = None if None in ids else tuple(line_id for line_id in ids if line_id is not None)
            if found and not self._dry_run:
                self._void(winner, found)
            taken.append(Taken(winner, found))
        return taken

    def _settled(self, winner: Winner, number: int, result: Row) -> int | None:
        """Return the id of the line that a row is now, None where it was refused; 0 in a dry run."""
        sent = self.sent
        if result["status"] == "created":
            sent.created += 1
            if self._dry_run:
                sent.cost += result["data"]["cost_usd"] or 0
                return 0
            if sent.witness is None:
                sent.witness = (result["id"], _row(winner, number)["event_id"])
            return int(result["id"])
        if result["status"] == "duplicate":
            sent.already += 1
            return int(result["id"])
        error = result["error"]
        if error["code"] == "conflict" and result["id"] is not None:
            return self._resolved(_row(winner, number), int(result["id"]), winner.unit.source)
        sent.rejected += 1
        field_name = error["details"][0]["field"] if error["details"] else ""
        sent.reasons[_reason(field_name, error["message"], len(sent.reasons))] += 1
        return None

    def _resolved(self, row: Row, line_id: int, source: str) -> int:
        """Return the line that counts a response of which another version is stored as `line_id`."""
        line_id, stored = self._latest(line_id)
        record, size = stored["data"], _size(row)
        moved = [str(row.get(name)) for name in self._moves if str(row.get(name)) != str(record.get(name))]
        is_better = size > int(record["total_tokens"]) or (size == int(record["total_tokens"]) and moved)
        if stored.get("voided") or not is_better:
            self.sent.already += 1
            self.sent.differing += not _is_said(row, record)
            return line_id
        self.sent.revised += 1
        if self._dry_run:
            return line_id
        where = f"-{digest(' '.join(moved), 6).hex()}" if moved else ""
        better = {**row, "event_id": f"{row['event_id']}~{size}{where}"}
        [result] = self._post(jsontext.dumps([better]).encode(), source, dry_run=False)["results"]
        if result["id"] is None:
            return line_id
        # It may be there from a run that was stopped, and it may have been replaced since, even by what is stored.
        last, found = self._latest(int(result["id"]))
        if last == line_id or found.get("voided"):
            return line_id
        self._post_void(line_id, last)
        return last

    def _latest(self, line_id: int) -> tuple[int, Row]:
        """Return the line that a line was replaced by, and so on to the last one, with its record."""
        stored = self._get(line_id)
        while (voided := stored.get("voided")) and (after := _INSTEAD.search(voided["reason"])):
            line_id = int(after[1])
            stored = self._get(line_id)
        return line_id, stored

    def retract(self, units: Sequence[Unit], instead: Mapping[bytes, int]) -> None:
        """Void what the ledger holds of units that do not count, given by group the line that does."""
        for batch in _batches((Winner(unit, ()) for unit in units if unit.group in instead), _DRY_ROWS):
            results = iter(self._post(_body(batch), batch[0].unit.source, dry_run=True)["results"])
            for unit, _ in batch:
                found = [next(results) for _ in range(unit.size)]
                for line_id in {int(result["id"]) for result in found if result["id"] is not None}:
                    last, stored = self._latest(line_id)
                    if not stored.get("voided") and last != instead[unit.group]:
                        self._post_void(last, instead[unit.group])
                        self.sent.voided += 1

    def _void(self, winner: Winner, ids: Sequence[int]) -> None:
        """Take out of the figures what a winner is counted instead of."""
        for line_id in {line_id for old in winner.instead_of for line_id in old.ids} - set(ids):
            if not (voided := self._get(line_id).get("voided")):
                self._post_void(line_id, ids[0])
                self.sent.voided += not voided

    def _post_void(self, line_id: int, instead: int) -> None:
        reason = f"Another version of the same response is counted as record {instead}."
        self._patiently(lambda: self._client.post(f"/api/usage/{line_id}/void", {"reason": reason}))

    def _get(self, line_id: int) -> Row:
        found: Row = self._patiently(lambda: self._client.get(f"/api/usage/{line_id}"))
        return found

    def _post(self, body: bytes, source: str, *, dry_run: bool) -> Row:
        answer: Row = self._patiently(
            lambda: self._client.post("/api/usage", body, source=source, dry_run=dry_run or None)
        )
        return answer

    def _patiently(self, ask: Callable[[], Any]) -> Any:  # noqa: ANN401 - JSON of any shape
        for pause in _PAUSES:
            try:
                return ask()
            except UnreachableError:
                self._sleep(pause)
            except ApiError as error:
                if error.status not in _AGAIN:
                    raise
                self._sleep(pause)
        return ask()

    def _note(self, answer: Row) -> None:
        unpriced = answer.get("unpriced", {})
        self.sent.unpriced.update(unpriced)
        for model, sentence in zip(
            sorted(unpriced, key=lambda name: -unpriced[name]), answer.get("warnings", ()), strict=False
        ):
            hint = sentence.partition("; did you mean ")[2]
            self.sent.warnings.setdefault(model, hint)


def _batches(winners: Iterable[Winner], most: int) -> Iterator[list[Winner]]:
    batch: list[Winner] = []
    rows = size = 0
    for winner in winners:
        unit = winner.unit
        is_full = rows + unit.size > most or size + len(unit.rows) > MOST_BYTES
        if batch and (is_full or unit.source != batch[0].unit.source):
            yield batch
            batch, rows, size = [], 0, 0
        batch.append(winner)
        rows += unit.size
        size += len(unit.rows) + 1
    if batch:
        yield batch


def _body(batch: Sequence[Winner]) -> bytes:
    return b"[" + b",".join(winner.unit.rows for winner in batch) + b"]"


def _row(winner: Winner, number: int) -> Row:
    row: Row = jsontext.loads(b"[" + winner.unit.rows + b"]")[number]
    return row


def _size(row: Row) -> int:
    """Return how full a version of a response is."""
    return int(sum(row.get(name, 0) for name in _TOKENS))


def _is_said(row: Row, record: Row) -> bool:
    """Return whether a stored record says all that a row says."""
    return all(str(record.get(_RECORDED.get(name, name))) == str(value) for name, value in row.items())


def _reason(name: str, message: str, kinds: int) -> str:
    """Return the sentence of a refused row; beyond the first few kinds only the field, as each may name its value."""
    return message if kinds < _EXAMPLES else f"{name or 'row'}: refused"
