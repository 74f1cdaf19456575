"""Fault sweeps and databases: effects that wait for the commit, and what each run writes."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import TestCase

from sideeffects import Calls, force_run, run_side_effects, side_effect
from sideeffects.testing import FaultSweepError, fault_sweep, isolated_registry

pytestmark = pytest.mark.django_db

ROWS = "CREATE TABLE rows (name varchar(10))"


def insert(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO rows VALUES (%s)", [name])


def rows() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM rows")
        return [row[0] for row in cursor.fetchall()]


@pytest.fixture
def effects() -> Iterator[Any]:
    """Two effects that wait for the commit, in a database with one table."""
    done: list[str] = []
    with isolated_registry(), connection.cursor() as cursor:
        cursor.execute(ROWS)

        @side_effect(name="mail.confirm", on_commit=True)
        def confirm(to):
            done.append(to)

        @side_effect(name="hook.call", on_commit=True)
        async def call(to):
            done.append(to)

        confirm.done, confirm.call = done, call
        yield confirm


def test_each_run_begins_with_what_the_test_had_written(effects: Any) -> None:
    """What a run writes is rolled back after its invariants have been checked, also when they do not hold."""
    insert("before")
    seen: list[list[str]] = []

    @side_effect(name="sms.send")
    def send() -> None: ...

    def scenario() -> None:
        insert("order")
        with transaction.atomic(durable=True):  # as directly in a test
            send()
            insert("sent")

    def note(fault: str | None) -> None:
        seen.append(rows())
        if fault:
            raise LookupError

    report = fault_sweep(scenario, invariants=note, check=False)

    assert seen == [["before", "order", "sent"], ["before", "order"], ["before", "order"]]
    assert len(report.failed) == 2
    assert rows() == ["before"]


@pytest.mark.parametrize("is_forced", [False, True])
def test_an_effect_that_waits_for_the_commit_fails_when_it_comes(effects: Any, is_forced: bool) -> None:
    """The order stands by then: a fault cannot roll it back, at neither point, recorded or executed."""

    def scenario() -> None:
        with TestCase.captureOnCommitCallbacks(execute=True), transaction.atomic():
            effects("ann")
            insert("order")

    with force_run(*(["mail.confirm"] if is_forced else ["hook.call"])):
        report = fault_sweep(scenario, invariants=lambda: rows() == ["order"])

    assert [result.status for result in report.cells] == ["passed"] * 2
    assert effects.done == (["ann", "ann"] if is_forced else [])


def test_a_coroutine_that_waits_for_the_commit_fails_when_it_comes(effects: Any) -> None:
    """As a function does."""
    from asgiref.sync import async_to_sync

    async def call() -> None:
        await effects.call("ann")

    def scenario() -> None:
        with TestCase.captureOnCommitCallbacks(execute=True), transaction.atomic():
            async_to_sync(call)()
            insert("order")

    report = fault_sweep(scenario, invariants=lambda: rows() == ["order"])

    assert [result.status for result in report.cells] == ["passed"] * 2
    assert effects.done == []


def test_a_run_list_that_waits_for_the_commit(effects: Any) -> None:
    """The fault strikes when it comes, where no run list swallows it any more."""
    came_out: list[str] = []

    def scenario() -> None:
        try:
            with TestCase.captureOnCommitCallbacks(execute=True):
                result = run_side_effects("placed", [(effects, {"to": "ann"})], swallow=True)
                assert not result.errors
        except Exception as error:
            came_out.append(type(error).__name__)
            raise

    fault_sweep(scenario)

    assert came_out == ["SideEffectFault"] * 2


def test_a_commit_that_does_not_come(effects: Any) -> None:
    """Such a cell is not reached; where that holds for all, the sweep says nothing and fails."""

    @side_effect(name="sms.send")
    def send() -> None: ...

    def scenario() -> None:
        effects("ann")
        send()

    report = fault_sweep(scenario)

    assert [(result.cell[0].effect, result.status) for result in report.cells] == [
        ("mail.confirm", "not reached"),
        ("mail.confirm", "not reached"),
        ("sms.send", "passed"),
        ("sms.send", "passed"),
    ]
    assert "captureOnCommitCallbacks" in str(report)
    with pytest.raises(FaultSweepError, match="says nothing"):
        fault_sweep(lambda: effects("ann"))


def test_calls_of_the_fixtures_are_not_swept(effects: Any, side_effects: Calls) -> None:
    """Only those of the scenario are noted; the test's own view has all runs' calls."""
    effects("before")

    @side_effect(name="sms.send")
    def send() -> None: ...

    report = fault_sweep(send)

    assert len(report.cells) == 2
    assert side_effects.count("sms.send") == 3
