"""Orders that cannot differ are run once, and no outcome is lost by that."""

import itertools
import math
import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from django.db import DatabaseError

from sideeffects.testing import Race
from sideeffects.testing.exploring import traces
from sideeffects.testing.exploring.exploration import Exploration
from sideeffects.testing.exploring.footprints import Access, Footprint, matters
from sideeffects.testing.exploring.orders import Order
from sideeffects.testing.exploring.search import Search, always
from sideeffects.testing.exploring.traces import Beginning, Matters
from sideeffects.testing.races import databases
from tests.support.explored_database import ALIAS, atomic, query

#: How many random programs are run: all of 200 in the workflow.
PROGRAMS = int(os.environ.get("EXPLORED_PROGRAMS", "48"))
LEVELS = ("read committed", "repeatable read", "serializable")
SHARED = ("coupon", "stock", "job")

OPERATIONS = ("read", "read", "add", "copy", "lock", "insert", "count", "take", "both", "mix", "refer", "remove")
Operation = tuple[str, str, str]
#: Blocks of operations, each with whether it is a transaction, and whether that rolls back a savepoint.
Program = list[tuple[str, list[Operation]]]


def written(chance: random.Random, steps: int) -> Program:
    """A program of about so many steps."""
    blocks: Program = []
    while steps > 0:
        kind = chance.choice(["plain", "plain", "atomic", "atomic", "atomic", "savepoint"])
        operations: list[Operation] = [
            (chance.choice(OPERATIONS), *chance.sample(SHARED, 2))  # type: ignore[misc]
            for _ in range(chance.randint(1, 2) if kind == "atomic" else 1)
        ]
        blocks.append((kind, operations))
        steps -= length([blocks[-1]])
    return blocks


def length(program: Program) -> int:
    """How many steps it takes at most."""
    more = {"plain": 0, "atomic": 1, "savepoint": 4}
    return sum(
        more[kind] + len(operations) + sum(one[0] == "copy" for one in operations) for kind, operations in program
    )


class RolledBack(Exception):
    pass


def run(program: Program) -> list[Any]:
    """Run it. Returns all that it has seen."""
    seen: list[Any] = []
    for kind, operations in program:
        if kind == "plain":
            seen += [operate(*operation) for operation in operations]
            continue
        with atomic():
            if kind == "atomic":
                seen += [operate(*operation) for operation in operations]
                continue
            try:
                with atomic():
                    seen += [operate(*operation) for operation in operations]
                    raise RolledBack
            except RolledBack:
                pass
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
    if name == "take":
        return query(f"UPDATE {table} SET n = n * 3 + (SELECT coalesce(max(n), 0) + 1 FROM {other})")
    if name == "refer":
        return query("INSERT INTO line (job_id) VALUES (1)")
    if name == "remove":
        return query("DELETE FROM job WHERE id = 1")
    if name == "mix":  # and one that reads a third
        (third,) = {*SHARED} - {table, other}
        more = f"(SELECT coalesce(max(n), 0) FROM {other})"
        return query(f"WITH one AS (UPDATE {table} SET n = n * 3 + {more}) UPDATE {third} SET n = n * 5 + 2")
    if name == "both":  # one statement that writes to two tables
        return query(f"WITH one AS (UPDATE {table} SET n = n * 5 + 1) UPDATE {other} SET n = n * 5 + 2")
    value = query(f"SELECT coalesce(max(n), 0) FROM {table}")[0][0]
    if name == "copy":
        query(f"UPDATE {other} SET n = %s WHERE id = 1", value + 10)
    return value


class Outcome(NamedTuple):
    """What one order has led to."""

    order: Order
    led_to: str


ROWS = (
    " UNION ALL ".join(
        [*(f"SELECT '{table}', id, n FROM {table}" for table in SHARED), "SELECT 'line', id, job_id FROM line"]
    )
    + " ORDER BY 1, 2"
)


