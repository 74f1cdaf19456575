"""Suites without effects pay for one hook a test; whatever brings calls brings the watching of each test with it."""

import pytest

pytestmark = pytest.mark.processes

pytest_plugins = ["pytester"]

#: A program whose effect is refused, and which goes on as if nothing had happened.
CHILD = """
    from sideeffects import forbid, side_effect

    @side_effect(name="sms.send")
    def send_sms(to):
        raise AssertionError

    with forbid():
        try:
            send_sms("ann")
        except Exception:
            pass
"""

RUN_CHILD = """
    import subprocess, sys

    def run_child():
        subprocess.run([sys.executable, "child.py"], check=True)
"""

WATCHED = """
    def is_watched(config):
        return any(type(plugin).__name__ == "WatcherPlugin" for plugin in config.pluginmanager.get_plugins())
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Runs pytest in a process of its own on the test module that it is given."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(child=CHILD, run_child=RUN_CHILD, watched=WATCHED)

    def run_module(source: str, *args: str) -> pytest.RunResult:
        pytester.makepyfile(test_it=source)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "sideeffects", *args)

    return run_module


def test_a_suite_without_effects_is_not_watched_and_imports_no_verb(run) -> None:
    """Neither wrapt, nor what declares, nor the hooks around each test."""
    result = run("""
        import sys
        from watched import is_watched

        def test_one(request):
            assert not is_watched(request.config)
            ours = ("sideeffects._core.verbs.decorator", "sideeffects.testing.pytest_hooks.watcher")
            assert not {"wrapt", *ours} & set(sys.modules)
    """)
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "source",
    [
        "from sideeffects import side_effect\n@side_effect\ndef effect(): ...\ndef test_it(request): ...",
        "def test_it(request, side_effects): ...",
        "import pytest\n@pytest.mark.side_effects(force_run=[])\ndef test_it(request): ...",
        "import pytest\npytestmark = pytest.mark.side_effects(record=[])\ndef test_it(request): ...",
        "def test_it(request): request.getfixturevalue('side_effects')",
    ],
    ids=["an effect", "the fixture", "a marker", "a marker of the module", "the fixture, late"],
)
def test_whatever_asks_for_watching_gets_it(run, source: str) -> None:
    """From the test on that asks, or from the start if the collection shows it."""
    result = run(
        f"from watched import is_watched\n{source}\n\ndef test_last(request): assert is_watched(request.config)"
    )
    result.assert_outcomes(passed=2)


def test_an_effect_declared_in_the_midst_of_a_test_counts_in_that_test(run) -> None:
    """Its calls are that test's, and the next test starts with none."""
    result = run("""
        def test_first(request):
            from sideeffects import side_effect

            @side_effect(name="sms.send")
            def send_sms(to):
                raise AssertionError

            send_sms("ann")
            request.getfixturevalue("side_effects").assert_called("sms.send", to="ann", times=1)

        def test_next(side_effects):
            assert not side_effects
    """)
    result.assert_outcomes(passed=2)


def test_what_is_swallowed_after_a_late_declaration_fails_that_test(run, pytester: pytest.Pytester) -> None:
    """Its call had begun when the watching came, so it is asked at its end."""
    pytester.makepyfile(
        careless="""
        from sideeffects import forbid, side_effect

        @side_effect(name="sms.send")
        def send_sms(to):
            raise AssertionError

        def careless():
            with forbid():
                try:
                    send_sms("ann")
                except Exception:
                    pass
        """
    )
    result = run("""
        def test_first():
            import careless
            careless.careless()

        def test_next(): ...
    """)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_first*", "*a side effect was refused*", "*sms.send*"])


@pytest.mark.parametrize("position", ["first", "last"])
def test_a_child_of_a_suite_without_effects_fails_the_test_that_started_it(run, position: str) -> None:
    """Also the last test, and a later one as any other."""
    quiet = "def test_quiet(): ..."
    calling = "def test_calling(): run_child()"
    order = [calling, quiet] if position == "first" else [quiet, calling]
    result = run("\n".join(["from run_child import run_child", *order]), "-v")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*test_calling ERROR*", "*a side effect was refused*", "*sms.send(to='ann'*"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_the_calls_of_a_child_are_those_of_the_test_that_started_it(run) -> None:
    """The first one too, which is what makes the suite a watched one."""
    result = run("""
        from run_child import run_child

        def test_calling(request):
            run_child()
            calls = request.getfixturevalue("side_effects")
            calls.assert_called("sms.send", to="ann", times=1)

        def test_next(side_effects):
            assert not side_effects
    """)
    result.assert_outcomes(passed=2)


def test_workers_of_xdist_report_late_complaints_too(run) -> None:
    """The report travels to the controller as any other."""
    result = run("from run_child import run_child\ndef test_calling(): run_child()", "-p", "xdist", "-n", "1")
    result.assert_outcomes(passed=1, errors=1)
