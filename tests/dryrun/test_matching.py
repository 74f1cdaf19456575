"""Holding strands of a run against those of a plan, whose threads have other numbers."""

import itertools

from hypothesis import given, strategies as st

from sideeffects.dryrun.matching import Matching
from sideeffects.dryrun.planned_calls import PlannedCall
from sideeffects.dryrun.strands import FIRST, Place


def call(name: str) -> PlannedCall:
    return PlannedCall(name, False, {}, {}, "here:1")


def placed(strands: list[str], first: int = 1) -> list[tuple[Place, PlannedCall]]:
    return [(Place(number, ""), call(name)) for number, names in enumerate(strands, first) for name in names]


strands = st.lists(st.text("ab", min_size=1, max_size=3), max_size=4)


@given(planned=strands, real=strands, data=st.data())
def test_a_run_passes_exactly_if_its_strands_can_be_paired(
    planned: list[str], real: list[str], data: st.DataObject
) -> None:
    """In whichever order the strands take turns: a call passes as long as the strands so far begin different ones."""
    matching = Matching(placed(planned))
    begun = [""] * len(real)
    turns = data.draw(st.permutations([number for number, names in enumerate(real) for _ in names]))
    for number in turns:
        name = real[number][len(begun[number])]
        after = [*begun[:number], begun[number] + name, *begun[number + 1 :]]
        fits = matching.take(Place(number + 1, ""), call(name)) is None
        assert fits == can_be_paired(after, planned)
        if not fits:
            return
        begun = after
    missing = sum(map(len, planned)) - sum(map(len, real))
    assert len(matching.missing()) == missing


def can_be_paired(begun: list[str], planned: list[str]) -> bool:
    begun = [names for names in begun if names]
    return any(
        all(plan.startswith(names) for names, plan in zip(begun, chosen, strict=True))
        for chosen in itertools.permutations(planned, len(begun))
    )


def test_the_first_strand_is_no_other() -> None:
    """Its calls do not pass in another thread, nor after a commit; what is due is told."""
    after = Place(FIRST, "default")
    matching = Matching([(Place(FIRST, ""), call("a")), (after, call("b")), *placed(["c"])])
    assert [one.name for one in matching.take(Place(7, ""), call("a")) or ()] == ["c"]
    assert [one.name for one in matching.take(Place(FIRST, ""), call("b")) or ()] == ["a"]
    assert matching.take(Place(FIRST, "other"), call("b")) == ()
    assert matching.take(Place(FIRST, ""), call("a")) is None
    assert matching.take(Place(FIRST, ""), call("a")) == []
    assert matching.take(after, call("b")) is None
    assert [one.name for one in matching.missing()] == ["c"]