def led_to(exploration: Exploration) -> str:
    """What each racer has seen, and the rows that are left."""
    ends = [racer.result if racer.error is None else type(racer.error).__name__ for racer in exploration.racers]
    if any("deadlock" in str(racer.error).lower() for racer in exploration.racers):
        return "a deadlock"  # which of those that wait for each other is ended, is up to the database
    unexpected = [racer.error for racer in exploration.racers if not isinstance(racer.error, DatabaseError | None)]
    assert not unexpected
    return repr((ends, query(ROWS)))


def search(
    programs: Sequence[Program], matters: Matters, run: Callable[[Beginning], Outcome], limit: int = 1000
) -> list[Outcome]:
    """All orders that are run."""
    found: list[Outcome] = []

    def one(beginning: Beginning) -> Order:
        found.append(run(beginning))
        return found[-1].order

    searching = Search(len(programs), limit, None, matters)
    searching.through(one)
    assert searching.is_complete or searching.run == limit < 1000, (programs, searching.not_repeatable)
    return found


def really(exploration: Exploration, programs: Sequence[Program]) -> Callable[[Beginning], Outcome]:
    """Runs the programs."""

    def run_one(beginning: Beginning) -> Outcome:
        order = exploration.run([lambda program=program: run(program) for program in programs], beginning.racers)
        outcome = Outcome(order, led_to(exploration))
        exploration.take_back()
        return outcome

    return run_one


def outcomes(found: Sequence[Outcome]) -> set[str]:
    return {one.led_to for one in found}


@contextmanager
def exploration(racers: int, level: str | None) -> Iterator[Exploration]:
    with Exploration(racers, [ALIAS], level, 30, databases.close_all) as made:
        yield made


@pytest.fixture
def with_a_reference(on_postgres: None) -> Iterator[None]:
    """A table more, whose rows refer to those of another."""
    query("CREATE TABLE line (id serial PRIMARY KEY, job_id integer REFERENCES job (id) DEFERRABLE INITIALLY DEFERRED)")
    yield
    query("DROP TABLE line")


def programs_of(seed: int, racers: int) -> list[Program]:
    """Those of one number; few enough orders that all can be run."""
    chance = random.Random(seed)
    while True:
        programs = [written(chance, chance.randint(1, 3)) for _ in range(racers)]
        lengths = [length(program) for program in programs]
        if math.factorial(sum(lengths)) // math.prod(map(math.factorial, lengths)) <= 35:
            return programs


@pytest.mark.parametrize("racers", [2, 3])
@pytest.mark.parametrize("level", LEVELS)
def test_pruning_loses_no_outcome(with_a_reference: None, level: str, racers: int) -> None:
    """All orders of random programs lead to what those lead to that are run."""
    pruned = whole = 0
    with exploration(racers, level) as explorer:
        for seed in range(PROGRAMS):
            if LEVELS[seed % 3] == level and (2, 2, 2, 3)[seed % 4] == racers:
                programs = programs_of(seed, racers)
                few = search(programs, matters, really(explorer, programs))
                many = search(programs, always, really(explorer, programs))
                assert outcomes(few) == outcomes(many), (seed, programs)
                pruned, whole = pruned + len(few), whole + len(many)
    assert pruned < whole or level == "serializable"  # where the order of all statements counts


#: What is left of the rules when one of them is taken away.
def without(*gone: Access) -> Matters:
    def weaker(one: Footprint, other: Footprint) -> bool:
        return any(
            {first, second} != {*gone} and matters(frozenset({(here, first)}), frozenset({(there, second)}))
            for here, first in one
            for there, second in other
        )

    return weaker


RULES: dict[str, Matters] = {
    "reading and publishing": without(Access.READ, Access.PUBLISH),
    "sharing and locking": without(Access.SHARE, Access.LOCK),
    "sharing and publishing": without(Access.SHARE, Access.PUBLISH),
    "locking and locking": without(Access.LOCK),
    "locking and publishing": without(Access.LOCK, Access.PUBLISH),
    "publishing and publishing": without(Access.PUBLISH),
}
WAITING = {
    "waiting comes before what follows": ("_waits_that_end_with", lambda *_: iter(())),
    "what waits is done by what lets it go on": (
        "_footprint",
        lambda trace, place, _=None: trace._events[place].step.footprint,
    ),
}


