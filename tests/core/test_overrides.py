"""`force_run`, `record`, `forbid` and `stub`: what they change, for whom, and until when."""

import asyncio
import contextlib
import contextvars
import gc
import queue
import threading
import unittest
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from sideeffects import (
    SideEffectBlocked,
    UnknownSideEffect,
    capture,
    explain,
    forbid,
    force_run,
    record,
    side_effect,
    stub,
)
from sideeffects._core.state.state import state
from sideeffects._core.verbs.overrides import enter_rules, rule_table
from sideeffects.testing import isolated_registry


@pytest.fixture
def shop() -> Iterator[SimpleNamespace]:
    """Some effects. Called, they return `executed` or `recorded`, or raise."""
    with isolated_registry():

        @side_effect(name="sms.send", returns="recorded")
        def send(to: str = "") -> str:
            return "executed"

        @side_effect(name="sms.bulk.send", returns="recorded")
        def send_bulk() -> str:
            return "executed"

        @side_effect(name="mail.send", returns="recorded")
        def mail() -> str:
            return "executed"

        @side_effect(name="mail.fetch", returns="recorded")
        async def fetch() -> str:
            return "executed"

        yield SimpleNamespace(send=send, send_bulk=send_bulk, mail=mail, fetch=fetch)


@pytest.fixture(params=["test run", "production"])
def default(request: pytest.FixtureRequest) -> str:
    """What becomes of a call that no override decides: in a test run, and outside of one."""
    if request.param == "production":
        request.getfixturevalue("production")
        return "executed"
    return "recorded"


def fate(effect: Callable[..., Any], *args: Any) -> str:
    """`executed`, `recorded` or `refused`: what becomes of a call."""
    try:
        return effect(*args)
    except SideEffectBlocked:
        return "refused"


EACH = pytest.mark.parametrize(
    ("override", "inside"), [(force_run, "executed"), (record, "recorded"), (forbid, "refused")]
)


# -- the forms


@EACH
def test_a_with_block_holds_inside_and_not_after(shop: Any, default: str, override: Any, inside: str) -> None:
    """Inside the block its mode holds for the effect that it names, and for no other; afterwards all is as before."""
    with override(shop.send):
        assert fate(shop.send) == inside
        assert fate(shop.mail) == default
    assert fate(shop.send) == default


@EACH
async def test_an_async_with_block_does_the_same(shop: Any, default: str, override: Any, inside: str) -> None:
    """`async with` is the same as `with`."""
    async with override(shop.send) as entered:
        assert fate(shop.send) == inside
        assert "sms.send" in repr(entered)
    assert fate(shop.send) == default


@EACH
def test_a_decorated_function_runs_inside(shop: Any, default: str, override: Any, inside: str) -> None:
    """A decorator holds for each run of the function, keeps its name, and passes arguments and results on."""

    @override("sms.send")
    def checkout(to: str, *, prefix: str) -> str:
        return prefix + fate(shop.send, to)

    assert checkout.__name__ == "checkout"
    assert checkout("Ada", prefix="was ") == f"was {inside}"
    assert checkout("Ada", prefix="was ") == f"was {inside}"
    assert fate(shop.send) == default


@EACH
async def test_a_decorated_coroutine_function_runs_inside(shop: Any, default: str, override: Any, inside: str) -> None:
    """A decorated `async def` enters when it is awaited, not when it is called."""

    @override("mail.fetch")
    async def checkout() -> str:
        await asyncio.sleep(0)
        try:
            return await shop.fetch()
        except SideEffectBlocked:
            return "refused"

    waiting = checkout()
    assert await shop.fetch() == default
    assert await waiting == inside
    assert await shop.fetch() == default


@EACH
def test_a_decorated_method_runs_inside(shop: Any, default: str, override: Any, inside: str) -> None:
    """Methods, class methods and static methods may be decorated, below `@classmethod` and `@staticmethod`."""

    class Checkout:
        @override("sms.send")
        def method(self) -> tuple[object, str]:
            return self, fate(shop.send)

        @classmethod
        @override("sms.send")
        def class_method(cls) -> tuple[object, str]:
            return cls, fate(shop.send)

        @staticmethod
        @override("sms.send")
        def static_method() -> str:
            return fate(shop.send)

    checkout = Checkout()
    assert checkout.method() == (checkout, inside)
    assert Checkout.class_method() == (Checkout, inside)
    assert checkout.static_method() == inside
    assert fate(shop.send) == default


