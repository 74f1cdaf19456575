"""Every test here runs a real pytest, in a process of its own unless it says otherwise, on a small project."""

import pytest

pytestmark = pytest.mark.processes

pytest_plugins = ["pytester"]

APP = """
    import pathlib
    from sideeffects import side_effect

    SENT = pathlib.Path(__file__).with_name("sent.txt")

    @side_effect(name="sms.send")
    def send_sms(to, body="hello"):
        with SENT.open("a") as file:
            file.write(to + "\\n")
        return "id"

    @side_effect(name="mail.send")
    def send_mail(to):
        with SENT.open("a") as file:
            file.write(to + "\\n")

    def careless(to):
        try:
            send_sms(to)
        except Exception:
            pass

    def translating(to):
        try:
            send_sms(to)
        except Exception as error:
            raise RuntimeError("no message") from error
"""


class Project:
    """A small project with effects that note each real execution in `sent.txt`."""

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pytester = pytester
        pytester.makepyfile(app=APP)
        # Only what a test asks for: loading every plugin that is installed takes longer than most of the runs.
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(self, *args: str, plugins: tuple[str, ...] = ("sideeffects",), **files: str) -> pytest.RunResult:
        if files:
            self.pytester.makepyfile(**files)
        loaded = [arg for plugin in plugins for arg in ("-p", plugin)]
        return self.pytester.runpytest_subprocess("-p", "no:cacheprovider", *loaded, *args)

    @property
    def sent(self) -> list[str]:
        path = self.pytester.path / "sent.txt"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(pytester, monkeypatch)


# -- the fixture


def test_the_fixture_shows_the_calls_of_its_test_alone(project: Project) -> None:
    """A test starts with no calls, sees its own and those of its fixtures, and nothing executes."""
    result = project.run(
        test_it="""
        import app, pytest

        @pytest.fixture
        def customer():
            app.send_sms("fixture")

        def test_first(side_effects):
            assert len(side_effects) == 0
            app.send_sms("one")
            side_effects.assert_called(app.send_sms, to="one", times=1)

        def test_second(customer, side_effects):
            app.send_mail("two")
            assert [call.arguments["to"] for call in side_effects] == ["fixture", "two"]

        def test_third(side_effects):
            side_effects.assert_not_called("sms.send")
            side_effects.assert_only()
        """
    )
    result.assert_outcomes(passed=3)
    assert project.sent == []


