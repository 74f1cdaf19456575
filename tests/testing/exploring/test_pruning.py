"""Orders that cannot differ are run once, and no outcome is lost by that."""

import itertools
import math
import os
import random
from typing import Any

import pytest

from sideeffects.testing import Race
from sideeffects.testing.exploring.search import always
from sideeffects.testing.races import explored
from tests.support.explored_database import ALIAS, atomic, query

#: How many random programs are run: more by hand.
PROGRAMS = int(os.environ.get("EXPLORED_PROGRAMS", "6"))
SHARED = ("coupon", "stock", "job")

Operation = tuple[str, str, str]
#: Blocks of operations, each with whether it is a transaction.
Program = list[tuple[bool, list[Operation]]]


def written(chance: random.Random, steps: int) -> Program:
    """A program of about so many steps."""
    blocks: Program = []
    while steps > 0:
        is_atomic = chance.random() < 0.6
        operations = [
            (
                chance.choice(["read", "read", "add", "copy", "lock", "insert", "count"]),
                chance.choice(SHARED),
                chance.choice(SHARED),
            )
            for _ in range(chance.randint(1, 2) if is_atomic else 1)
        ]
        blocks.append((is_atomic, operations))
        steps -= len(operations) + is_atomic + sum(name == "copy" for name, _, _ in operations)
    return blocks


def run(program: Program) -> list[Any]:
    """Run it. Returns all that it has seen."""
    seen: list[Any] = []
    for is_atomic, operations in program:
        if is_atomic:
            with atomic():
                seen += [operate(*operation) for operation in operations]
        else:
            seen += [operate(*operation) for operation in operations]
    return seen


def operate(name: str, table: str, other: str) -> Any:
    if name == "add":
        return query(f"UPDATE {table} SET n = n * 2 + 1")
    if name == "insert":
        return query(f"INSERT INTO {table} (n) VALUES (7)")
    if name == "count":
        return query(f"SELECT count(*) FROM {table}")
    if name == "lock":
        return query(f"SELECT n FROM {table} ORDER BY id FOR UPDATE")
    value = query(f"SELECT max(n) FROM {table}")[0][0]
    if name == "copy":
        query(f"UPDATE {other} SET n = %s WHERE id = 1", value + 10)
    return value


def outcomes(programs: list[Program], **options: Any) -> tuple[set[str], int]:
    """What the orders of these programs lead to, and how many were run."""
    found = set()

    def check(result: Any) -> None:
        rows = [query(f"SELECT id, n FROM {table} ORDER BY id") for table in SHARED]
        # Which of two that wait for each other is ended, is up to the database.
        found.add("a deadlock" if result.errors else repr((list(result), rows)))

    race = Race(explore=True, databases=[ALIAS], check=check)
    calls = [(run, {"program": program}) for program in programs]
    result = explored.explore(lambda: calls, race._failure, len(calls), race._options, **options)
    assert result.complete
    return found, result.schedules


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_pruning_loses_no_outcome(on_postgres: None, seed: int) -> None:
    """All orders of random programs lead to what those lead to that are run."""
    chance = random.Random(seed)
    programs = [written(chance, 3) for _ in range(2)]
    pruned, few = outcomes(programs)
    whole, many = outcomes(programs, matters=always)
    assert pruned == whole, programs
    assert few <= many


def test_what_meets_nowhere_is_run_once(on_postgres: None) -> None:
    """Two readers, and writers of different tables."""
    read = [(False, [("read", "coupon", ""), ("read", "stock", "")])]
    assert outcomes([read, read])[1] == 1
    assert outcomes([[(True, [("add", "coupon", "")])], [(True, [("add", "stock", "")])]])[1] == 1


def test_racers_that_meet_in_one_table(on_postgres: None) -> None:
    """At most a fifth is left of the orders of two racers that write to different tables and meet in one."""
    programs: list[Program] = [
        [(False, [("add", own, ""), ("add", own, ""), ("add", "job", "")])] for own in ("coupon", "stock")
    ]
    pruned, few = outcomes(programs)
    whole, many = outcomes(programs, matters=always)
    assert pruned == whole
    assert (few, many) == (2, math.comb(6, 3))


def test_a_bound_is_kept(on_postgres: None) -> None:
    """With at most so many switches of a racer that could go on; and these are all, within it."""
    program: Program = [(False, [("add", "job", ""), ("add", "job", ""), ("add", "job", "")])]
    found = {}
    for bound in (0, 1, 2, 6):
        race = Race(explore=True, databases=[ALIAS], check=lambda _: None, preemptions=bound)
        result = race.call_concurrently(2, run, program=program)
        assert result.complete
        found[bound] = result.schedules
    orders = ["".join(order) for order in set(itertools.permutations("AAABBB"))]
    assert found == {bound: sum(switches(order) <= bound for order in orders) for bound in found}


def switches(order: str) -> int:
    """How often a racer is left that has steps left."""
    return sum(
        one != other and one in order[place + 1 :] for place, (one, other) in enumerate(itertools.pairwise(order))
    )
