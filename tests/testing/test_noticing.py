"""Refusals that come to a test as values: in groups, in the answers of `gather`, in futures."""

import re
import sys

import pytest

pytestmark = pytest.mark.processes

pytest_plugins = ["pytester"]

CODE = """
    import asyncio
    from sideeffects import side_effect

    @side_effect(name="gr.send")
    async def send(): ...

    @side_effect(name="gr.sync")
    def sync(): ...

    async def gather():
        await asyncio.gather(send(), return_exceptions=True)

    async def wait():
        task = asyncio.ensure_future(send())
        await asyncio.wait([task])
        task.exception()

    async def sleep():
        task = asyncio.create_task(send())
        await asyncio.sleep(0.01)
        task.exception()

    async def group():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(send())

    async def swallowed_group():
        try:
            await group()
        except* Exception:
            pass

    def group_of_its_own():
        try:
            sync()
        except Exception as error:
            caught = error
        raise ExceptionGroup("its own", [caught])

    def submitted(pool):
        return pool.submit(sync)

    def looked_at(pool):
        future = pool.submit(sync)
        future.exception()
        return future
"""

TESTS = """
    import asyncio, pytest, code_under_test as code
    from concurrent.futures import ThreadPoolExecutor
    from sideeffects import SideEffectBlocked

    pytestmark = pytest.mark.side_effects(forbid=["gr.*"])

    def test_swallowed_in_gather():
        asyncio.run(code.gather())

    def test_swallowed_after_wait():
        asyncio.run(code.wait())

    def test_swallowed_after_sleep():
        asyncio.run(code.sleep())

    def test_swallowed_in_a_group():
        asyncio.run(code.swallowed_group())

    def test_swallowed_in_a_pool():
        with ThreadPoolExecutor() as pool:
            code.looked_at(pool)

    def test_swallowed_since_nobody_asked_the_task():
        async def go():
            task = asyncio.create_task(code.send())
            await asyncio.sleep(0.01)

        asyncio.run(go())

    def test_seen_by_except_star():
        try:
            asyncio.run(code.group())
        except* SideEffectBlocked:
            pass

    def test_seen_by_raises():
        with pytest.raises(ExceptionGroup):
            asyncio.run(code.group())

    def test_seen_by_raises_group():
        with pytest.RaisesGroup(SideEffectBlocked):
            code.group_of_its_own()

    def test_seen_in_a_group_of_the_test():
        async def go():
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(code.send())

        with pytest.RaisesGroup(SideEffectBlocked):
            asyncio.run(go())

    def test_seen_in_a_pool():
        with ThreadPoolExecutor() as pool:
            assert isinstance(code.submitted(pool).exception(), SideEffectBlocked)

    def test_seen_in_a_task():
        async def go():
            task = asyncio.create_task(code.send())
            await asyncio.sleep(0.01)
            assert isinstance(task.exception(), SideEffectBlocked)

        asyncio.run(go())

    def test_seen_after_wait():
        async def go():
            done, _ = await asyncio.wait([asyncio.create_task(code.send())])
            assert isinstance(done.pop().exception(), SideEffectBlocked)

        asyncio.run(go())

    def test_seen_in_gather():
        async def go():
            return await asyncio.gather(code.send(), code.send(), return_exceptions=True)

        assert all(isinstance(answer, SideEffectBlocked) for answer in asyncio.run(go()))

    def test_seen_by_wait_for():
        async def go():
            with pytest.raises(SideEffectBlocked):
                await asyncio.wait_for(code.send(), 5)

        asyncio.run(go())
"""

IN_UNITTEST = """
    import asyncio, unittest, code_under_test as code
    from sideeffects.testing import SideEffectsMixin

    class Test(SideEffectsMixin, unittest.TestCase):
        forbid = ["gr.*"]

        def test_seen(self):
            with self.assertRaises(ExceptionGroup):
                asyncio.run(code.group())

        def test_swallowed(self):
            asyncio.run(code.swallowed_group())
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """With the code that is tested."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(code_under_test=CODE)
    return pytester


def test_what_has_come_to_a_frame_of_the_test_was_noticed_there(project: pytest.Pytester) -> None:
    """What has come to the code under test alone, and no further, was swallowed."""
    project.makepyfile(test_it=TESTS)
    output = project.runpytest_subprocess("-p", "sideeffects", "-p", "no:cacheprovider", "-q").stdout.str()
    failed = re.findall(r"^FAILED \S+::(\w+)", output, re.MULTILINE)
    assert failed == re.findall(r"def (test_swallowed\w+)", TESTS)
    assert "the test did not notice" in output
    assert f"{len(failed)} failed, {TESTS.count('def test_seen')} passed" in output


def test_the_same_under_unittest(project: pytest.Pytester) -> None:
    """Whose `assertRaises` takes the traceback away."""
    project.makepyfile(test_it=IN_UNITTEST)
    output = project.run(sys.executable, "-m", "unittest").stderr.str()
    assert re.findall(r"^(?:FAIL|ERROR): (\w+)", output, re.MULTILINE) == ["test_swallowed"]
