"""What is in force: programs of overrides against a model, and the fast switch against all that may change."""

import asyncio
import contextvars
import functools
import gc
import os
import queue
import subprocess
import sys
import tempfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import FrameType
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import event, settings as hypothesis_settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from sideeffects import (
    Decision,
    Mode,
    SideEffectBlocked,
    capture,
    explain,
    forbid,
    force_run,
    observe,
    record,
    side_effect,
    stub,
)
from sideeffects._core.policy.override_entry import OverrideEntry, OverrideRule
from sideeffects._core.policy.rules import Rules
from sideeffects._core.state.extension_points import rules_source
from sideeffects._core.state.state import state
from sideeffects._core.verbs.overrides import enter_rules, rule_table
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
DICE = st.sampled_from(range(8))
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
        # What is left elsewhere ends for everybody who descends from it.
        for other, seen in self.model.own.items():
            if entry in seen and (other is place or place is not entry.home):
                seen.remove(entry)

    @rule(number=NUMBERS, name=st.sampled_from(EFFECTS))
    def call(self, number: int, name: str) -> None:
        """Call an effect in a place."""
        place = self.place(number)
        expected = self.model.fate(self.model.own[place], place, name)
        self.expect_call(place)
        assert place.do(lambda: attempt(self.effects[name])) == expected
        self.hear(place)

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
                job = functools.partial(contextvars.copy_context().run, job)
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

    @rule(dice=DICE)
    def maybe_calm_down(self, dice: int) -> None:
        """Not too often: the longer a program, the more may come together in it."""
        if dice == 0:
            self.calm_down()

    def calm_down(self) -> None:
        """Undo everything, as between two tests or requests. Outside a test run effects then bypass the runtime."""
        while self.entries:
            self.leave(0, 0, at_home=True)
        while self.overridden:
            self.change_settings_back()
        while self.removers:
            self.stop_observing()
        for place in self.places[3:]:
            place.stop()
            del self.model.own[place], self.model.captures[place]
        del self.places[3:]
        for place in self.places:
            self.model.own[place].clear()
            self.model.captures[place].clear()
            for name in EFFECTS:
                # Twice: the first may be the one that reads the settings.
                assert [place.do(lambda: attempt(self.effects[name])) for _ in "12"] == [self.model.default(name)] * 2  # noqa: B023
        for name, effect in self.effects.items():
            self.call(0, name)
            is_on = bool(effect._self_declared.switch)
            event("calm, and the switch is on" if is_on else "calm, and the switch is off")

    # -- what always holds

    @invariant()
    def observers_saw_every_call(self) -> None:
        assert self.observations == self.model.observed

    @invariant()
    def captures_saw_their_calls(self) -> None:
        for watched in self.watched:
            assert len(watched.calls) == watched.expected

    @invariant()
    def explain_agrees_everywhere(self) -> None:
        """Every place is told what the model says."""
        modes = {"executed": "EXECUTE", "refused": "RAISE"}
        for place, seen in self.model.own.items():
            expected = [modes.get(self.model.fate(seen, place, name), "RECORD") for name in EFFECTS]
            assert place.do(lambda: [explain(name).mode.name for name in EFFECTS]) == expected
            self.hear(place)

    def hear(self, place: Place) -> None:
        """By calling or asking, a place has heard of what was left elsewhere."""
        heard = [entry for entry in self.model.own[place] if entry.is_open or entry.home is not place]
        self.model.own[place][:] = heard

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

    def __init__(self) -> None:
        self.put_back = state.set_aside()
        self.is_doubtful = False
        self.forget_doubt: Callable[[], object] = bool
        super().__init__()

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

    def calm_down(self) -> None:
        """Leave the captures and clear the doubts as well."""
        for watched in self.watched:
            if watched.is_open:
                self.stop_capture(0)
        self.doubt(is_doubtful=False)
        super().calm_down()

    @precondition(lambda self: not self.model.is_test_run and not any_open(self.watched))
    @rule(dice=DICE)
    def begin_a_test_run(self, dice: int) -> None:
        """Now and then, a test run begins."""
        if dice == 1:
            state.test_run.latch("the program says so")
            self.model.is_test_run = True

    @rule(is_doubtful=st.booleans())
    def doubt(self, is_doubtful: bool) -> None:
        """A doubt comes, as with an import of pytest; or it is taken away."""
        self.forget_doubt()
        self.is_doubtful = is_doubtful
        self.forget_doubt = state.switches.keep_on(ProductionPrograms) if is_doubtful else bool

    @invariant()
    def in_doubt_the_switch_is_on(self) -> None:
        assert not self.is_doubtful or all(effect._self_declared.switch for effect in self.effects.values())

    def teardown(self) -> None:
        self.watched = [watched for watched in self.watched if watched.is_open]
        super().teardown()
        self.forget_doubt()
        self.put_back()
        os.environ.pop("SIDE_EFFECTS_TEST_RUN", None)