def test_a_failing_assertion_explains_itself_like_pytest(project: Project) -> None:
    """Expectation, nearest call with the differing argument marked, all calls with callers, and the user's line."""
    result = project.run(
        test_it="""
        import app

        def test_it(side_effects):
            app.send_sms("+44", body="Welcome!")
            app.send_mail("a@b.example")
            side_effects.assert_called("sms.send", to="+44", body="Goodbye!")
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            '>       side_effects.assert_called("sms.send", to="+44", body="Goodbye!")',
            "E       AssertionError: expected call: sms.send(to='+44', body='Goodbye!')",
            "E       nearest call: sms.send(to='+44', body='Welcome!')*[[]RECORD[]]*test_it.py:4",
            "E           body: expected 'Goodbye!'",
            "E                      got 'Welcome!'   <--",
            "E       all calls:",
            "E         1. sms.send(*)*test_it.py:4",
            "E         2. mail.send(to='a@b.example')*test_it.py:5",
        ]
    )
    result.stdout.no_fnmatch_line("*_reading.py*")


def test_what_is_set_up_for_several_tests_is_no_tests_call(project: Project) -> None:
    """Calls at import, in conftest, and in session, module and class fixtures, setup and teardown, are nobody's."""
    result = project.run(
        conftest="""
        import app, pytest

        app.send_sms("conftest")

        @pytest.fixture(scope="session")
        def wide():
            app.send_sms("session")
            yield
            app.send_sms("session, teardown")
        """,
        test_it="""
        import app, pytest
        from sideeffects import capture

        app.send_sms("import")

        @pytest.fixture(scope="module")
        def broad(wide):
            app.send_sms("module")

        @pytest.fixture(scope="module", params=[1, 2])
        def changing(request):
            yield request.param
            app.send_sms("teardown between two tests")

        class TestIt:
            @pytest.fixture(scope="class")
            def narrow(self, broad):
                app.send_sms("class")

            def test_late(self, side_effects, request):
                app.send_sms("before")
                request.getfixturevalue("narrow")
                app.send_sms("after")
                assert [call.arguments["to"] for call in side_effects] == ["before", "after"]

            def test_early(self, narrow, side_effects):
                assert not side_effects

        def test_changing(changing, side_effects):
            assert not side_effects
        """,
    )
    result.assert_outcomes(passed=4)


def test_a_fixture_of_a_wider_scope_may_not_ask_for_a_tests_calls(project: Project) -> None:
    """`side_effects` belongs to one test: pytest says so."""
    result = project.run(
        test_it="""
        import pytest

        @pytest.fixture(scope="module")
        def wide(side_effects): ...

        def test_it(wide): ...
        """
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ScopeMismatch*"])


# -- the marker


def test_the_closest_marker_wins_name_by_name(project: Project) -> None:
    """Parameter before function before class before its base before module; what they do not name stays as it is."""
    result = project.run(
        test_it="""
        import app, pytest
        from sideeffects import Mode, explain

        pytestmark = pytest.mark.side_effects(forbid=["sms.send", "mail.*"])
        mark = pytest.mark.side_effects

        def modes():
            return explain("sms.send").mode, explain("mail.send").mode

        def test_module():
            assert modes() == (Mode.RAISE, Mode.RAISE)

        @mark(record=[app.send_sms])
        class TestBase:
            def test_class(self):
                assert modes() == (Mode.RECORD, Mode.RAISE)

            @mark(force_run=["sms.send"])
            def test_function(self):
                assert modes() == (Mode.EXECUTE, Mode.RAISE)

            @mark(stub={"mail.send": 7})
            @mark(stub={"mail.send": 8})
            def test_stacked(self):
                assert app.send_mail("x") == 8
                assert modes()[1] is Mode.RECORD

            @pytest.mark.parametrize("mode", [
                pytest.param(Mode.RAISE, marks=mark(forbid=["sms.*"])),
                pytest.param(Mode.RECORD, marks=mark(record=["__all__"])),
                Mode.EXECUTE,
            ])
            @mark(force_run=["sms.send"])
            def test_parameter(self, mode):
                assert modes()[0] is mode

        @mark(force_run=["sms.send"])
        class TestDerived(TestBase):
            def test_class(self):
                assert modes() == (Mode.EXECUTE, Mode.RAISE)
        """
    )
    result.assert_outcomes(passed=13)
    assert project.sent == []


def test_stubs_of_markers_are_counted_for_each_test(project: Project) -> None:
    """Each test has the first answer first, and its own number of calls; a shared fixture in between takes none."""
    result = project.run(
        test_it="""
        import app, pytest
        from sideeffects import StubExhausted, stub

        pytestmark = pytest.mark.side_effects(stub=[stub("sms.send", in_turn=["first", "second"], times=2)])

        @pytest.fixture(scope="module")
        def broad():
            app.send_sms("module")

        def test_right(request):
            assert app.send_sms("one") == "first"
            request.getfixturevalue("broad")
            assert app.send_sms("two") == "second"

        def test_again():
            assert [app.send_sms("one"), app.send_sms("two")] == ["first", "second"]

        def test_too_few():
            app.send_sms("one")

        def test_none():
            pass

        def test_too_many():
            for _ in range(3):
                app.careless("one")

        def test_fails_by_itself():
            assert app.send_sms("one") == "other"
        """
    )
    result.assert_outcomes(passed=2, failed=4)
    result.stdout.fnmatch_lines(
        [
            '*stub("sms.send", times=2) had to answer 2 calls, and has answered 1 (entered at test_it.py)',
            "*1. sms.send(to='one', body='hello')*",
            '*stub("sms.send", times=2) had to answer 2 calls, and has answered 0 (entered at test_it.py)',
            "*a stub was asked more often than it has answers, and the test did not notice*",
            "*the stub of side effect 'sms.send' has 2 answers (entered at test_it.py), and this is call 3*",
            "*assert 'first' == 'other'",
        ]
    )
    assert project.sent == []


def test_a_marker_is_the_outermost_override(project: Project) -> None:
    """With blocks speak first, wherever and whenever they were entered; the marker holds again after them."""
    result = project.run(
        test_it="""
        import threading
        import app, pytest
        from sideeffects import Mode, explain, force_run, forbid, record

        @pytest.fixture(scope="module")
        def wide():
            with force_run("mail.send"):
                yield

        def mode():
            return explain("sms.send").mode

        @pytest.mark.side_effects(forbid=["sms.send", "mail.send"])
        def test_blocks(wide):
            assert mode() is Mode.RAISE
            with record("sms.send"):
                assert mode() is Mode.RECORD
                with force_run("sms.*"):
                    assert mode() is Mode.EXECUTE
                assert mode() is Mode.RECORD
            assert mode() is Mode.RAISE
            assert explain("mail.send").mode is Mode.EXECUTE

        @pytest.mark.side_effects(force_run=["sms.send"])
        def test_threads():
            seen = []
            def look():
                seen.append(mode())
            def run():
                thread = threading.Thread(target=look)
                thread.start()
                thread.join()
            run()
            with record("sms.send"):
                run()
            assert seen == [Mode.EXECUTE, Mode.RECORD]

        @pytest.mark.side_effects(force_run=["sms.send"])
        @forbid("sms.send")
        def test_decorator():
            assert mode() is Mode.RAISE
        """
    )
    result.assert_outcomes(passed=3)


def test_a_marker_holds_for_its_test_alone(project: Project) -> None:
    """Before, after, and while something is set up for several tests it does not; a failing test leaves nothing."""
    result = project.run(
        test_it="""
        import app, pytest
        from sideeffects import Mode, explain

        def mode():
            return explain("sms.send").mode

        modes = []

        @pytest.fixture(scope="module")
        def wide():
            modes.append(mode())
            yield
            modes.append(mode())

        @pytest.fixture
        def narrow():
            modes.append(mode())
            yield
            modes.append(mode())

        @pytest.mark.side_effects(force_run=["sms.send"])
        def test_marked(wide, narrow):
            assert mode() is Mode.EXECUTE
            app.send_sms("forced")
            assert False

        def test_after():
            assert modes == [Mode.RECORD, Mode.EXECUTE, Mode.EXECUTE]
            assert mode() is Mode.RECORD
            app.send_sms("recorded")

        @pytest.mark.side_effects(force_run=["sms.send"])
        def test_last(wide):
            pass
        """,
        test_other="""
        from test_it import modes
        from sideeffects import Mode

        def test_teardown_of_the_wide_one():
            assert modes[-1] is Mode.RECORD and len(modes) == 4
        """,
    )
    result.assert_outcomes(passed=3, failed=1)
    assert project.sent == ["forced"]


def test_a_wide_fixture_has_the_markers_of_what_it_is_for(project: Project) -> None:
    """In the setup and teardown of a module's fixture the module's marker holds, and no test's."""
    result = project.run(
        test_it="""
        import app, pytest
        from sideeffects import Mode

        pytestmark = pytest.mark.side_effects(force_run=["sms.send"])

        @pytest.fixture(scope="module")
        def wide():
            app.send_sms("setup")
            yield
            app.send_sms("teardown")

        @pytest.mark.side_effects(forbid=["sms.send"])
        def test_it(wide):
            pass
        """
    )
    result.assert_outcomes(passed=1)
    assert project.sent == ["setup", "teardown"]


def test_a_server_thread_started_in_a_test_is_not_bound_to_that_tests_marker(project: Project) -> None:
    """A thread that a session fixture starts in one test's setup follows the marker of each later test."""
    result = project.run(
        test_it="""
        import concurrent.futures
        import app, pytest
        from sideeffects import Mode, explain

        @pytest.fixture(scope="session")
        def server():
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                pool.submit(int).result()
                yield lambda: pool.submit(lambda: explain("sms.send").mode).result()

        @pytest.mark.side_effects(forbid=["sms.send"])
        def test_one(server):
            assert server() is Mode.RAISE

        @pytest.mark.side_effects(force_run=["sms.send"])
        def test_two(server):
            assert server() is Mode.EXECUTE

        def test_three(server):
            assert server() is Mode.RECORD
        """
    )
    result.assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ('force_run=["sms.sned"]', "*UnknownSideEffect: no side effect is named 'sms.sned'. Did you mean 'sms.send'?"),
        ('record=["fax.*"]', "*UnknownSideEffect: no declared side effect matches 'fax.[*]'*"),
        ('forse_run=["sms.send"]', "*has no option 'forse_run'; it takes force_run, record, forbid, stub*"),
        ('guards="off"', "*has no option 'guards'; it takes force_run, record, forbid, stub, guard*"),
        ('guard="of"', "*guard of @pytest.mark.side_effects*takes one of off, warn, raise, not 'of'*"),
        ('"sms.send"', "*takes no positional arguments ('sms.send')*side_effects(force_run=[[]...[]], *"),
        ('force_run="sms.send"', "*force_run of *test_it takes a list of effects, not 'sms.send'*"),
        ("record=[print]", "*<built-in function print> is no side effect*"),
        ('stub=["sms.send"]', "*stub of *takes a mapping of effect*"),
    ],
)
def test_a_wrong_marker_is_a_clear_error_and_the_test_does_not_run(project: Project, marker: str, message: str) -> None:
    """It names the test, the options that there are, or the names that come close."""
    result = project.run(
        test_it=f"""
        import app, pytest

        @pytest.mark.side_effects({marker})
        def test_it():
            print("RAN")

        def test_next():
            pass
        """
    )
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines([message])
    for noise in ("*RAN*", "*pytest_plugin.py*", "*During handling*"):
        result.stdout.no_fnmatch_line(noise)


