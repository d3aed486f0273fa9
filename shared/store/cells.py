"""Lines added up before they reach the database: what a batch does to the roll-up, one row per cell of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

# The columns of sums that `rows` gives behind slot and keys, counts first, then money.
COUNTED = (
    "lines", "requests", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens",
    "cache_write_1h_tokens", "reasoning_tokens", "audio_tokens", "image_tokens", "web_searches", "unpriced_requests",
    "unpriced_tokens",
)  # fmt: skip
AMOUNTS = (
    "cost", "input_cost", "output_cost", "cache_read_cost", "cache_write_5m_cost", "cache_write_1h_cost", "audio_cost",
    "image_cost", "web_search_cost", "request_cost",
)  # fmt: skip

# A slot's start (ISO 8601 in UTC), the numbers of its first and second keys, and the scale of its amounts.
Place: TypeAlias = tuple[str, int, int, int]
Keys: TypeAlias = tuple[str | int, ...]


class Cells:
    """Sums per quarter hour and set of keys; the keys are given once and then named by a number.

    Amounts are whole numbers of 10^-digits USD; sums of different scales are brought together by `rows`.
    """

    def __init__(self) -> None:
        self._first: dict[Keys, int] = {}
        self._second: dict[Keys, int] = {}
        self._sums: dict[Place, tuple[list[int], list[int]]] = {}

    def first_keys(self, keys: Keys) -> int:
        """Return the number of (provider, account id or 0, model)."""
        return self._first.setdefault(keys, len(self._first))

    def second_keys(self, keys: Keys) -> int:
        """Return the number of (project, session type, agent, category, user, request type, source)."""
        return self._second.setdefault(keys, len(self._second))

    def add(self, place: Place, counts: Sequence[int], amounts: Sequence[int] | None) -> None:
        """Count one line in: counts in the order of `Usage`'s fields; costs in that of `Costs`' and their total.

        Without a price the amounts are None, and the line counts as unpriced.
        """
        cell = self._sums.get(place)
        if cell is None:
            cell = self._sums[place] = ([0] * len(COUNTED), [0] * len(AMOUNTS))
        sums, costs = cell
        inputs, outputs, read, short, long, reasoning, audio_in, audio_out, image_in, image_out, searches, requests = (
            counts
        )
        sums[0] += 1
        sums[1] += requests
        sums[2] += inputs
        sums[3] += outputs
        sums[4] += read
        sums[5] += short
        sums[6] += long
        sums[7] += reasoning
        if audio_in or audio_out or image_in or image_out or searches:
            sums[8] += audio_in + audio_out
            sums[9] += image_in + image_out
            sums[10] += searches
        if amounts is None:
            sums[11] += requests
            sums[12] += inputs + outputs + read + short + long
            return
        input_, output, read, short, long, audio, image, search, fee, whole = amounts
        costs[0] += whole
        costs[1] += input_
        costs[2] += output
        costs[3] += read
        if short or long or audio or image or search or fee:
            costs[4] += short
            costs[5] += long
            costs[6] += audio
            costs[7] += image
            costs[8] += search
            costs[9] += fee

    def groups(self) -> set[tuple[int, str, str]]:
        """Return (account id, slot, model) of every line that has an account."""
        first = list(self._first)
        found = {(first[number], slot) for slot, number, _, _ in self._sums}
        return {(int(keys[1]), slot, str(keys[2])) for keys, slot in found if keys[1]}

    def rows(self) -> list[list[Any]]:
        """Return slot, keys and sums (as text) of every cell, in the order of the roll-up's columns."""
        first, second = list(self._first), list(self._second)
        merged: dict[tuple[str, int, int], list[tuple[int, list[int], list[int]]]] = {}
        for (slot, a, b, digits), (counts, amounts) in self._sums.items():
            merged.setdefault((slot, a, b), []).append((digits, counts, amounts))
        rows = []
        for (slot, a, b), parts in merged.items():
            digits, counts, amounts = parts[0] if len(parts) == 1 else _together(parts)
            unit = f"e-{digits}"
            rows.append(
                [slot, *first[a], *second[b], *map(str, counts), *[f"{n}{unit}" if n else "0" for n in amounts]]
            )
        return rows


def _together(parts: list[tuple[int, list[int], list[int]]]) -> tuple[int, list[int], list[int]]:
    digits = max(own for own, _, _ in parts)
    counts = [sum(column) for column in zip(*(counts for _, counts, _ in parts), strict=True)]
    scaled = ([amount * 10 ** (digits - own) for amount in amounts] for own, _, amounts in parts)
    return digits, counts, [sum(column) for column in zip(*scaled, strict=True)]