@EACH
@pytest.mark.parametrize("has_own_set_up", [True, False])
def test_a_decorated_test_case_runs_inside(
    shop: Any, default: str, override: Any, inside: str, has_own_set_up: bool
) -> None:
    """On a `TestCase` it holds from `setUpClass` to the end of the class, for subclasses too."""
    seen: list[str] = []

    class Base(unittest.TestCase):
        def test_it(self) -> None:
            seen.append(fate(shop.send))

    if has_own_set_up:

        @override("sms.send")
        class Case(Base):
            @classmethod
            def setUpClass(cls) -> None:
                seen.append(fate(shop.send))

    else:

        @override("sms.send")
        class Case(Base):  # type: ignore[no-redef]
            pass

    class Below(Case):
        pass

    for case in (Case, Below):
        result = unittest.TestResult()
        unittest.TestSuite([case("test_it")]).run(result)
        assert result.wasSuccessful(), result.errors
    assert seen == [inside] * (4 if has_own_set_up else 2)
    assert fate(shop.send) == default


def test_the_class_closer_to_the_test_wins(shop: Any) -> None:
    """A subclass's decorator beats that of its base, in its `setUpClass` too; on one class the lower one does."""
    seen: list[str] = []

    @stub("sms.send", returns="base")
    class Base(unittest.TestCase):
        @classmethod
        def setUpClass(cls) -> None:
            seen.append(fate(shop.send))
            super().setUpClass()

        def test_it(self) -> None:
            seen.append(fate(shop.send))

    @stub("sms.send", returns="upper")
    @stub("sms.send", returns="lower")
    class Child(Base):
        @classmethod
        def setUpClass(cls) -> None:
            super().setUpClass()
            seen.append(fate(shop.send))

    class Grandchild(Child): ...

    for case, expected in ((Base, ["base"] * 2), (Child, ["lower"] * 3), (Grandchild, ["lower"] * 3)):
        seen.clear()
        result = unittest.TestResult()
        unittest.TestSuite([case("test_it")]).run(result)
        assert result.wasSuccessful(), result.errors
        assert seen == expected
    assert fate(shop.send) == "recorded"


def test_a_test_case_whose_set_up_fails_leaves_nothing(shop: Any, default: str) -> None:
    """When `setUpClass` fails, the override that it had entered is left."""

    @forbid("sms.send")
    class Case(unittest.TestCase):
        @classmethod
        def setUpClass(cls) -> None:
            raise RuntimeError

        def test_it(self) -> None: ...

    result = unittest.TestResult()
    unittest.TestSuite([Case("test_it")]).run(result)
    assert len(result.errors) == 1
    assert fate(shop.send) == default


@pytest.mark.parametrize("kind", ["generator", "async generator"])
def test_a_generator_cannot_be_decorated(kind: str) -> None:
    """What runs between a generator's steps is not its own, so decorating one is an error that says so."""

    def plain() -> Iterator[int]:
        yield 1

    async def asynchronous() -> Any:
        yield 1

    with pytest.raises(TypeError, match="with block inside it"):
        record("*")(plain if kind == "generator" else asynchronous)


def test_other_classes_and_values_cannot_be_decorated() -> None:
    """A class that is no `TestCase`, and what cannot be called, is an error that says what to use."""

    class Checkout: ...

    with pytest.raises(TypeError, match=r"Checkout: it is no TestCase.*pytest\.mark\.side_effects"):
        record()(Checkout)
    with pytest.raises(TypeError, match="not 'checkout'"):
        record()("checkout")  # type: ignore[type-var]


def test_explain_names_where_an_override_stands(shop: Any) -> None:
    """The origin is the line of the `with`, of the decorated function, or of the decorated class."""
    with record("sms.send"):
        in_block = explain("sms.send")

    @forbid("sms.send")
    def decorated() -> Any:
        return explain("sms.send")

    in_function = decorated()
    first = decorated.__wrapped__.__code__.co_firstlineno  # type: ignore[attr-defined]
    assert in_block.origin == f"{__file__}:{first - 3}"
    assert in_block.reason == 'recorded by record("sms.send")'
    assert in_function.origin == f"{__file__}:{first}"
    assert in_function.reason == 'forbidden by forbid("sms.send")'


