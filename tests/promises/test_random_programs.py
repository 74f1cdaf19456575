"""Random programs against a small model of `docs/reference/precedence.md`: who sees which override, and until when.

A program enters and leaves blocks, starts flows (threads, tasks, contexts, greenlets, forked children) and calls an
effect in any of them, in any order. The model below is all that is expected of it.
"""

import asyncio
import contextlib
import contextvars
import itertools
import os
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import greenlet
import pytest

from sideeffects import Calls, SideEffectBlocked, forbid, force_run, record, side_effect, stub
from sideeffects._core.state.state import state

pytestmark = [pytest.mark.once, pytest.mark.processes, pytest.mark.usefixtures("own_registry")]

#: Together a minute in CI.
SECONDS = 30 if "TESTS_IN_CI" in os.environ else 8
PATTERNS = ("random.send", "random.*", "*.post", "__all__")
FATES = {"force_run": "executed", "record": "recorded", "forbid": "refused", "stub": "stubbed"}


# -- the model


class Block:
    """An override that was entered: by which flow, and whether it has been left there or elsewhere."""

    def __init__(self, kind: str, pattern: str, flow: "Flow") -> None:
        self.kind, self.pattern, self.flow = kind, pattern, flow
        self.is_open, self.is_over_for_all = True, False

    def speaks(self, flow: "Flow") -> str | None:
        """What it says of the effect to a flow that has it among its own; `None` for nothing."""
        if self.pattern == "*.post":
            return None
        if self.is_open:
            return FATES[self.kind]
        if self.is_over_for_all and flow.hears_of(self):
            return None
        # Work that outlives the block keeps what is strict.
        return {"record": "recorded", "stub": "recorded", "forbid": "refused"}.get(self.kind)


def expected(flow: "Flow", entered: list[Block], is_test_run: bool) -> str:
    """A flow's own blocks, innermost first; in a test run those open elsewhere, newest first; then the default."""
    for block in reversed(flow.own):
        said = block.speaks(flow)
        if said:
            return said
    others = flow.elsewhere if flow.is_child else entered
    for block in reversed(others) if is_test_run else ():
        if block.is_open and block not in flow.own and block.pattern != "*.post":
            return FATES[block.kind]
    return "recorded" if is_test_run else "executed"


# -- the flows, for real


class Flow:
    """Something that runs functions in a context of its own."""

    is_child = False

    def __init__(self, own: list[Block]) -> None:
        self.own, self.elsewhere = own, list[Block]()

    def hears_of(self, block: Block) -> bool:
        """Whether it learns that a block was left elsewhere."""
        return True

    def do(self, function: Callable[[], Any]) -> Any:
        return function()

    def end(self) -> None: ...


class InContext(Flow):
    def __init__(self, parent: Flow) -> None:
        super().__init__(list(parent.own))
        self._context = parent.do(contextvars.copy_context)

    def do(self, function: Callable[[], Any]) -> Any:
        return self._context.run(function)


class InThread(Flow):
    def __init__(self, parent: Flow) -> None:
        super().__init__(list(parent.own))
        self._jobs, self._results = queue.SimpleQueue[Any](), queue.SimpleQueue[Any]()
        self._thread = threading.Thread(target=self._work, daemon=True)
        parent.do(self._thread.start)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._results.put(job())

    def do(self, function: Callable[[], Any]) -> Any:
        self._jobs.put(function)
        return self._results.get(timeout=30)

    def end(self) -> None:
        self._jobs.put(None)
        self._thread.join(30)