@pytest.mark.parametrize("name", ["side_effect", "sideeffects", "side_efects"])
def test_a_misspelt_marker_says_the_right_name(project: Project, name: str) -> None:
    """The test does not run; a marker that somebody has registered under such a name is theirs."""
    module = f"""
        import app, pytest

        @pytest.mark.{name}(forbid=["sms.send"])
        def test_it():
            print("RAN")
        """
    result = project.run(test_it=module)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*@pytest.mark.{name} on *test_it*: the marker is 'side_effects': side_effects(*"])
    result.stdout.no_fnmatch_line("*RAN*")
    project.pytester.makeini(f"[pytest]\nmarkers =\n    {name}(forbid): of somebody else\n")
    project.run(test_it=module).assert_outcomes(passed=1)


def test_a_skipped_test_is_not_asked_for_its_marker(project: Project) -> None:
    """An effect of an optional dependency that is not there does not turn a skip into an error."""
    result = project.run(
        test_it="""
        import pytest

        @pytest.mark.skip
        @pytest.mark.side_effects(force_run=["not.there"])
        def test_it(): ...
        """
    )
    result.assert_outcomes(skipped=1)


def test_the_marker_is_registered(project: Project) -> None:
    """`--strict-markers` accepts it, and `pytest --markers` and `--help` explain marker, option and fixture."""
    result = project.run(
        "--strict-markers",
        test_it="""
        import app, pytest

        @pytest.mark.side_effects(record=["sms.send"])
        def test_it(): ...
        """,
    )
    result.assert_outcomes(passed=1)
    project.run("--markers").stdout.fnmatch_lines(["@pytest.mark.side_effects(force_run=[[]...[]], record=*"])
    project.run("--help").stdout.fnmatch_lines(["*--side-effects={record,raise}*"])
    project.run("--fixtures").stdout.fnmatch_lines(["side_effects -- *", "    The side effects that this test*"])


# -- the option

OPTION = """
    import app, pytest
    from sideeffects import SideEffectBlocked, force_run, record

    def test_default():
        app.send_sms("default")

    @pytest.mark.side_effects(record=["sms.send"])
    def test_marker():
        app.send_sms("marker")

    def test_block():
        with force_run("sms.send"):
            app.send_sms("block")
"""


def test_the_option_refuses_what_no_test_names(project: Project) -> None:
    """`--side-effects=raise`: a call without a marker or block fails its test, and says why."""
    result = project.run("--side-effects=raise", test_it=OPTION)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*SideEffectBlocked: side effect 'sms.send' was refused*--side-effects=raise*"])
    assert project.sent == ["block"]


@pytest.mark.parametrize("args", [(), ("--side-effects=record",), ("--side-effects=raise", "--side-effects=record")])
def test_the_option_records_by_default(project: Project, args: tuple[str, ...]) -> None:
    """Without the option, and with `record` given last, calls are written down."""
    project.run(*args, test_it=OPTION).assert_outcomes(passed=3)


def test_the_option_takes_no_mode_that_executes(project: Project) -> None:
    """Nothing on the command line makes a whole run execute."""
    result = project.run("--side-effects=execute", test_it=OPTION)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*argument --side-effects: invalid choice: 'execute'*"])
    assert project.sent == []


@pytest.mark.parametrize("given", ["command line", "addopts"])
def test_the_option_travels_to_the_workers_of_xdist(project: Project, given: str) -> None:
    """Workers refuse as the controller would."""
    args = ["-n", "2"]
    if given == "addopts":
        project.pytester.makeini("[pytest]\naddopts = --side-effects=raise\n")
    else:
        args.append("--side-effects=raise")
    project.run(*args, plugins=("sideeffects", "xdist"), test_it=OPTION).assert_outcomes(passed=2, failed=1)


# -- swallowed refusals


def test_a_swallowed_refusal_fails_the_test(project: Project) -> None:
    """The exception reached neither the test nor a conftest, and nobody read the call: that is a failure."""
    result = project.run(
        test_it="""
        import app, pytest

        @pytest.mark.side_effects(forbid=["sms.send"])
        def test_it():
            app.careless("+44")
            app.send_mail("fine")
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "a side effect was refused, and the test did not notice: the exception was swallowed on the way to it.",
            "  1. sms.send(to='+44', body='hello')  [[]RAISE, SideEffectBlocked[]]  *app.py:*",
            '     forbid=[[]"sms.send"[]] of @pytest.mark.side_effects on test_it.py::test_it',
            '*side_effects.assert_called("sms.send")*',
            "*SideEffectBlocked reach it: pytest.raises, assertRaises.",
            '*record("sms.send")*force_run("sms.send")*',
        ]
    )
    complaint, _, section = result.stdout.str().partition("side effects of this test")
    assert "mail.send" not in complaint
    assert "2. mail.send(to='fine')  [RECORD]" in section
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


@pytest.mark.parametrize(
    "body",
    [
        "with pytest.raises(SideEffectBlocked): app.send_sms('x')",
        "try: app.send_sms('x')\n    except SideEffectBlocked: pass",
        "app.careless('x'); side_effects.assert_called('sms.send', to='x')",
        "app.careless('x'); assert side_effects.one(app.send_sms).mode.name == 'RAISE'",
        "app.careless('x'); assert [call.name for call in side_effects] == ['sms.send']",
        "app.careless('x'); assert side_effects.count('sms.*') == 1",
        "from conftest import refused; refused()",
        "with pytest.raises(SideEffectBlocked): threaded(app.send_sms, 'x')",
    ],
)
def test_a_refusal_that_was_seen_or_read_is_fine(project: Project, body: str) -> None:
    """Its exception came to the test or a conftest, from a thread as well, or the test read the call."""
    result = project.run(
        conftest="""
        import app

        def refused():
            try:
                app.send_sms("x")
            except Exception:
                return
            raise AssertionError("not refused")
        """,
        test_it=f"""
import concurrent.futures
import app, pytest
from sideeffects import SideEffectBlocked

def threaded(*call):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(*call).result()

@pytest.mark.side_effects(forbid=["sms.send"])
def test_it(side_effects):
    {body}
""",
    )
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "body",
    [
        "side_effects.assert_not_called('mail.send'); app.careless('x')",
        "app.careless('x'); side_effects.assert_not_called('sms.send', to='y')",
        "app.careless('x'); len(side_effects), repr(side_effects), bool(side_effects)",
        "with pytest.raises(RuntimeError): app.translating('x')",
        "threading.Thread(target=app.careless, args=['x']).start()",
        "with pytest.raises(SideEffectBlocked): app.send_sms('x')\n    app.careless('y')",
    ],
)
def test_looking_elsewhere_does_not_count_as_reading(project: Project, body: str) -> None:
    """Reading other calls, counting all, or seeing another exception is no sign that the refusal was expected."""
    result = project.run(
        test_it=f"""
import threading
import app, pytest
from sideeffects import SideEffectBlocked

@pytest.mark.side_effects(forbid=["sms.send"])
def test_it(side_effects):
    {body}
    for thread in threading.enumerate():
        thread is threading.current_thread() or thread.join()
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["a side effect was refused, and the test did not notice*"])


def test_refusals_in_fixtures_are_asked_for_too(project: Project) -> None:
    """Swallowed in a fixture's setup: the test fails; in its teardown: the teardown; in a wide one: its setup."""
    result = project.run(
        test_it="""
        import app, pytest

        @pytest.fixture
        def up():
            app.careless("up")

        @pytest.fixture
        def down():
            yield
            app.careless("down")

        @pytest.fixture(scope="module")
        def wide():
            app.careless("wide")

        refusing = pytest.mark.side_effects(forbid=["sms.send"])
        pytestmark = refusing

        def test_up(up): ...
        def test_down(down): ...
        def test_wide(wide): ...
        def test_none(): ...
        def test_up_and_read(up, side_effects):
            side_effects.assert_called("sms.send", to="up")
        """,
    )
    result.assert_outcomes(passed=3, failed=1, errors=2)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_down*", "*to='down'*"])
    result.stdout.fnmatch_lines(["*ERROR at setup of test_wide*", "fixture 'wide': *", "*to='wide'*"])
    result.stdout.fnmatch_lines(["*test_up ___*", "*to='up'*"])


def test_a_test_that_failed_keeps_its_own_failure(project: Project) -> None:
    """The swallowed refusal is told in a section of its own, since it may be the cause; skips stay skips."""
    result = project.run(
        test_it="""
        import unittest
        import app, pytest

        pytestmark = pytest.mark.side_effects(forbid=["sms.send"])

        def test_failing():
            app.careless("+44")
            assert 1 == 2

        def test_skipping():
            app.careless("+44")
            pytest.skip("not today")

        @pytest.mark.xfail(strict=True, reason="known")
        def test_expected_to_fail():
            app.careless("+44")
            assert 1 == 2

        class TestCase(unittest.TestCase):
            def test_failing(self):
                app.careless("+44")
                self.assertEqual(1, 2)

            def test_skipping(self):
                app.careless("+44")
                self.skipTest("not today")
        """
    )
    result.assert_outcomes(failed=2, skipped=2, xfailed=1)
    result.stdout.fnmatch_lines(
        [
            "E       assert 1 == 2",
            "*--- Captured side effects call ---*",
            "a side effect was refused*",
            "*sms.send(to='+44'*",
        ]
    )
    result.stdout.fnmatch_lines(["E       AssertionError: 1 != 2"])
    result.stdout.fnmatch_lines(["FAILED test_it.py::test_failing - assert 1 == 2*"])


def test_a_refusal_in_a_child_process_has_to_be_read(project: Project) -> None:
    """The exception of a child cannot have come to the test: unread, it counts as swallowed."""
    result = project.run(
        test_it="""
        import subprocess, sys
        import app, pytest

        pytestmark = pytest.mark.side_effects(forbid=["sms.send"])
        CHILD = "import app; from sideeffects import forbid\\nwith forbid(): app.careless('child')"

        def test_unread():
            subprocess.run([sys.executable, "-c", CHILD], check=True)

        def test_read(side_effects):
            subprocess.run([sys.executable, "-c", CHILD], check=True)
            side_effects.assert_called("sms.send", to="child", times=1)

        def test_next(side_effects):
            assert not side_effects
        """
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*test_unread ___*", "*1. sms.send(to='child'*"])


# -- how it gets there


@pytest.mark.parametrize(
    ("autoload", "plugins"),
    [
        (True, ()),
        (True, ("sideeffects.pytest_plugin",)),
        (True, ("sideeffects",)),
        (False, ("sideeffects.pytest_plugin",)),
        (False, ("sideeffects",)),
    ],
)
def test_it_loads_by_entry_point_and_by_name(
    project: Project, monkeypatch: pytest.MonkeyPatch, autoload: bool, plugins: tuple[str, ...]
) -> None:
    """However it is loaded, and twice too, it works once."""
    if autoload:
        monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
        project.pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    result = project.run(
        plugins=plugins,
        test_it="""
        import app, pytest

        def test_it(side_effects):
            app.send_sms("x")
            side_effects.assert_called("sms.send", times=1)

        @pytest.mark.side_effects(forbid=["sms.send"])
        def test_swallowed():
            app.careless("x")
        """,
    )
    result.assert_outcomes(passed=1, failed=1)


def test_it_may_be_named_in_a_conftest_as_well(project: Project) -> None:
    """`pytest_plugins` in a conftest, on top of the entry point, is no error."""
    result = project.run(
        plugins=("sideeffects",),
        conftest='pytest_plugins = ["sideeffects.pytest_plugin"]',
        test_it="def test_it(side_effects): assert not side_effects",
    )
    result.assert_outcomes(passed=1)


def test_without_the_plugin_nothing_executes_either(project: Project) -> None:
    """`-p no:sideeffects` takes the fixture away, and not the safety."""
    result = project.run(plugins=("no:sideeffects",), test_it="import app\ndef test_it(): app.send_sms('x')")
    result.assert_outcomes(passed=1)
    assert project.sent == []


def test_it_imports_no_django(project: Project) -> None:
    """A project without Django is not made to import it, by a failing test neither."""
    result = project.run(
        test_it="""
        import sys
        import app, pytest

        @pytest.mark.side_effects(forbid=["sms.send"])
        def test_swallowed(side_effects):
            app.careless("x")

        def test_nothing_imported_it():
            assert not [name for name in sys.modules if name.partition(".")[0] == "django"]
        """,
    )
    result.assert_outcomes(passed=1, failed=1)


def test_it_works_where_django_cannot_be_imported(project: Project) -> None:
    """Django is optional."""
    result = project.run(
        sitecustomize="import sys; sys.modules['django'] = None",
        test_it="""
        import app, pytest

        def test_no_django():
            with pytest.raises(ImportError):
                import django

        @pytest.mark.side_effects(force_run=["sms.send"])
        def test_it(side_effects):
            app.send_sms("x")
            side_effects.assert_called("sms.send", times=1)
        """,
    )
    result.assert_outcomes(passed=2)
    assert project.sent == ["x"]


def test_django_that_is_imported_but_not_configured_is_no_trouble(project: Project) -> None:
    """Some libraries import `django.db` in passing."""
    result = project.run(
        test_it="""
        import django.db
        import app

        def test_it(side_effects):
            app.send_sms("x")
            side_effects.assert_called("sms.send", times=1)
        """,
    )
    result.assert_outcomes(passed=1)


# -- together with others


def test_xdist_workers_keep_their_tests_apart(project: Project) -> None:
    """Each worker sees the calls of its own tests and of their children, and of nobody else's."""
    result = project.run(
        "-n3",
        plugins=("sideeffects", "xdist"),
        test_it="""
        import subprocess, sys
        import app, pytest

        @pytest.mark.parametrize("number", range(12))
        def test_it(number, side_effects):
            app.send_sms(str(number))
            subprocess.run([sys.executable, "-c", f"import app; app.send_sms('child of {number}')"], check=True)
            assert sorted(call.arguments["to"] for call in side_effects) == [str(number), f"child of {number}"]

        @pytest.mark.side_effects(forbid=["sms.send"])
        def test_swallowed():
            app.careless("x")
        """,
    )
    result.assert_outcomes(passed=12, failed=1)
    result.stdout.fnmatch_lines(["*a side effect was refused, and the test did not notice*"])
    assert project.sent == []


def test_asynchronous_tests(project: Project) -> None:
    """Markers hold in coroutines, tasks and async fixtures, whatever the scope of the loop, and do not leak."""
    project.pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    result = project.run(
        plugins=("sideeffects", "asyncio"),
        test_it="""
        import asyncio
        import app, pytest
        from sideeffects import Mode, SideEffectBlocked, explain, side_effect

        pytestmark = pytest.mark.asyncio(loop_scope="module")

        @side_effect(name="hook.post")
        async def post(url): ...

        async def careless():
            try:
                await post("x")
            except Exception:
                pass

        @pytest.fixture
        async def fixture():
            await post("fixture")
            yield
            await post("teardown")

        @pytest.mark.side_effects(forbid=["hook.post"])
        async def test_refused():
            with pytest.raises(SideEffectBlocked):
                await asyncio.create_task(post("a"))

        async def test_not_leaked(fixture, side_effects):
            assert explain("hook.post").mode is Mode.RECORD
            await asyncio.create_task(post("task"))
            assert [call.arguments["url"] for call in side_effects] == ["fixture", "task"]

        @pytest.mark.side_effects(force_run=["hook.post"])
        async def test_forced():
            assert explain("hook.post").mode is Mode.EXECUTE
        """,
    )
    result.assert_outcomes(passed=3)


def test_items_of_other_kinds(project: Project) -> None:
    """Doctests and the items of other plugins pass and fail as they would; their swallowed refusals are found."""
    (project.pytester.path / "notes.custom").write_text("careful careless")
    result = project.run(
        "--doctest-modules",
        conftest="""
        import app, pytest
        from sideeffects import forbid

        class File(pytest.File):
            def collect(self):
                return [Item.from_parent(self, name=word) for word in self.path.read_text().split()]

        class Item(pytest.Item):
            def runtest(self):
                if self.name == "careless":
                    with forbid("sms.send"):
                        app.careless("item")

        def pytest_collect_file(file_path, parent):
            if file_path.suffix == ".custom":
                return File.from_parent(parent, path=file_path)
        """,
        documented='''
        """
        >>> import app
        >>> app.send_sms("doctest")
        >>> getfixture("side_effects").count("sms.send")
        1
        """
        ''',
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*to='item'*"])


def test_plain_unittest_cases_are_covered(project: Project) -> None:
    """A `TestCase` without our mixin: markers, refusals in `tearDown` and subtests, and frames of its base class."""
    result = project.run(
        base="""
        import unittest
        import app
        from sideeffects import SideEffectBlocked

        class Base(unittest.TestCase):
            def assert_refused(self):
                try:
                    app.send_sms("x")
                except SideEffectBlocked:
                    return
                self.fail("not refused")
        """,
        test_it="""
        import unittest
        import app, base, pytest

        @pytest.mark.side_effects(forbid=["sms.send"])
        class TestCase(base.Base):
            def test_refused(self):
                self.assert_refused()

            def test_swallowed(self):
                app.careless("body")

            def test_subtest(self):
                with self.subTest(number=1):
                    app.careless("subtest")

        @pytest.mark.side_effects(forbid=["sms.send"])
        class TestTearDown(unittest.TestCase):
            def tearDown(self):
                app.careless("tearDown")

            def test_it(self): ...

        class TestFixture(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _calls(self, side_effects):
                self.side_effects = side_effects

            def setUp(self):
                app.send_sms("setUp")

            def test_it(self):
                self.side_effects.assert_called("sms.send", to="setUp", times=1)
        """,
    )
    result.assert_outcomes(passed=2, failed=3)
    result.stdout.fnmatch_lines(["*to='tearDown'*"])


def test_the_mixin_has_its_calls_and_gives_way_to_markers(project: Project) -> None:
    """Under pytest the class attributes of `SideEffectsMixin` hold where no marker, of whatever level, speaks."""
    result = project.run(
        test_it="""
        import unittest
        import app, pytest
        from sideeffects import Mode, explain
        from sideeffects.testing import SideEffectsMixin

        pytestmark = pytest.mark.side_effects(record=["mail.send"])

        class TestCase(SideEffectsMixin, unittest.TestCase):
            forbid = ["mail.send", "sms.send"]

            def see(self):
                self.assertIs(explain("mail.send").mode, Mode.RECORD)
                self.assertIs(explain("sms.send").mode, Mode.RAISE)
                app.send_mail("x")
                self.side_effects.assert_called("mail.send", times=1)

            def test_first(self):
                self.see()

            def test_second(self):
                self.see()
        """
    )
    result.assert_outcomes(passed=2)


def test_a_run_inside_a_run_leaves_nothing_behind(project: Project) -> None:
    """Markers, option and complaints of a nested pytest, in the same process, end with it."""
    result = project.run(
        plugins=("sideeffects", "pytester"),
        test_it='''
        from sideeffects import Mode, explain, side_effect

        INNER = """
            import pytest
            from sideeffects import SideEffectBlocked
            from test_it import careless, send

            def test_option():
                with pytest.raises(SideEffectBlocked):
                    send("x")

            @pytest.mark.side_effects(forbid=["inner.send"])
            def test_swallowed():
                careless()

            @pytest.mark.side_effects(force_run=["inner.send"])
            def test_failing():
                assert False
        """

        @side_effect(name="inner.send")
        def send(to): ...

        def careless():
            try:
                send("swallowed")
            except Exception:
                pass

        def test_outer(pytester):
            pytester.makepyfile(test_inner=INNER)
            result = pytester.runpytest_inprocess("--side-effects=raise", "-p", "sideeffects")
            result.assert_outcomes(passed=1, failed=2)
            assert explain("inner.send").mode is Mode.RECORD

        def test_after(side_effects):
            assert explain("inner.send").mode is Mode.RECORD
            assert not side_effects
        ''',
    )
    result.assert_outcomes(passed=2)


def test_a_test_that_runs_again_begins_anew(project: Project) -> None:
    """Plugins that run a failed test once more run its setup again: no calls, no complaints and no marker are left."""
    result = project.run(
        conftest="""
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            for _ in range(2):
                item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
                runtestprotocol(item, nextitem=nextitem)
            return True
        """,
        test_it="""
        import app, pytest

        runs = []

        @pytest.mark.side_effects(force_run=["sms.send"])
        def test_it(side_effects):
            runs.append(1)
            app.send_sms(f"run{len(runs)}")
            assert len(side_effects) == 1
            assert len(runs) == 2
        """,
    )
    result.assert_outcomes(passed=1, failed=1)
    assert project.sent == ["run1", "run2"]


# -- with Django

SETTINGS = """
SECRET_KEY = "x"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "sideeffects"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
USE_TZ = True
"""

DJANGO = {
    "settings": SETTINGS,
    "shop": """
        import app
        from django.contrib.auth.models import Group
        from django.db import transaction
        from sideeffects import side_effect

        @side_effect(name="mail.confirm", on_commit=True)
        def confirm(to):
            app.SENT.open("a").write(to + "\\n")

        def order(to):
            with transaction.atomic():
                Group.objects.create(name=to)
                confirm(to)
        """,
}


@pytest.fixture
def django_project(project: Project) -> Project:
    project.pytester.makeini("[pytest]\nDJANGO_SETTINGS_MODULE = settings\npythonpath = .\n")
    project.pytester.makepyfile(**DJANGO)
    return project


def test_a_forced_effect_that_still_waits_for_the_commit_fails_the_test(django_project: Project) -> None:
    """With pytest-django and in Django's `TestCase`, before the rollback; not where the commit happens or is played."""
    result = django_project.run(
        plugins=("sideeffects", "django"),
        test_it="""
        import django.test
        import pytest, shop

        pytestmark = pytest.mark.side_effects(force_run=["mail.confirm"])

        @pytest.mark.django_db
        def test_pending():
            shop.order("pending")

        @pytest.mark.django_db
        def test_played(django_capture_on_commit_callbacks):
            with django_capture_on_commit_callbacks(execute=True):
                shop.order("played")

        @pytest.mark.django_db(transaction=True)
        def test_committed():
            shop.order("committed")

        @pytest.mark.django_db
        def test_rolled_back():
            from django.db import transaction
            with transaction.atomic():
                shop.order("rolled-back")
                transaction.set_rollback(True)

        @pytest.mark.django_db
        @pytest.mark.side_effects(record=["mail.confirm"])
        def test_recorded(side_effects):
            shop.order("recorded")
            side_effects.assert_called("mail.confirm", times=1)

        class TestCase(django.test.TestCase):
            def test_pending(self):
                shop.order("case-pending")

            def test_played(self):
                with self.captureOnCommitCallbacks(execute=True):
                    shop.order("case-played")

        class TestTransactionCase(django.test.TransactionTestCase):
            def test_committed(self):
                shop.order("case-committed")
        """,
    )
    result.assert_outcomes(passed=6, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*test_pending ___*",
            "a forced side effect still waits for the commit*nothing was executed.",
            "*mail.confirm(to='pending')*shop.py:*",
            "*captureOnCommitCallbacks(execute=True)*",
            "*TestCase.test_pending ___*",
            "*mail.confirm(to='case-pending')*",
        ]
    )
    assert sorted(django_project.sent) == ["case-committed", "case-played", "committed", "played"]


def test_settings_that_force_everything_miss_no_commit(django_project: Project) -> None:
    """A suite that begins with `__all__` stays green where it never saw commits; a name asks for the commit."""
    test = """
        import pytest, shop

        @pytest.mark.django_db
        def test_pending():
            shop.order("pending")
        """
    settings = SETTINGS + 'SIDE_EFFECTS = {"FORCE_RUN": %r}\n'
    for forced, outcome in (("__all__", "passed"), (["mail.confirm"], "failed")):
        result = django_project.run(plugins=("sideeffects", "django"), settings=settings % (forced,), test_it=test)
        result.assert_outcomes(**{outcome: 1})


def test_the_test_client_and_the_live_server(django_project: Project) -> None:
    """A refusal that comes through the client is seen, one answered with 500 is swallowed; later calls are awaited."""
    django_project.pytester.makepyfile(
        urls="""
        import subprocess, sys, threading
        from django.http import HttpResponse
        from django.urls import path
        import app

        def view(request):
            app.send_sms("view")
            return HttpResponse("ok")

        def later(request):
            threading.Timer(0.05, app.send_sms, ["thread"]).start()
            subprocess.Popen([sys.executable, "-c", "import app; app.send_sms('worker')"])
            return HttpResponse("ok")

        urlpatterns = [path("", view), path("later/", later)]
        """
    )
    result = django_project.run(
        settings=f"""{SETTINGS}
ROOT_URLCONF = "urls"
ALLOWED_HOSTS = ["*"]
STATIC_URL = "/static/"
""",
        plugins=("sideeffects", "django"),
        test_it="""
        import urllib.error, urllib.request
        import app, pytest
        from sideeffects import SideEffectBlocked

        refusing = pytest.mark.side_effects(forbid=["sms.send"])

        @refusing
        def test_client(client):
            with pytest.raises(SideEffectBlocked):
                client.get("/")

        def test_recorded(client, side_effects):
            assert client.get("/").status_code == 200
            side_effects.assert_called("sms.send", to="view", times=1)

        @refusing
        def test_live(live_server):
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(live_server.url)

        def test_live_recorded(live_server, side_effects):
            assert urllib.request.urlopen(live_server.url).status == 200
            side_effects.assert_called("sms.send", to="view", times=1)

        def test_what_it_does_later_is_waited_for(live_server, side_effects):
            assert urllib.request.urlopen(live_server.url + "/later/").status == 200
            for to in ("thread", "worker"):
                side_effects.wait_for("sms.send", to=to, timeout=60)
            assert not app.SENT.exists()
            with pytest.raises(AssertionError, match="expected 2 calls, got 1") as caught:
                side_effects.wait_for("sms.send", to="worker", times=2, timeout=0.05)
            assert caught.value.__notes__ == ["waited for 0.05 s"]
        """,
    )
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*test_live ___*", "a side effect was refused*"])


def test_a_quiet_run_prints_one_line_of_ours(project: Project) -> None:
    """Recorded calls leave the rest of the output as it is without the library."""
    result = project.run("-q", test_it="import app\ndef test_it(): app.send_sms('x')")
    assert result.outlines[0].split() == [".", "[100%]"]
    assert result.outlines[-1] == "side effects: 1 recorded, 0 executed, 1 never called"
    assert "effect" not in "".join(result.outlines[:-1]) + result.stderr.str()


def test_what_another_plugin_raises_around_a_test_shows_no_frame_of_ours(project: Project) -> None:
    """The health check of hypothesis says that the fixture is one for all examples, and that is all that is shown."""
    result = project.run(
        plugins=("sideeffects", "_hypothesis_pytestplugin"),
        test_it="""
        import app
        from hypothesis import given, strategies as st

        @given(n=st.integers())
        def test_it(n, side_effects):
            app.send_sms("x")
        """,
    )
    output = result.stdout.str()
    assert "FailedHealthCheck" in output
    assert "watcher.py" not in output
    assert "_ask" not in output