# -- what may be given


@pytest.mark.parametrize("given", ["function", "effect", "name", "glob", "everything"])
def test_an_effect_is_given_as_itself_by_name_or_by_glob(shop: Any, given: str) -> None:
    """The decorated function, its description, its name, a glob and `__all__` all mean it."""
    meant = {
        "function": shop.send,
        "effect": shop.send.effect,
        "name": "sms.send",
        "glob": "sms.*",
        "everything": "__all__",
    }
    with force_run(meant[given]):
        assert fate(shop.send) == "executed"
        assert fate(shop.mail) == ("executed" if given == "everything" else "recorded")


def test_several_effects_may_be_given(shop: Any) -> None:
    """One block may name several effects."""
    with force_run(shop.send, "mail.*"):
        assert [fate(shop.send), fate(shop.mail), fate(shop.send_bulk)] == ["executed", "executed", "recorded"]


def test_a_star_crosses_dots(shop: Any) -> None:
    """`sms.*` means `sms.bulk.send` too."""
    with force_run("sms.*"):
        assert fate(shop.send_bulk) == "executed"


@pytest.mark.parametrize("pattern", ["SMS.send", "Sms.*", "sms.SEND"])
def test_case_matters(shop: Any, pattern: str) -> None:
    """Names and globs are case-sensitive, on every platform."""
    with pytest.raises(UnknownSideEffect), force_run(pattern):
        pass


def test_globs_are_matched_at_each_call(shop: Any) -> None:
    """An effect that is declared inside the block is meant by its globs too."""
    with forbid("sms.*"):

        @side_effect(name="sms.late", returns="recorded")
        def late() -> str:
            return "executed"

        assert fate(late) == "refused"


@pytest.mark.parametrize("override", [record, forbid])
def test_record_and_forbid_without_arguments_mean_all(shop: Any, production: None, override: Any) -> None:
    """Without arguments everything is held back."""
    with override():
        assert "executed" not in {fate(shop.send), fate(shop.mail), fate(shop.send_bulk)}


def test_force_run_without_arguments_is_an_error() -> None:
    """A list that was computed empty must not mean everything; the message names the way to say that."""
    with pytest.raises(TypeError, match=r'force_run\("__all__"\)'):
        force_run(*[])


@pytest.mark.parametrize("make", [force_run, record, forbid, lambda given: stub(given, returns=1)])
@pytest.mark.parametrize("given", [None, 3, len, ["sms.send"]])
def test_what_is_no_effect_is_an_error(make: Any, given: object) -> None:
    """A function that is not declared, a list, or nothing at all is a `TypeError`, at once."""
    with pytest.raises(TypeError, match="is no side effect"):
        make(given)


@pytest.mark.parametrize("make", [force_run, record, forbid, lambda given: stub(given, returns=1)])
@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("sms.snd", "Did you mean 'sms.send'"),
        ("smss.send", "'sms.send'"),
        ("nothing.like.it.*", "no declared side effect matches"),
    ],
)
def test_unknown_names_are_errors_on_entering(shop: Any, make: Any, given: str, hint: str) -> None:
    """A name that no effect has, or a glob that matches none, raises on entering, with close matches."""
    override = make(given)
    with pytest.raises(UnknownSideEffect) as caught, override:
        pass
    assert hint in str(caught.value)
    assert fate(shop.send) == "recorded"


def test_an_unknown_name_among_known_ones_enters_nothing(shop: Any, production: None) -> None:
    """When one of several names is unknown, none of them is in force."""
    with pytest.raises(UnknownSideEffect):
        forbid("sms.send", "sms.snd").__enter__()
    assert fate(shop.send) == "executed"


def test_ties_in_one_override_go_to_the_stricter(shop: Any) -> None:
    """Where a table names an effect twice, the exact name wins, then the longer glob, then the stricter."""
    table = rule_table(["sms.*", "mail.send"], ["mail.*"], ["sms.*"], {}, "a table")
    leave = enter_rules(table, "here")
    try:
        assert fate(shop.send) == "refused"
        assert fate(shop.mail) == "executed"
    finally:
        leave()