SIZE = hypothesis_settings(max_examples=100, stateful_step_count=50)


def test_programs_in_a_test_run() -> None:
    """Whatever a program does with overrides over threads, tasks and contexts, each call obeys the model."""
    run_state_machine_as_test(Programs, settings=SIZE)


def test_programs_in_production(production: None) -> None:
    """The same outside a test run; and no effect bypasses the runtime unless all its calls execute unwatched."""
    run_state_machine_as_test(ProductionPrograms, settings=SIZE)


# -- the fast switch, piece by piece


@pytest.fixture
def send() -> Iterator[Any]:
    """An effect that says what became of it."""
    with isolated_registry():
        yield Programs.declare("sms.send")


@pytest.fixture
def beside() -> Iterator[ThreadPlace]:
    """A thread beside the one of the test."""
    place = ThreadPlace()
    yield place
    place.stop()


def switch_of(effect: Any) -> bool:
    """Whether calls go through the runtime, rather than directly to the function."""
    return bool(effect._self_declared.switch)


def test_it_goes_off_when_nobody_watches(production: None, send: Any) -> None:
    """Executing in production, a function is called directly from the second call on."""
    assert switch_of(send)
    for _ in range(3):
        assert send() == "executed"
    assert not switch_of(send)


def test_in_a_test_run_it_never_goes_off(send: Any) -> None:
    """Even a forced effect goes through the runtime at each call."""
    with force_run(send), override_settings(SIDE_EFFECTS={"FORCE_RUN": ["sms.send"]}):
        for _ in range(3):
            assert send() == "executed"
            assert switch_of(send)


def entered(manager: Any) -> Callable[[], Any]:
    """Enter it; gives what leaves it."""
    manager.__enter__()
    return lambda: manager.__exit__(None, None, None)


def doubt() -> Callable[[], Any]:
    """Let a doubt come up; gives what takes it away."""
    return state.switches.keep_on(doubt)