def again(whole: Sequence[Outcome]) -> Callable[[Beginning], Outcome]:
    """Runs nothing: finds the order among those that were run."""

    def find(beginning: Beginning) -> Outcome:
        wanted = "".join(str(racer + 1) for racer in beginning.racers)

        def followed(one: Outcome) -> int:
            return next((at for at in range(len(wanted), 0, -1) if one.order.schedule.startswith(wanted[:at])), 0)

        return max(whole, key=lambda one: (followed(one), -one.order.switches))

    return find


def plain(*operations: str) -> Program:
    return [("plain", [operation(words) for words in operations])]


def in_one(*operations: str) -> Program:
    return [("atomic", [operation(words) for words in operations])]


def operation(words: str) -> Operation:
    name, table, other, *_ = [*words.split(), "", ""]
    return name, table, other


#: For each rule, an isolation level and programs of which an outcome is lost without it.
SHOWN_BY: dict[str, tuple[str, list[Program]]] = {
    "reading and publishing": ("read committed", [plain("read coupon"), plain("add coupon")]),
    "sharing and locking": (
        "read committed",
        [plain("read coupon") + in_one("remove"), in_one("read coupon", "refer")],
    ),
    "sharing and publishing": ("read committed", [plain("refer"), plain("remove")]),
    "locking and locking": ("read committed", [in_one("add coupon"), in_one("both coupon stock")]),
    "locking and publishing": ("read committed", [plain("lock coupon"), plain("add coupon")]),
    "publishing and publishing": ("read committed", [plain("add coupon"), plain("take coupon job")]),
    "waiting comes before what follows": (
        "serializable",
        [in_one("take job stock", "both coupon stock"), in_one("remove")],
    ),
    "what waits is done by what lets it go on": (
        "read committed",
        [plain("read job"), in_one("add coupon", "add stock"), plain("mix stock coupon")],
    ),
}


@pytest.mark.parametrize("rule", SHOWN_BY)
def test_each_rule_is_needed(with_a_reference: None, rule: str) -> None:
    """Without it, the orders that are run would not lead to all that there is."""
    level, programs = SHOWN_BY[rule]
    with exploration(len(programs), level) as explorer:
        whole = search(programs, always, really(explorer, programs))
        assert outcomes(search(programs, matters, really(explorer, programs))) == outcomes(whole)
    with pytest.MonkeyPatch.context() as patch:
        if rule in WAITING:
            patch.setattr(traces.Trace, *WAITING[rule])
        weaker = search(programs, RULES.get(rule, matters), again(whole), len(whole))
    assert outcomes(weaker) < outcomes(whole)


def test_what_meets_nowhere_is_run_once(with_a_reference: None) -> None:
    """Two readers, and writers of different tables."""
    with exploration(2, None) as explorer:
        for programs in ([plain("read coupon", "read stock")] * 2, [in_one("add coupon"), in_one("add stock")]):
            assert len(search(programs, matters, really(explorer, programs))) == 1


def test_racers_that_meet_in_one_table(with_a_reference: None) -> None:
    """At most a fifth is left of the orders of two racers that write to different tables and meet in one."""
    programs = [plain(f"add {own}", f"add {own}", "add job") for own in ("coupon", "stock")]
    with exploration(2, None) as explorer:
        pruned = search(programs, matters, really(explorer, programs))
        whole = search(programs, always, really(explorer, programs))
    assert outcomes(pruned) == outcomes(whole)
    assert (len(pruned), len(whole)) == (2, math.comb(6, 3))


def test_a_bound_is_kept(on_postgres: None) -> None:
    """With at most so many switches of a racer that could go on; and these are all, within it."""
    program = plain("add job", "add job", "add job")
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