# -- tables of overrides (markers, class attributes)


def test_a_table_holds_stubs_and_errors(shop: Any) -> None:
    """`stub` maps an effect to what it returns, or to the exception, or its class, that it raises."""
    table = rule_table(
        [], [], [], {"sms.send": "stubbed", "mail.send": OSError("down"), "sms.bulk.send": KeyError}, "t"
    )
    leave = enter_rules(table, "here")
    try:
        assert shop.send() == "stubbed"
        with pytest.raises(OSError, match="down"):
            shop.mail()
        with pytest.raises(KeyError):
            shop.send_bulk()
    finally:
        leave()
    assert fate(shop.send) == "recorded"


@pytest.mark.parametrize(
    ("force", "stubs", "problem"),
    [
        ("sms.send", {}, "takes a list of effects"),
        ([], ["sms.send"], "takes a mapping"),
        ([], [record()], "or a list of stub"),
        (None, {}, "takes a list"),
    ],
)
def test_a_table_of_the_wrong_shape_is_an_error(force: Any, stubs: Any, problem: str) -> None:
    """A string in place of a list, or a list in place of a mapping, is named with what it should be."""
    with pytest.raises(TypeError, match=problem):
        rule_table(force, [], [], stubs, "a marker")


def test_a_table_with_an_unknown_name_is_not_entered(shop: Any) -> None:
    """Names in a table are checked as in a block."""
    with pytest.raises(UnknownSideEffect):
        enter_rules(rule_table(["sms.send", "sms.snd"], [], [], {}, "a marker"), "here")
    assert fate(shop.send) == "recorded"


def test_a_table_is_outermost_even_when_entered_last(shop: Any) -> None:
    """A marker speaks after every block, whether that was entered before or after it."""
    with forbid("sms.send"):
        leave = enter_rules(rule_table(["sms.*", "mail.send"], [], [], {}, "a marker"), "here")
        try:
            assert fate(shop.send) == "refused"
            assert fate(shop.mail) == "executed"
        finally:
            leave()


# -- nesting and reuse


def test_the_innermost_wins(shop: Any, default: str) -> None:
    """Blocks nest; leaving an inner one brings the outer one back."""
    with record("sms.send"):
        with forbid("sms.*"):
            with force_run("sms.send"):
                assert fate(shop.send) == "executed"
            assert fate(shop.send) == "refused"
        assert fate(shop.send) == "recorded"
    assert fate(shop.send) == default


def test_an_override_may_be_used_again(shop: Any, default: str) -> None:
    """One object may be entered again, also while it is open."""
    held = forbid("sms.send")
    for _ in range(2):
        with held:
            with held:
                assert fate(shop.send) == "refused"
            assert fate(shop.send) == "refused"
        assert fate(shop.send) == default


def test_a_decorated_function_may_call_itself(shop: Any, default: str) -> None:
    """Each level of a recursion leaves what it entered."""

    @forbid("sms.send")
    def countdown(left: int) -> list[str]:
        return [*(countdown(left - 1) if left else []), fate(shop.send)]

    assert countdown(3) == ["refused"] * 4
    assert fate(shop.send) == default


def test_leaving_twice_does_nothing(shop: Any, default: str) -> None:
    """An override that is left once too often takes no other with it."""
    held = forbid("sms.send")
    with record("sms.send"):
        with held:
            pass
        held.__exit__(None, None, None)
        assert fate(shop.send) == "recorded"
    leave = held._enter("here")
    leave()
    with held:
        leave()
        assert fate(shop.send) == "refused"
    assert fate(shop.send) == default


def test_a_block_leaves_its_own_entry_though_another_is_further_in(shop: Any, default: str) -> None:
    """A generator that is closed inside a later block of the same override leaves its own entry, not that block's."""
    held = forbid("sms.send")

    def dawdle() -> Iterator[None]:
        with held:
            yield

    abandoned = dawdle()
    next(abandoned)
    with force_run("sms.send"), held:
        abandoned.close()  # type: ignore[attr-defined]
        assert fate(shop.send) == "refused"
    assert fate(shop.send) == default


