"""Overrides that a test or a fixture leaves open: closed with it, and a failure that says where they were entered."""

import sys

import pytest

pytestmark = pytest.mark.processes

pytest_plugins = ["pytester"]

APP = """
    import threading
    from sideeffects import force_run, forbid, side_effect

    KEPT, STOP = [], threading.Event()

    @side_effect(name="left.sms", returns="recorded")
    def sms():
        return "executed"

    def steps():
        with force_run("left.sms"):
            yield

    def keep():
        KEPT.append(steps())
        next(KEPT[-1])

    def enter():
        force_run("left.sms").__enter__()

    def stay_in_thread():
        inside = threading.Event()

        def work():
            with force_run("left.sms"):
                inside.set()
                STOP.wait(60)

        threading.Thread(target=work, daemon=True).start()
        inside.wait(60)

    def stay_in_pool(pool):
        pool.submit(enter).result()
"""


def run(pytester: pytest.Pytester, source: str, *, command: str = "pytest") -> pytest.RunResult:
    pytester.makepyfile(app=APP)
    pytester.makepyfile(test_left=source)
    if command == "pytest":
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "sideeffects", "-v")
    return pytester.run(sys.executable, "-m", "unittest", "-v", "test_left")


@pytest.fixture(autouse=True)
def _few_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.mark.parametrize(
    "leave", ["app.keep()", "app.enter()", "app.stay_in_thread()", "app.stay_in_pool(POOL)", "STACK.enter_context(F)"]
)
def test_a_test_that_leaves_a_block_open_fails_and_it_ends(pytester: pytest.Pytester, leave: str) -> None:
    """Kept generators, bare entering, threads, jobs of a pool: the next test, and shared teardowns, are free of it."""
    result = run(
        pytester,
        f"""
        import contextlib
        from concurrent.futures import ThreadPoolExecutor
        import pytest
        import app
        from sideeffects import force_run

        POOL, STACK, F = ThreadPoolExecutor(1), contextlib.ExitStack(), force_run("left.sms")

        @pytest.fixture(scope="class")
        def shared():
            yield
            assert app.sms() == "recorded"

        class TestFirst:
            def test_leaves(self, shared):
                {leave}
                assert app.sms() == "executed"

        def test_names_nothing():
            assert app.sms() == "recorded"

        def test_later_work_of_the_first_is_not_heard():
            with force_run("left.sms"):
                assert app.sms() == "executed"
        """,
    )
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of*test_leaves*", "*an override was still open when this test*"])
    result.stdout.fnmatch_lines(["  1. entered at *.py:*", '     forced by force_run("left.sms")'])


def test_blocks_of_shared_fixtures_last_as_long_as_these(pytester: pytest.Pytester) -> None:
    """Of each scope, also where the first effect is declared while the fixture is set up, and of threads they start."""
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session", autouse=True)
        def online():
            import app  # the first effect is declared here
            with app.force_run("left.sms"):
                yield
            assert app.sms() == "recorded"
        """
    )
    result = run(
        pytester,
        """
        import threading
        import pytest
        from sideeffects import forbid, force_run, stub
        import sys

        def sms():
            return sys.modules["app"].sms()

        @pytest.fixture(scope="module")
        def stubbed():
            with stub("left.sms", returns="module"):
                yield
                assert sms() == "module"

        @pytest.fixture
        def own():
            with stub("left.sms", returns="own"):
                yield

        def test_first():
            assert sms() == "executed"

        def test_second():
            assert sms() == "executed"

        def test_module(stubbed):
            assert sms() == "module"

        def test_own(stubbed, own):
            assert sms() == "own"

        def test_module_again(stubbed):
            assert sms() == "module"
        """,
    )
    result.assert_outcomes(passed=5)


def test_a_shared_fixture_that_leaves_one_open_fails(pytester: pytest.Pytester) -> None:
    """At its teardown; its tests had it, those of the next module do not."""
    pytester.makepyfile(test_next="import app\n\ndef test_next():\n    assert app.sms() == 'recorded'\n")
    result = run(
        pytester,
        """
        import pytest
        import app

        @pytest.fixture(scope="module")
        def online():
            app.stay_in_thread()
            yield

        def test_one(online):
            assert app.sms() == "executed"

        def test_two(online):
            assert app.sms() == "executed"
        """,
    )
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*an override was still open when the fixture 'online' ended*"])


@pytest.mark.parametrize("mixin", ["SideEffectsMixin, ", ""])
def test_under_unittest_tests_classes_and_modules_own_theirs(pytester: pytest.Pytester, mixin: str) -> None:
    """With the mixin and without it: what each leaves open fails it, and nothing holds afterwards."""
    result = run(
        pytester,
        f"""
        import unittest
        import app
        from sideeffects import force_run
        from sideeffects.testing import SideEffectsMixin

        class A({mixin}unittest.TestCase):
            def test_a_leaves(self):
                app.keep()

            def test_b_names_nothing(self):
                self.assertEqual(app.sms(), "recorded")

            def test_c_closes(self):
                self.enterContext(force_run("left.sms"))
                self.assertEqual(app.sms(), "executed")

        class B({mixin}unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                super().setUpClass()
                app.enter()

            def test_has_it(self):
                self.assertEqual(app.sms(), "executed")

            def test_has_it_still(self):
                self.assertEqual(app.sms(), "executed")

        class C({mixin}unittest.IsolatedAsyncioTestCase):
            async def test_a_leaves(self):
                app.enter()

            async def test_b_names_nothing(self):
                self.assertEqual(app.sms(), "recorded")

        def setUpModule():
            unittest.addModuleCleanup(lambda: None)
        """,
        command="unittest",
    )
    text = result.stderr.str()
    assert "Ran 7 tests" in text
    assert "FAILED (failures=2, errors=1)" in text
    assert text.count("still open when this test ended") == 2
    assert text.count("still open when the class ended") == 1
    assert "tearDownClass (test_left.B)" in text


def test_what_a_module_leaves_open_fails_it(pytester: pytest.Pytester) -> None:
    """`setUpModule` owns what it enters until the last test of the module."""
    pytester.makepyfile(
        test_then="import app, unittest\nclass T(unittest.TestCase):\n"
        "    def test_next(self):\n        self.assertEqual(app.sms(), 'recorded')\n"
    )
    pytester.makepyfile(
        test_left="import app, unittest\ndef setUpModule():\n    app.enter()\nclass T(unittest.TestCase):\n"
        "    def test_has_it(self):\n        self.assertEqual(app.sms(), 'executed')\n",
        app=APP,
    )
    result = pytester.run(sys.executable, "-m", "unittest", "test_left", "test_then")
    assert "Ran 2 tests" in result.stderr.str()
    assert "FAILED (errors=1)" in result.stderr.str()
    assert "still open when the module ended" in result.stderr.str()