class InTask(Flow):
    def __init__(self, parent: Flow, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(list(parent.own))
        self._loop, self._jobs, self._results = loop, asyncio.Queue[Any](), asyncio.Queue[Any]()
        self._task = parent.do(lambda: loop.create_task(self._work()))

    async def _work(self) -> None:
        while (job := await self._jobs.get()) is not None:
            await self._results.put(job())

    def do(self, function: Callable[[], Any]) -> Any:
        self._jobs.put_nowait(function)
        return self._loop.run_until_complete(self._results.get())

    def end(self) -> None:
        self._jobs.put_nowait(None)
        self._loop.run_until_complete(self._task)


class InGreenlet(Flow):
    def __init__(self, parent: Flow) -> None:
        super().__init__(list(parent.own))
        self._greenlet = greenlet.greenlet(self._work)
        self._greenlet.gr_context = parent.do(contextvars.copy_context)
        self._greenlet.switch()

    def _work(self) -> None:
        job = self._greenlet.parent.switch()
        while job is not None:
            job = self._greenlet.parent.switch(job())

    def do(self, function: Callable[[], Any]) -> Any:
        return self._greenlet.switch(function)

    def end(self) -> None:
        self._greenlet.switch(None)


class InChild(Flow):
    """Forked: it calls, and enters nothing."""

    is_child = True

    def __init__(self, parent: Flow, entered: list[Block], call: Callable[[], str]) -> None:
        super().__init__(list(parent.own))
        self.elsewhere = [block for block in entered if block.is_open]
        self._over = [block for block in entered if block.is_over_for_all]
        (asks, self._asks), (self._answers, answers) = os.pipe(), os.pipe()

        def fork() -> int:
            child = os.fork()
            if child == 0:  # answers in the context in which it was forked
                with contextlib.suppress(BaseException):
                    while os.read(asks, 1) == b"?":
                        os.write(answers, call().encode())
                os._exit(0)
            return child

        self._pid = parent.do(fork)
        os.close(asks)
        os.close(answers)

    def hears_of(self, block: Block) -> bool:
        return block in self._over  # of what came before the fork

    def do(self, function: Callable[[], Any]) -> Any:
        os.write(self._asks, b"?")
        return os.read(self._answers, 100).decode()

    def end(self) -> None:
        os.write(self._asks, b".")
        os.waitpid(self._pid, 0)
        os.close(self._asks)
        os.close(self._answers)


# -- the programs


class Program:
    """One random program, and its steps in words."""

    def __init__(self, seed: int, *, is_test_run: bool, call: Callable[[], str]) -> None:
        self.random, self.is_test_run, self.call = random.Random(seed), is_test_run, call
        self.loop = asyncio.new_event_loop()
        self.main = Flow([])
        self.flows: list[Flow] = [self.main]
        self.entered: list[Block] = []
        self.leaving: dict[Block, Callable[[], Any]] = {}
        self.steps: list[str] = []

    def run(self) -> None:
        try:
            for _ in range(self.random.randrange(3, 30)):
                self.random.choice([self.enter, self.enter, self.leave, self.start, self.ask, self.ask])()
            for flow in self.flows:
                self.ask(flow)
        finally:
            for leave in list(self.leaving.values()):
                leave()
            for flow in self.flows[1:]:
                flow.end()
            self.loop.close()

    def doing(self) -> Flow:
        return self.random.choice([flow for flow in self.flows if not flow.is_child])

    def enter(self) -> None:
        flow, kind, pattern = self.doing(), self.random.choice([*FATES]), self.random.choice(PATTERNS)
        override = {"force_run": force_run, "record": record, "forbid": forbid}.get(kind)
        made = stub(pattern, returns="stubbed") if override is None else override(pattern)
        block = Block(kind, pattern, flow)
        form = self.random.choice(["by hand", "generator", "exception"])
        if form == "by hand":
            flow.do(made.__enter__)
            self.leaving[block] = lambda: made.__exit__(None, None, None)
        else:
            steps = stepping(made)
            flow.do(lambda: next(steps))
            self.leaving[block] = steps.close if form == "generator" else lambda: throw(steps)
        flow.own.append(block)
        self.entered.append(block)
        self.steps.append(f"{self.name(flow)} enters {kind}({pattern}), {form}")

    def leave(self) -> None:
        if self.leaving:
            block = self.random.choice([*self.leaving])
            flow = block.flow if self.random.random() < 0.6 else self.doing()
            flow.do(self.leaving.pop(block))
            block.is_open, block.is_over_for_all = False, flow is not block.flow
            block.flow.own.remove(block)  # what it starts from now on never had it
            self.steps.append(f"{self.name(flow)} leaves {self.entered.index(block)}")

    def start(self) -> None:
        parent, kind = self.doing(), self.random.choice(["context", "thread", "task", "greenlet", "child"])
        if kind == "child" and isinstance(parent, Flow) and type(parent) in (Flow, InContext):
            flow: Flow = InChild(parent, self.entered, self.call)
        elif kind == "task":
            flow = InTask(parent, self.loop)
        else:
            flow = {"thread": InThread, "greenlet": InGreenlet}.get(kind, InContext)(parent)
        self.flows.append(flow)
        self.steps.append(f"{self.name(parent)} starts {self.name(flow)}")

    def ask(self, flow: Flow | None = None) -> None:
        flow = flow or self.random.choice(self.flows)
        came = flow.do(self.call)
        wanted = expected(flow, self.entered, self.is_test_run)
        assert came == wanted, "\n".join([*self.steps, f"{self.name(flow)} calls: {came}, not {wanted}"])

    def name(self, flow: Flow) -> str:
        return f"{type(flow).__name__} {self.flows.index(flow) if flow in self.flows else len(self.flows)}"


def stepping(override: Any) -> Iterator[None]:
    with override:
        yield


def throw(steps: Any) -> None:
    with contextlib.suppress(ZeroDivisionError):
        steps.throw(ZeroDivisionError)


@pytest.mark.parametrize("is_test_run", [True, False], ids=["test run", "production"])
def test_random_programs_do_as_the_table_says(is_test_run: bool, side_effects: Calls) -> None:
    """For a minute in CI: whatever flows do to each other's blocks, each call becomes what the model says."""

    @side_effect(name="random.send", returns="recorded")
    def send() -> str:
        return "executed"

    @side_effect(name="random.post")
    def post() -> None: ...

    def call() -> str:
        try:
            return send()
        except SideEffectBlocked:
            return "refused"

    end = time.monotonic() + SECONDS
    for seed in itertools.count():
        put_back = None if is_test_run else state.set_aside()
        try:
            Program(seed, is_test_run=is_test_run, call=call).run()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}:\n{error}") from None
        finally:
            if put_back is not None:
                put_back()
        list(side_effects)  # read: what was refused has been noticed
        if time.monotonic() > end:
            break
