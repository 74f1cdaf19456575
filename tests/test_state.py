"""What is in force: programs of overrides against a model, and the fast switch against all that may change."""

import asyncio
import contextvars
import dis
import gc
import os
import queue
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import FrameType
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import settings as hypothesis_settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from sideeffects import SideEffectBlocked, capture, explain, forbid, force_run, observe, record, side_effect, stub
from sideeffects._overrides import enter_rules, rule_table
from sideeffects._state import EMPTY, scope, state
from sideeffects.testing import isolated_registry

# -- places: where code runs, each with a context of its own, driven step by step


class Place:
    """Something with a context of its own that does one job after the other."""

    def do(self, job: Callable[[], Any]) -> Any:
        raise NotImplementedError

    def stop(self) -> None: ...


class HandedOver(Place):
    """A place that takes jobs from a queue and hands results back."""

    def __init__(self) -> None:
        self.done: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run(self, job: Callable[[], Any]) -> None:
        try:
            self.done.put((job(), None))
        except BaseException as error:  # noqa: BLE001 - handed on
            self.done.put((None, error))

    def result(self) -> Any:
        result, error = self.done.get(timeout=30)
        if error is not None:
            raise error
        return result


class ThreadPlace(HandedOver):
    """A thread."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.thread = threading.Thread(target=lambda: [self.run(job) for job in iter(self.jobs.get, None)], daemon=True)
        self.thread.start()

    def do(self, job: Callable[[], Any]) -> Any:
        self.jobs.put(job)
        return self.result()

    def stop(self) -> None:
        self.jobs.put(None)
        self.thread.join(30)


class TaskPlace(HandedOver):
    """A task of an event loop that runs in a thread of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.loop = loop
        self.jobs: asyncio.Queue[Any] = asyncio.Queue()
        self.finished = asyncio.run_coroutine_threadsafe(self.serve(), loop)

    async def serve(self) -> None:
        while (job := await self.jobs.get()) is not None:
            self.run(job)

    def do(self, job: Callable[[], Any]) -> Any:
        self.loop.call_soon_threadsafe(self.jobs.put_nowait, job)
        return self.result()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.jobs.put_nowait, None)
        self.finished.result(30)


class ContextPlace(Place):
    """A copied context, run in the thread of the test."""

    def __init__(self) -> None:
        self.context = contextvars.copy_context()

    def do(self, job: Callable[[], Any]) -> Any:
        return self.context.run(job)


# -- the model: DESIGN's rules once more, by lists


@dataclass(eq=False)
class Opened:
    """One override, as the model has it."""

    word: str
    pattern: str
    is_marker: bool
    home: Place
    leave: Callable[[], Any]
    is_open: bool = True


@dataclass(eq=False)
class Watched:
    """One capture, as the model has it: how many calls it must have seen."""

    calls: Any
    stop: Callable[[], Any]
    expected: int = 0
    is_open: bool = True


@dataclass(eq=False)
class Model:
    """Who sees what."""

    is_test_run: bool
    own: dict[Place, list[Opened]] = field(default_factory=dict)
    captures: dict[Place, list[Watched]] = field(default_factory=dict)
    everywhere: list[Opened] = field(default_factory=list)
    settings: list[dict[str, Any]] = field(default_factory=list)
    observed: int = 0

    def fate(self, seen: list[Opened], here: Place | None, effect: str) -> str:
        """What must become of a call in a context that sees these overrides."""
        speakers = [entry for entry in reversed(seen) if entry.is_open or entry.home is not here]
        if self.is_test_run:
            speakers += [entry for entry in reversed(self.everywhere) if entry not in seen]
        for entry in sorted(speakers, key=lambda entry: entry.is_marker):
            if not (entry.pattern in (effect, "__all__") or fnmatchcase(effect, entry.pattern)):
                continue
            if entry.is_open:
                return entry.word
            if entry.word != "executed":
                return "recorded" if entry.word == "stubbed" else entry.word
        return self.default(effect)

    def default(self, effect: str) -> str:
        """What the settings say."""
        given = self.settings[-1] if self.settings else {}
        ruled = next((mode for glob, mode in given.get("POLICY", {}).items() if fnmatchcase(effect, glob)), None)
        words = {"EXECUTE": "executed", "RECORD": "recorded", "RAISE": "refused"}
        if not self.is_test_run:
            return words[ruled or given.get("MODE", "EXECUTE")]
        return "refused" if "RAISE" in (ruled, given.get("MODE")) else "recorded"


EFFECTS = ("a.x", "a.y", "b.x")
WORDS = st.sampled_from(["executed", "recorded", "refused", "stubbed"])
PATTERNS = st.sampled_from(["a.x", "a.*", "b.x", "__all__"])
SETTINGS = st.sampled_from(
    [{}, *({"MODE": mode} for mode in ("EXECUTE", "RECORD", "RAISE"))]
    + [{"POLICY": {"a.*": mode}} for mode in ("EXECUTE", "RECORD", "RAISE")]
    + [{"MODE": "RECORD", "POLICY": {"a.*": "EXECUTE"}}]
)
NUMBERS = st.integers(min_value=0, max_value=1000)
MAKE: dict[str, Callable[[str], Any]] = {
    "executed": force_run,
    "recorded": record,
    "refused": forbid,
    "stubbed": lambda pattern: stub(pattern, returns="stubbed"),
}
TABLE = {"executed": 0, "recorded": 1, "refused": 2}