async def test_a_block_left_by_another_task_leaves_its_own_entry(shop: Any, default: str) -> None:
    """An asynchronous generator closed by another task leaves its own entry and not the one that this task sees."""
    held = forbid("sms.send")

    async def dawdle() -> Any:
        async with held:
            yield

    abandoned = dawdle()
    await anext(abandoned)
    async with force_run("sms.send"), held:
        await asyncio.create_task(abandoned.aclose())
        assert fate(shop.send) == "refused"
    assert fate(shop.send) == default


def test_an_exit_stack_leaves_the_innermost_first(shop: Any, default: str) -> None:
    """Entered through a stack, an override leaves the innermost entry of the context."""
    held = forbid("sms.send")
    with contextlib.ExitStack() as outer:
        outer.enter_context(held)
        with force_run("sms.send"), contextlib.ExitStack() as inner:
            inner.enter_context(held)
            inner.close()
            assert fate(shop.send) == "executed"
        assert fate(shop.send) == "refused"
    assert fate(shop.send) == default


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit])
@pytest.mark.parametrize("form", ["block", "async block", "function", "coroutine function"])
def test_exceptions_leave_too(shop: Any, default: str, error: type[BaseException], form: str) -> None:
    """Whatever is raised inside, the override is left and the exception passes on."""
    held = forbid("sms.send")

    def fail() -> None:
        assert fate(shop.send) == "refused"
        raise error

    async def fail_later() -> None:
        fail()

    async def fail_in_block() -> None:
        async with held:
            fail()

    def run(coroutine: Any) -> None:
        coroutine.send(None)

    with pytest.raises(error):
        if form == "block":
            with held:
                fail()
        elif form == "async block":
            run(fail_in_block())
        elif form == "function":
            held(fail)()
        else:
            run(held(fail_later)())
    assert fate(shop.send) == default


def test_a_cancelled_task_leaves(shop: Any, default: str) -> None:
    """A task that is cancelled inside a decorated coroutine function leaves the override."""

    @forbid("sms.send")
    async def wait(started: asyncio.Event) -> None:
        started.set()
        await asyncio.Event().wait()

    async def main() -> None:
        started = asyncio.Event()
        task = asyncio.create_task(wait(started))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert fate(shop.send) == default

    asyncio.run(main())


def test_an_abandoned_generator_leaves_when_it_is_collected(shop: Any, default: str) -> None:
    """A `with` block in a generator is left when nobody holds the generator any more."""

    def dawdle() -> Iterator[None]:
        with forbid("sms.send"):
            yield

    abandoned = dawdle()
    next(abandoned)
    assert fate(shop.send) == "refused"
    del abandoned
    gc.collect()
    assert fate(shop.send) == default


# -- threads, tasks and contexts


