"""Copies of responses: one of each counts, the fullest, however files are cut, ordered and read over time."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from cost_tracker.imports.dedupe import Pool, Stored
from cost_tracker.imports.units import DIRECT, NESTED, SIDE, Unit

Ledger = dict[bytes, list[Stored]]


def unit(group: str, part: str, total: int, rank: int = DIRECT) -> Unit:
    text = f"{group}{part}{total}{rank}".encode()
    return Unit(group.encode(), part.encode(), rank, total, "2026-11-19T10:00:00.000Z", text, 1)


def import_(ledger: Ledger, units: Sequence[Unit]) -> None:
    """Do what a run does to the ledger: send what is new, then take out what it replaces."""
    pool = Pool()
    pool.add(units)
    for winner in list(pool.settle(ledger)):
        kept = [old for old in ledger.get(winner.unit.group, []) if old not in winner.instead_of]
        taken = Stored(winner.unit.group, winner.unit.part, winner.unit.rank, winner.unit.total, (1,))
        ledger[winner.unit.group] = [*[old for old in kept if old.part != taken.part], taken]


def figures(ledger: Ledger) -> dict[bytes, list[tuple[bytes, int]]]:
    return {group: sorted((old.part, old.total) for old in stored) for group, stored in ledger.items()}


def by_rule(units: Sequence[Unit]) -> dict[bytes, list[tuple[bytes, int]]]:
    """The rule in other words, over all lines at once."""
    found: dict[bytes, list[tuple[bytes, int]]] = {}
    for group in {each.group for each in units}:
        mine = [each for each in units if each.group == group]
        parents = {each.part for each in mine if each.rank > SIDE}
        if any(parents):
            parents.discard(b"")
        best = {part: max(each.total for each in mine if each.part == part) for part in parents}
        if best:
            found[group] = sorted(best.items())
        else:
            fullest = max(each.total for each in mine)
            found[group] = [(min(each.part for each in mine if each.total == fullest), fullest)]
    return found


def test_the_fullest_of_the_same_request_counts() -> None:
    ledger: Ledger = {}
    import_(ledger, [unit("m", "r", 5), unit("m", "r", 9), unit("m", "r", 7)])
    assert figures(ledger) == {b"m": [(b"r", 9)]}


def test_a_side_chain_gives_way_to_its_parent_even_if_it_is_larger() -> None:
    ledger: Ledger = {}
    import_(ledger, [unit("m", "s", 9, SIDE)])
    import_(ledger, [unit("m", "p", 5)])
    import_(ledger, [unit("m", "s2", 20, SIDE)])
    assert figures(ledger) == {b"m": [(b"p", 5)]}


def test_a_fuller_copy_of_the_same_request_counts_wherever_it_is() -> None:
    for order in ([0, 1], [1, 0]):
        copies = [unit("m", "p", 5), unit("m", "p", 9, NESTED)]
        ledger: Ledger = {}
        for place in order:
            import_(ledger, [copies[place]])
        assert figures(ledger) == {b"m": [(b"p", 9)]}


def test_two_requests_of_parents_are_two_responses() -> None:
    ledger: Ledger = {}
    import_(ledger, [unit("m", "p", 5, NESTED)])
    import_(ledger, [unit("m", "q", 3), unit("m", "p", 5)])
    assert figures(ledger) == {b"m": [(b"p", 5), (b"q", 3)]}


def test_what_was_dropped_is_counted_by_reason() -> None:
    pool = Pool()
    pool.add([unit("m", "p", 5), unit("m", "p", 5, NESTED), unit("m", "s", 5, SIDE)])
    pool.add([unit("m", "p", 5), unit("n", "r", 1)])
    winners = list(pool.settle({b"n": [Stored(b"n", b"r", DIRECT, 1, (7,))]}))
    assert [winner.unit.part for winner in winners] == [b"p"]
    assert dict(pool.dropped) == {"nested": 1, "copied": 1, "replayed": 1, "imported before": 1}


# Of one response: its parent's request, lines that lost it, and side chains under requests of their own.
LINES = st.lists(
    st.one_of(
        st.builds(unit, st.sampled_from("mn"), st.sampled_from(["p", ""]), st.integers(0, 4)),
        st.builds(unit, st.sampled_from("mn"), st.sampled_from("st"), st.integers(0, 4), st.just(NESTED)),
        st.builds(unit, st.sampled_from("mn"), st.sampled_from("st"), st.integers(0, 4), st.just(SIDE)),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=400)
@given(LINES, st.data())
def test_any_order_and_any_runs_give_one_ledger(lines: list[Unit], data: st.DataObject) -> None:
    at_once: Ledger = {}
    import_(at_once, lines)
    order = data.draw(st.permutations(lines))
    runs: Ledger = {}
    while order:
        size = data.draw(st.integers(1, len(order)))
        import_(runs, order[:size])
        order = order[size:]
    assert {group: sum(total for _, total in kept) for group, kept in figures(runs).items()} == {
        group: sum(total for _, total in kept) for group, kept in by_rule(lines).items()
    }
    assert figures(at_once).keys() == figures(runs).keys()
    again = {group: list(stored) for group, stored in runs.items()}
    import_(again, lines)
    assert figures(again) == figures(runs)