def attempt(effect: Callable[[], str]) -> str:
    try:
        return effect()
    except SideEffectBlocked:
        return "refused"


class Programs(RuleBasedStateMachine):
    """Random programs of overrides, captures, observers and settings over threads, tasks and contexts."""

    is_test_run = True

    def __init__(self) -> None:
        super().__init__()
        self.registry = isolated_registry()
        self.registry.__enter__()
        self.effects = {name: self.declare(name) for name in EFFECTS}
        self.loop = asyncio.new_event_loop()
        self.loop_thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.loop_thread.start()
        self.model = Model(self.is_test_run)
        self.places: list[Place] = []
        for place in (ThreadPlace(), ContextPlace(), TaskPlace(self.loop)):
            self.add(place, [], [])
        self.entries: list[Opened] = []
        self.watched: list[Watched] = []
        self.removers: list[Callable[[], None]] = []
        self.overridden: list[Any] = []
        self.observations = 0

    @staticmethod
    def declare(name: str) -> Any:
        @side_effect(name=name, returns="recorded")
        def effect() -> str:
            return "executed"

        return effect

    def add(self, place: Place, seen: list[Opened], captures: list[Watched]) -> None:
        self.places.append(place)
        self.model.own[place] = list(seen)
        self.model.captures[place] = list(captures)

    def place(self, number: int) -> Place:
        return self.places[number % len(self.places)]

    # -- what programs do

    @precondition(lambda self: len(self.places) < 9)
    @rule(number=NUMBERS, kind=st.sampled_from(["thread", "task", "context"]))
    def spawn(self, number: int, kind: str) -> None:
        """Start a thread or a task, or copy the context, inside a place."""
        parent = self.place(number)
        make = {"thread": ThreadPlace, "task": lambda: TaskPlace(self.loop), "context": ContextPlace}[kind]
        self.add(parent.do(make), self.model.own[parent], self.model.captures[parent])

    @rule(number=NUMBERS, word=WORDS, pattern=PATTERNS, is_marker=st.booleans())
    def enter(self, number: int, word: str, pattern: str, is_marker: bool) -> None:
        """Enter an override in a place."""
        place = self.place(number)
        if is_marker:
            lists: list[list[str]] = [[], [], []]
            if word in TABLE:
                lists[TABLE[word]] = [pattern]
            table = rule_table(*lists, {pattern: "stubbed"} if word == "stubbed" else {}, "a marker")
            leave = place.do(lambda: enter_rules(table, "here"))
        else:
            override = MAKE[word](pattern)
            place.do(override.__enter__)
            leave = lambda: override.__exit__(None, None, None)  # noqa: E731
        entry = Opened(word, pattern, is_marker, place, leave)
        self.entries.append(entry)
        self.model.own[place].append(entry)
        self.model.everywhere.append(entry)

    @precondition(lambda self: self.entries)
    @rule(which=NUMBERS, number=NUMBERS, at_home=st.booleans())
    def leave(self, which: int, number: int, at_home: bool) -> None:
        """Leave an override, where it was entered or in any other place."""
        entry = self.entries.pop(which % len(self.entries))
        place = entry.home if at_home else self.place(number)
        place.do(entry.leave)
        entry.is_open = False
        del entry.leave  # a restorer keeps its override, and what is kept keeps the switch on
        self.model.everywhere.remove(entry)
        if entry in self.model.own[place]:
            self.model.own[place].remove(entry)

    @rule(number=NUMBERS, name=st.sampled_from(EFFECTS))
    def call(self, number: int, name: str) -> None:
        """Call an effect in a place; `explain` says the same."""
        place = self.place(number)
        expected = self.model.fate(self.model.own[place], place, name)
        before = place.do(lambda: explain(name).mode.name)
        assert before == {"executed": "EXECUTE", "refused": "RAISE"}.get(expected, "RECORD")
        self.expect_call(place)
        assert place.do(lambda: attempt(self.effects[name])) == expected
        # By calling, a place has heard of what was left elsewhere.
        heard = [entry for entry in self.model.own[place] if entry.is_open or entry.home is not place]
        self.model.own[place][:] = heard

    @rule(number=NUMBERS, name=st.sampled_from(EFFECTS), how=st.sampled_from(["thread", "to_thread"]))
    def hand_on(self, number: int, name: str, how: str) -> None:
        """Hand one call to a new thread, from inside a place."""
        place = self.place(number)
        expected = self.model.fate(self.model.own[place], None, name)
        self.expect_call(place)

        def hand_on() -> str:
            done: queue.SimpleQueue[str] = queue.SimpleQueue()
            job: Callable[[], None] = lambda: done.put(attempt(self.effects[name]))  # noqa: E731
            if how == "to_thread":
                job = (lambda context, inner: lambda: context.run(inner))(contextvars.copy_context(), job)
            threading.Thread(target=job).start()
            return done.get(timeout=30)

        assert place.do(hand_on) == expected

    def expect_call(self, place: Place) -> None:
        self.model.observed += len(self.removers)
        for watched in self.model.captures[place]:
            watched.expected += watched.is_open

    @rule(given=SETTINGS)
    def change_settings(self, given: dict[str, Any]) -> None:
        """Change the settings, as a test or a management command does."""
        changed = override_settings(SIDE_EFFECTS=given)
        changed.enable()
        self.overridden.append(changed)
        self.model.settings.append(given)

    @precondition(lambda self: self.overridden)
    @rule()
    def change_settings_back(self) -> None:
        """Take the last change of the settings back."""
        self.overridden.pop().disable()
        self.model.settings.pop()

    @precondition(lambda self: len(self.removers) < 2)
    @rule()
    def start_observing(self) -> None:
        """Add an observer."""

        def observer(call: Any) -> None:
            self.observations += 1

        self.removers.append(observe(observer))

    @precondition(lambda self: self.removers)
    @rule()
    def stop_observing(self) -> None:
        """Remove an observer."""
        self.removers.pop()()

    # -- what always holds

    @invariant()
    def observers_saw_every_call(self) -> None:
        assert self.observations == self.model.observed

    @invariant()
    def captures_saw_their_calls(self) -> None:
        for watched in self.watched:
            assert len(watched.calls) == watched.expected

    @invariant()
    def the_switch_is_on_unless_every_call_executes_unwatched(self) -> None:
        """Off only if in every context the decision is a plain execute, with nobody watching."""
        is_watched = self.model.is_test_run or self.removers or any(map(any_open, self.model.captures.values()))
        for name, effect in self.effects.items():
            if effect._self_declared.switch:
                continue
            assert not is_watched
            for place, seen in self.model.own.items():
                assert self.model.fate(seen, place, name) == "executed"

    def teardown(self) -> None:
        while self.overridden:
            self.overridden.pop().disable()
        while self.removers:
            self.removers.pop()()
        for entry in self.entries:
            entry.home.do(entry.leave)
        for watched in self.watched:
            watched.stop()
        for place in self.places:
            place.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.loop_thread.join(30)
        self.loop.close()
        self.registry.__exit__(None, None, None)