class Worker:
    """A thread that does what it is handed, one thing after the other, in its one context."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                self._done.put((job(), None))
            except BaseException as error:  # noqa: BLE001 - handed on
                self._done.put((None, error))

    def do(self, job: Callable[[], Any]) -> Any:
        self._jobs.put(job)
        result, error = self._done.get(timeout=30)
        if error is not None:
            raise error
        return result

    def stop(self) -> None:
        self._jobs.put(None)
        self._thread.join(30)


@pytest.fixture
def workers() -> Iterator[tuple[Worker, Worker]]:
    """Two threads."""
    pair = Worker(), Worker()
    yield pair
    for worker in pair:
        worker.stop()


def test_two_threads_may_leave_in_another_order_than_they_entered(
    shop: Any, default: str, workers: tuple[Worker, Worker]
) -> None:
    """The first to enter is the first to leave: the second keeps its own, with one override object for both."""
    one, two = workers
    for first, second in [(forbid("sms.send"), record("sms.send")), (held := forbid("sms.send"), held)]:
        one.do(first.__enter__)
        two.do(second.__enter__)
        inside = "recorded" if second is not first else "refused"
        one.do(lambda first=first: first.__exit__(None, None, None))
        assert two.do(lambda: fate(shop.send)) == inside
        if default == "executed":
            assert one.do(lambda: fate(shop.send)) == default
        two.do(lambda second=second: second.__exit__(None, None, None))
        assert [worker.do(lambda: fate(shop.send)) for worker in workers] == [default] * 2


def test_outside_a_test_run_other_threads_are_not_touched(
    shop: Any, production: None, workers: tuple[Worker, Worker]
) -> None:
    """An override in production holds for its own context, and no request beside it."""
    one, two = workers
    held = forbid()
    one.do(held.__enter__)
    assert one.do(lambda: fate(shop.send)) == "refused"
    assert two.do(lambda: fate(shop.send)) == fate(shop.send) == "executed"
    one.do(lambda: held.__exit__(None, None, None))


def test_in_a_test_run_other_threads_see_it(shop: Any, workers: tuple[Worker, Worker]) -> None:
    """In a test run, threads that were there before see the overrides open elsewhere, newest first."""
    one, two = workers
    with force_run("sms.send"):
        assert one.do(lambda: fate(shop.send)) == "executed"
        with forbid("sms.send"):
            assert one.do(lambda: fate(shop.send)) == "refused"
            held = record("sms.send")
            one.do(held.__enter__)
            assert one.do(lambda: fate(shop.send)) == "recorded"  # its own first
            assert two.do(lambda: fate(shop.send)) == "recorded"  # the newest
            assert fate(shop.send) == "refused"  # its own first
            one.do(lambda: held.__exit__(None, None, None))
        assert two.do(lambda: fate(shop.send)) == "executed"
    assert two.do(lambda: fate(shop.send)) == "recorded"


def test_left_by_another_thread_it_is_gone_for_the_one_that_entered(
    shop: Any, default: str, workers: tuple[Worker, Worker]
) -> None:
    """An override that another thread leaves does not go on holding for the thread that entered it."""
    one, two = workers
    held = forbid("sms.send")
    one.do(held.__enter__)
    two.do(lambda: held.__exit__(None, None, None))
    assert one.do(lambda: fate(shop.send)) == default
    assert one.do(lambda: explain("sms.send").mode.value) == {"executed": "execute", "recorded": "record"}[default]


async def test_left_by_another_task_it_is_gone_for_the_one_that_entered(shop: Any, default: str) -> None:
    """An override that another task leaves does not go on holding for the task that entered it."""
    held = forbid("sms.send")

    async def leave() -> None:
        held.__exit__(None, None, None)

    held.__enter__()
    await asyncio.create_task(leave())
    assert fate(shop.send) == default


def test_left_by_a_copied_context_it_is_gone_for_the_one_that_entered(shop: Any, default: str) -> None:
    """The context counts, not the thread: leaving in a copied context is heard of in the one that entered."""
    held = forbid("sms.send")
    held.__enter__()
    contextvars.copy_context().run(held.__exit__, None, None, None)
    assert fate(shop.send) == default


def test_what_starts_after_a_block_was_left_elsewhere_is_free(shop: Any, production: None) -> None:
    """A block left in another task is over for all that descends from the one that entered it, at once."""

    async def rows() -> AsyncIterator[int]:
        with record("sms.send"):
            yield 1
            yield 2

    async def view() -> list[str]:
        stepping = rows()
        await anext(stepping)
        inside = contextvars.copy_context()
        assert fate(shop.send) == "recorded"
        await asyncio.create_task(anyway(stepping.aclose()))
        started = queue.SimpleQueue[str]()
        thread = threading.Thread(target=lambda: started.put(fate(shop.send)))
        thread.start()
        thread.join(30)
        return [
            started.get(timeout=30),
            await asyncio.to_thread(fate, shop.send),
            await asyncio.create_task(asyncio.to_thread(fate, shop.send)),
            contextvars.copy_context().run(fate, shop.send),
            inside.run(fate, shop.send),
            fate(shop.send),
        ]

    async def anyway(closing: Any) -> None:
        await closing

    assert asyncio.run(view()) == ["executed"] * 6


@EACH
def test_work_that_outlives_its_block_keeps_what_is_strict(shop: Any, default: str, override: Any, inside: str) -> None:
    """A thread, a task or a context from inside the block keeps RECORD and RAISE and loses EXECUTE afterwards."""
    later, go = queue.SimpleQueue[str](), threading.Event()

    def work() -> None:
        go.wait(30)
        later.put(fate(shop.send))

    async def main() -> list[str]:
        with override("sms.send"):
            thread = threading.Thread(target=work)
            thread.start()

            awaited = asyncio.Event()

            async def wait() -> str:
                await awaited.wait()
                return fate(shop.send)

            task = asyncio.create_task(wait())
            copied = contextvars.copy_context()
            assert copied.run(fate, shop.send) == inside
        go.set()
        awaited.set()
        thread.join(30)
        return [await task, later.get(timeout=30), copied.run(fate, shop.send)]

    kept = default if override is force_run else inside
    assert asyncio.run(main()) == [kept] * 3
    with override("sms.send"):
        copied = contextvars.copy_context()
    assert copied.run(fate, shop.send) == kept
    assert fate(shop.send) == default


def test_work_that_outlives_its_block_loses_stubs(shop: Any, production: None) -> None:
    """What was stubbed stays recorded, with the answer that the effect itself was declared with."""
    with stub("sms.send", returns="stubbed"):
        copied = contextvars.copy_context()
        assert copied.run(shop.send) == "stubbed"
    assert copied.run(shop.send) == "recorded"


def test_what_an_outlived_execute_hid_speaks_again(shop: Any, production: None) -> None:
    """An EXECUTE that has lost its force leaves the word to the overrides around it."""
    with forbid("sms.send"), force_run("sms.send"):
        copied = contextvars.copy_context()
        assert copied.run(fate, shop.send) == "executed"
    assert copied.run(fate, shop.send) == "refused"


# -- stubs


def test_a_stubbed_call_is_recorded_and_answered(shop: Any, default: str) -> None:
    """`stub` records the call and returns what it says."""
    with capture() as calls, stub("sms.send", returns="stubbed"):
        assert shop.send("Ada") == "stubbed"
    call = calls.one("sms.send")
    assert (call.mode.value, call.arguments["to"], call.outcome.result) == ("record", "Ada", "stubbed")
    assert call.reason == 'stubbed by stub("sms.send")'
    assert fate(shop.send) == default


def test_stubbed_containers_are_copied_for_each_call(shop: Any) -> None:
    """What one call does to its answer, the next does not see; nor does it reach the stub."""
    answer = {"ids": [1]}
    with stub("sms.send", returns=answer):
        shop.send()["ids"].append(2)
        assert shop.send() == {"ids": [1]}
    assert answer == {"ids": [1]}


def test_a_stub_may_be_computed(shop: Any) -> None:
    """A callable is given the call's arguments, and what it raises is raised."""
    with stub("sms.send", returns=lambda to: f"to {to}"):
        assert shop.send("Ada") == "to Ada"
    with stub("sms.send", returns=lambda to: 1 / 0), pytest.raises(ZeroDivisionError):
        shop.send("Ada")