#: What may come into force; each gives what takes it back.
CHANGES: dict[str, Callable[[], Callable[[], Any]]] = {
    "override": lambda: entered(record()),
    "capture": lambda: entered(capture()),
    "observer": lambda: observe(str),
    "settings": lambda: entered(override_settings(SIDE_EFFECTS={"MODE": "RAISE"})),
    "a doubt": doubt,
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_turns_it_on_and_keeps_it_on(production: None, send: Any, beside: ThreadPlace, change: str) -> None:
    """An override, a capture, an observer, a setting or a doubt, from whatever thread, turns it on for its duration."""
    for _ in range(2):
        send(), send()
        assert not switch_of(send)
        undo = beside.do(CHANGES[change])
        assert switch_of(send)
        for _ in range(3):
            attempt(send)
            assert switch_of(send)
        beside.do(undo)
        del undo
        send(), send()
        assert not switch_of(send)


def test_work_that_outlives_a_block_keeps_it_on(production: None, send: Any) -> None:
    """As long as a context may still see a closed RECORD, no effect bypasses the runtime; then it goes off again."""
    with record("sms.send"):
        outlived = contextvars.copy_context()
    gc.collect()
    for _ in range(3):
        send()
        assert switch_of(send)
    assert outlived.run(send) == "recorded"
    del outlived
    send(), send()
    assert not switch_of(send)


def test_work_that_waits_for_its_turn_keeps_it_on(production: None, send: Any) -> None:
    """A job in a pool's queue is such work, although no thread runs it yet."""
    go = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(go.wait, 30)
        with record("sms.send"):
            later = pool.submit(send)
        gc.collect()
        send()
        assert switch_of(send)
        go.set()
        assert later.result(30) == "recorded"


def test_a_test_run_that_begins_turns_it_on_for_good(production: None, send: Any) -> None:
    """From the latch on nothing executes, though it did before; and the environment tells the children."""
    send(), send()
    assert not switch_of(send)
    state.test_run.latch("it begins")
    assert (send(), switch_of(send)) == ("recorded", True)
    assert os.environ["SIDE_EFFECTS_TEST_RUN"] == "1"
    del os.environ["SIDE_EFFECTS_TEST_RUN"]
    assert send() == "recorded"


@pytest.mark.parametrize("kind", ["on_commit", "coroutine function", "generator", "policy function"])
def test_what_cannot_be_decided_once_never_bypasses(production: None, kind: str) -> None:
    """Effects with `on_commit`, coroutines, generators, and rules on arguments go through the runtime at each call."""
    with isolated_registry(), override_settings(SIDE_EFFECTS={"POLICY": {"x.policy": lambda *call: "EXECUTE"}}):
        ran = []
        on_commit = side_effect(name="x.commit", on_commit=True)(lambda: ran.append(1))
        policy = side_effect(name="x.policy")(lambda: ran.append(1))

        @side_effect(name="x.coroutine")
        async def coroutine() -> None:
            ran.append(1)

        @side_effect(name="x.generator")
        def generator() -> Iterator[int]:
            ran.append(1)
            yield 1

        chosen = {
            "on_commit": (on_commit, on_commit),
            "coroutine function": (coroutine, lambda: asyncio.run(coroutine())),
            "generator": (generator, lambda: list(generator())),
            "policy function": (policy, policy),
        }
        effect, call = chosen[kind]
        for _ in range(3):
            call()
            assert switch_of(effect)
        assert ran == [1, 1, 1]


ARRIVING = """
import sys
from sideeffects import side_effect
from sideeffects._core.policy.override_entry import OverrideEntry, OverrideRule
from sideeffects._core.policy.rules import Rules
from sideeffects._core.state.extension_points import rules_source
from sideeffects._core.state.state import state

@side_effect(name="sms.send", returns="recorded")
def send():
    return "executed"

assert [send(), send()] == ["executed"] * 2
assert send._self_declared.switch == [], "not off"
assert "django.conf" not in sys.modules
from django.conf import settings
assert send() == "executed"
{change}
print(send())
"""


@pytest.mark.parametrize(
    ("change", "printed"),
    [
        ("settings.configure()", "executed"),
        ("settings.configure(SIDE_EFFECTS={'MODE': 'RECORD'})", "recorded"),
        ("settings.configure(SIDE_EFFECTS={'TEST_RUN': True})", "recorded"),
        ("settings.configure(); from django.test.utils import setup_test_environment as up; send(); up()", "recorded"),
        (
            "settings.configure(); from django.test import utils; send(); utils.setup_test_environment(); "  # noqa: ISC004
            "utils.teardown_test_environment()",
            "recorded",
        ),
    ],
)
def test_django_that_arrives_late_is_noticed(production: None, change: str, printed: str) -> None:
    """Effects that bypass the runtime come back to it when Django, its settings or its test environment come."""
    run = subprocess.run(
        [sys.executable, "-c", ARRIVING.format(change=change)], capture_output=True, text=True, check=False
    )
    assert (run.stdout.strip(), run.returncode) == (printed, 0), run.stderr


# -- races, at every single step of the interpreter


def interrupted(
    work: Callable[[], Any], intruder: Callable[[], Any], step: int, *, may_hold_lock: bool = False
) -> tuple[Any, bool]:
    """Do `work`, and `intruder` at its `step`-th instruction inside the package.

    Steps at which `work` holds the state's lock are passed over, where the intruder is another thread and would wait
    for it. Gives what `work` returned, and whether it was long enough for the intruder to come in.
    """
    left = [step]

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if "sideeffects" not in frame.f_code.co_filename.split(os.sep):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and left[0] >= 0 and (may_hold_lock or not state.lock._is_owned()):  # type: ignore[attr-defined]
            left[0] -= 1
            if left[0] < 0:
                intruder()
        return trace

    wake_tracing()
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        result = work()
    finally:
        sys.settrace(before)
    return result, left[0] < 0


@functools.cache
def wake_tracing() -> None:
    """Trace something once: CPython 3.12 tells of no instructions the first time that anybody asks for them."""

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        frame.f_trace_opcodes = True
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        len(str(before))
        os.path.basename("something/in/python")
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_in_the_midst_of_a_call_is_not_lost(
    production: None, send: Any, beside: ThreadPlace, change: str
) -> None:
    """Wherever in a call a change comes in between, that call does not turn the switch off afterwards."""
    fate = {"override": "recorded", "settings": "refused"}.get(change, "executed")
    step, came_in = 0, True
    while came_in:
        state.switches.disturb()
        undo: list[Any] = []
        intruder = functools.partial(lambda undo: undo.append(beside.do(CHANGES[change])), undo)
        _, came_in = interrupted(lambda: attempt(send), intruder, step)
        if came_in:
            assert switch_of(send), f"off after step {step}"
            assert beside.do(lambda: attempt(send)) == fate, f"after step {step}"
            beside.do(undo.pop())
        step += 1
    assert step > 50


def test_two_calls_at_once_never_mix_two_rules(production: None, send: Any, beside: ThreadPlace) -> None:
    """Wherever in a call another thread makes the same call, the rules that hold now are those that decide."""
    step, came_in = 0, True
    while came_in:
        assert attempt(send) == "executed"
        with override_settings(SIDE_EFFECTS={"MODE": "RECORD"}):
            fate, came_in = interrupted(lambda: attempt(send), lambda: beside.do(send), step)
            assert fate == "recorded", f"at step {step}"
            assert attempt(send) == "recorded", f"after step {step}"
        step += 1
    assert step > 50


def test_settings_that_change_while_they_are_read_are_read_again(
    production: None, send: Any, beside: ThreadPlace
) -> None:
    """Wherever in the reading of settings others come into force, the next call knows the others."""
    step, came_in = 0, True
    while came_in:
        strict = override_settings(SIDE_EFFECTS={"MODE": "RAISE"})
        with override_settings(SIDE_EFFECTS={"MODE": "EXECUTE"}):
            _, came_in = interrupted(lambda: attempt(send), strict.enable, step)
            if came_in:
                assert attempt(send) == "refused", f"after step {step}"
                strict.disable()
        step += 1
    assert step > 500


@pytest.mark.parametrize("where", ["test run", "production"])
def test_a_generator_that_is_collected_in_the_midst_of_it_is_left(request: Any, send: Any, where: str) -> None:
    """The collector may close an abandoned generator wherever a block is entered or left: its override is gone then."""
    default, override = "recorded", force_run
    if where == "production":
        request.getfixturevalue("production")
        default, override = "executed", forbid

    def dawdle() -> Iterator[None]:
        with override("sms.send"):
            yield

    def work() -> None:
        with stub("sms.send", returns="stubbed"):
            assert attempt(send) == "stubbed"

    step, came_in = 0, True
    while came_in:
        abandoned = dawdle()
        next(abandoned)
        _, came_in = interrupted(work, abandoned.close, step, may_hold_lock=True)
        if came_in:
            assert attempt(send) == default, f"after step {step}"
            with capture(), record("sms.send"):
                assert attempt(send) == "recorded"
            assert attempt(send) == default, f"after step {step}"
        else:
            abandoned.close()
        step += 1
    assert step > 300


@pytest.mark.parametrize("word", ["recorded", "refused"])
def test_no_call_inside_ones_own_block_executes(production: None, send: Any, word: str) -> None:
    """Many threads enter, call and leave, while others just call: inside a block of its own none ever executes."""
    wrong: list[str] = []
    interval = sys.getswitchinterval()
    held = MAKE[word]("sms.send")
    barrier = threading.Barrier(6)

    def hold_back() -> None:
        barrier.wait(30)
        for _ in range(300):
            with held:
                if attempt(send) != word:
                    wrong.append("executed inside")
            if send() != "executed":
                wrong.append("held back outside")

    def only_call() -> None:
        barrier.wait(30)
        wrong.extend("held back beside" for _ in range(2000) if send() != "executed")

    threads = [threading.Thread(target=target) for target in [hold_back] * 3 + [only_call] * 3]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
    assert state.overrides.entries == ()


# -- overrides of the library's own making


def everything(mode: Mode, **options: bool) -> OverrideEntry:
    """An override of all effects, as discovery and dry runs enter them."""
    return OverrideEntry((OverrideRule("__all__", Decision(mode, "the library says so")),), "here", **options)


def test_context_only_overrides_are_not_seen_elsewhere(send: Any, beside: ThreadPlace) -> None:
    """In a test run too, they hold for their own context, and go with work that it hands on."""
    leave = state.overrides.enter(everything(Mode.RAISE, context_only=True))
    try:
        assert attempt(send) == "refused"
        assert beside.do(lambda: attempt(send)) == "recorded"
        newer = ThreadPlace()
        assert newer.do(lambda: attempt(send)) == "refused"
    finally:
        leave()
    newer.stop()
    assert attempt(send) == "recorded"


def test_foremost_overrides_speak_before_those_inside_them(production: None, send: Any) -> None:
    """A block that is entered inside a foremost override does not get the word, until that one is left."""
    leave = state.overrides.enter(everything(Mode.RAISE, foremost=True))
    with record(), force_run("sms.send"):
        assert attempt(send) == "refused"
        leave()
        assert attempt(send) == "executed"
    assert attempt(send) == "executed"


# -- the latch and the journal


def test_a_setting_that_comes_without_notice_latches(production: None, send: Any, monkeypatch: Any) -> None:
    """`TEST_RUN` is asked at each call, also where nothing tells that the rules are others now."""
    with monkeypatch.context() as patched:
        patched.setattr(rules_source, "last", Rules)
        assert [send(), send()] == ["executed"] * 2
        patched.setattr(rules_source, "last", lambda: Rules(test_run=True))
        assert send() == "recorded"
    assert state.test_run.why == 'SIDE_EFFECTS["TEST_RUN"] is true'


@pytest.mark.parametrize("is_writable", [True, False])
def test_the_journal_goes_into_the_temporary_folder(
    production: None, tmp_path: Any, monkeypatch: Any, is_writable: bool
) -> None:
    """Where `TMPDIR` names a folder that is there and can be written; else where Python would put it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("TEMP", str(tmp_path / "missing"))
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda *_: is_writable)
        state.children.own_journal()
    folder = os.path.dirname(os.environ["SIDE_EFFECTS_JOURNAL"])
    assert folder == (str(tmp_path) if is_writable else tempfile.gettempdir())


FAMILY = """
import os, subprocess, sys
from sideeffects import capture, side_effect

@side_effect(name="sms.send")
def send(to):
    raise AssertionError

with capture() as calls:
    send("from the parent")
    child = os.fork()
    if not child:
        send("from a fork")
        sys.exit()  # and so runs what was registered to run at exit
    os.waitpid(child, 0)
    if len(sys.argv) == 1:
        subprocess.run([sys.executable, __file__, "again"], check=True)
    print([call.arguments["to"] for call in calls], len({call.pid for call in calls}))
    journal = os.environ["SIDE_EFFECTS_JOURNAL"]
    assert os.path.exists(journal)
    print(journal)
"""


def test_the_calls_of_children_reach_the_parent(production: None, tmp_path: Any) -> None:
    """Forked or started anew, children write to the journal; only who opened it removes it, when it exits."""
    script = tmp_path / "family.py"
    script.write_text(FAMILY, encoding="utf-8")
    environment = {**os.environ, "SIDE_EFFECTS_TEST_RUN": "1"}
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stderr
    *_, calls, journal = run.stdout.splitlines()
    assert calls == "['from the parent', 'from a fork', 'from the parent', 'from a fork'] 4"
    assert not os.path.exists(journal)


# -- laws


CHILD = """
from sideeffects import force_run, side_effect
ran = []
@side_effect(name="sms.send")
def send():
    ran.append(1)
with force_run(send):
    try:
        send()
    except OSError as error:
        print(type(error).__name__, ran)
"""


def test_law_2_a_broken_store_executes_nothing(production: None, tmp_path: Any) -> None:
    """When a child of a test run cannot write its call down, the call raises; forced or not, it does not execute."""
    environment = {
        **os.environ,
        "SIDE_EFFECTS_TEST_RUN": "1",
        "SIDE_EFFECTS_JOURNAL": str(tmp_path / "no" / "such" / "folder" / "calls.jsonl"),
    }
    run = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=False, env=environment)
    assert (run.stdout.strip(), run.returncode) == ("FileNotFoundError []", 0), run.stderr


def test_law_2_rules_that_cannot_be_read_execute_nothing(production: None, send: Any, monkeypatch: Any) -> None:
    """When the rules cannot be read, the call raises what went wrong."""
    send(), send()

    def fail() -> Any:
        raise LookupError("no rules")

    monkeypatch.setattr(rules_source, "last", fail)
    state.switches.disturb()
    with pytest.raises(LookupError, match="no rules"):
        send()
    with pytest.raises(LookupError, match="no rules"), record():
        send()


async def test_law_4_a_coroutine_is_decided_when_it_is_awaited(send: Any) -> None:
    """What was only created inside a block is not forced by it; what was begun in it stays as it was decided."""
    go = asyncio.Event()

    @side_effect(name="mail.fetch", returns="recorded")
    async def fetch() -> str:
        return "executed"

    async def slow_answer() -> str:
        await go.wait()
        return "stubbed"

    with force_run("mail.fetch"):
        created = fetch()
    assert await created == "recorded"
    with stub("mail.fetch", returns=slow_answer):
        begun = asyncio.create_task(fetch())
        await asyncio.sleep(0)
    with force_run("mail.fetch"):
        go.set()
        assert await begun == "stubbed"


async def test_law_4_generators_stay_as_they_were_decided(send: Any) -> None:
    """A generator is decided at the call, an asynchronous one at its first step; what comes later changes nothing."""

    @side_effect(name="feed.read", returns=["recorded"] * 2)
    def read() -> Iterator[str]:
        yield from ["executed"] * 2

    @side_effect(name="feed.stream", returns=["recorded"] * 2)
    async def stream() -> Any:
        for item in ["executed"] * 2:
            yield item

    reading = read()
    streaming, not_begun = stream(), stream()
    assert await anext(streaming) == "recorded"
    with force_run("feed.*"):
        assert list(reading) == ["recorded"] * 2
        assert await anext(streaming) == "recorded"
        executing = read()
        assert await anext(not_begun) == "executed"
    with forbid("feed.*"):
        assert list(executing) == ["executed"] * 2
        assert await anext(not_begun) == "executed"


@pytest.mark.parametrize("where", ["test run", "production"])
def test_law_4_the_background_keeps_to_the_decision(request: Any, send: Any, where: str) -> None:
    """An enqueued call is decided when it is enqueued, however long it waits and whatever is in force by then."""
    if where == "production":
        request.getfixturevalue("production")
    go = threading.Event()

    @side_effect(name="background.block", async_ok=True)
    def block() -> None:
        go.wait(30)

    @side_effect(name="background.send", async_ok=True, returns="recorded")
    def background() -> str:
        return "executed"

    with force_run("background.*"):
        blocked = [block.enqueue() for _ in range(8)]
        forced = background.enqueue()
    with record("background.*"):
        recorded = background.enqueue()
    with forbid("background.*"):
        go.set()
        assert forced.result(30) == "executed"
    with force_run("background.*"):
        assert recorded.result(30) == "recorded"
    assert [handle.result(30) for handle in blocked] == [None] * 8


@pytest.mark.parametrize("doing", ["executing", "executing in doubt", "recording", "refusing", "overriding"])
def test_law_7_nothing_accumulates(production: None, send: Any, doing: str) -> None:
    """Outside a test run and without captures, ten thousand more calls take no more memory than the ones before."""
    given = {"recording": {"MODE": "RECORD"}, "refusing": {"MODE": "RAISE"}}.get(doing, {})
    if doing == "executing in doubt":
        doubt()

    def calls(count: int) -> None:
        for _ in range(count):
            if doing == "overriding":
                with record("sms.send"):
                    send()
            attempt(send)

    with override_settings(SIDE_EFFECTS=given):
        calls(500)
        tracemalloc.start()
        try:
            sizes = []
            for _ in range(4):
                calls(2500)
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
    # A single call kept of each thousand would be seen: a `Call` alone takes some 200 bytes.
    assert sizes[-1] - sizes[0] < 1500, sizes