def any_open(captures: list[Watched]) -> bool:
    return any(watched.is_open for watched in captures)


class ProductionPrograms(Programs):
    """The same outside a test run, where captures are a context's own, and where a test run may begin."""

    is_test_run = False

    @precondition(lambda self: not self.model.is_test_run)
    @rule(number=NUMBERS)
    def start_capture(self, number: int) -> None:
        """Enter a capture in a place."""
        place = self.place(number)
        manager = capture()
        calls = place.do(manager.__enter__)
        watched = Watched(calls, lambda: place.do(lambda: manager.__exit__(None, None, None)))
        self.watched.append(watched)
        self.model.captures[place].append(watched)

    @precondition(lambda self: any_open(self.watched))
    @rule(which=NUMBERS)
    def stop_capture(self, which: int) -> None:
        """Leave a capture; work that outlives it is not watched any more."""
        still = [watched for watched in self.watched if watched.is_open]
        watched = still[which % len(still)]
        watched.stop()
        watched.is_open = False
        del watched.stop

    @precondition(lambda self: not self.model.is_test_run and not any_open(self.watched))
    @rule(dice=st.integers(min_value=0, max_value=9))
    def begin_a_test_run(self, dice: int) -> None:
        """Now and then, a test run begins."""
        if dice == 0:
            state.latch("the program says so")
            self.model.is_test_run = True

    @rule(is_doubtful=st.booleans())
    def doubt(self, is_doubtful: bool) -> None:
        """A doubt comes, as with an import of pytest; or it is taken away."""
        with state.lock:
            state.doubts.clear()
            if is_doubtful:
                state.doubts.add("the program says so")
                state.disturb()

    @invariant()
    def in_doubt_the_switch_is_on(self) -> None:
        assert not state.doubts or all(effect._self_declared.switch for effect in self.effects.values())

    def teardown(self) -> None:
        self.watched = [watched for watched in self.watched if watched.is_open]
        super().teardown()
        state.doubts.clear()
        state._is_test_run = False
        os.environ.pop("SIDE_EFFECTS_TEST_RUN", None)


SIZE = hypothesis_settings(max_examples=60, stateful_step_count=40)


def test_programs_in_a_test_run() -> None:
    """Whatever a program does with overrides over threads, tasks and contexts, each call obeys the model."""
    run_state_machine_as_test(Programs, settings=SIZE)


def test_programs_in_production(production: None) -> None:
    """The same outside a test run; and no effect bypasses the runtime unless all its calls execute unwatched."""
    run_state_machine_as_test(ProductionPrograms, settings=SIZE)