def test_a_stub_may_return_nothing(shop: Any) -> None:
    """`returns=None` is an answer, in place of the one that the effect was declared with."""
    with stub("sms.send", returns=None):
        assert shop.send() is None


def test_a_stub_may_raise(shop: Any) -> None:
    """An exception class is raised anew for each call; an instance is raised as it is, without an old traceback."""
    error = OSError("down")
    with stub("sms.send", raises=error):
        lengths = []
        for _ in range(3):
            with pytest.raises(OSError, match="down") as caught:
                shop.send()
            assert caught.value is error
            lengths.append(len(caught.traceback))
    assert len(set(lengths)) == 1
    with stub("sms.send", raises=KeyError), capture() as calls:
        with pytest.raises(KeyError) as first:
            shop.send()
        with pytest.raises(KeyError) as second:
            shop.send()
    assert first.value is not second.value
    assert calls[0].outcome.error is first.value


async def test_stubs_of_async_effects_may_be_async(shop: Any) -> None:
    """An asynchronous effect is answered by a value, a function, or a coroutine function."""

    async def answer() -> str:
        await asyncio.sleep(0)
        return "later"

    with stub("mail.fetch", returns="now"):
        assert await shop.fetch() == "now"
    with stub("mail.fetch", returns=answer):
        assert await shop.fetch() == "later"
    with stub("mail.fetch", raises=KeyError), pytest.raises(KeyError):
        await shop.fetch()


def test_nothing_stays_open_in_the_process(shop: Any, default: str) -> None:
    """After blocks, decorators and failures no override is left open."""
    before = state.overrides.entries
    with record(), contextlib.suppress(ValueError), forbid("sms.*"):
        raise ValueError
    assert state.overrides.entries == before
