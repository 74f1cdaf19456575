"""What is a test run, and what is none: in real processes, none of which has anything of ours in its environment."""

import os
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from sideeffects._core.state.test_run import _RUNNER_MODULES
from tests.support.projects import Project, clean_environment, django_project

SHAPES = ("", ": on commit", ": coroutine", ": background")


def shapes(place: str) -> Counter[str]:
    """What `attempt_all_shapes(place)` attempts."""
    return Counter(f"{place}{shape}" for shape in SHAPES)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project without Django, with a small test for any runner."""
    project = Project(tmp_path_factory.mktemp("plain"))
    project.write("test_small.py", SMALL_TEST)
    return project


SMALL_TEST = """
    import unittest
    from effects import attempt, attempt_all_shapes

    attempt("import of a test")


    class SmallTest(unittest.TestCase):
        def test_small(self):
            attempt_all_shapes("a test")
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A Django project, with a test runner that never sets up Django's test environment."""
    project = django_project(tmp_path_factory.mktemp("shop"))
    project.write(
        "own_runner.py",
        """
        import importlib

        import effects


        class OwnRunner:
            def __init__(self, **kwargs):
                pass

            @classmethod
            def add_arguments(cls, parser):
                pass

            def run_tests(self, labels, **kwargs):
                importlib.import_module("effects").attempt_all_shapes("a test")
                return 0
        """,
    )
    project.write("early.py", "import effects\n" + (project.root / "run.py").read_text(encoding="utf-8"))
    project.write("shop/management/commands/testserver.py", TEST_SERVER)
    project.write("shop/management/commands/check_all.py", EXTENDED_TEST)
    return project


#: The real one never ends.
TEST_SERVER = """
    import effects
    from django.core.management.commands import testserver


    class Command(testserver.Command):
        def handle(self, *args, **options):
            effects.attempt_all_shapes("a test server")
"""
EXTENDED_TEST = """
    from django.core.management.commands import test


    class Command(test.Command):
        pass
"""
TEST_RUN = {"SIDE_EFFECTS_TEST_RUN": "1"}
OWN_RUNNER = "--testrunner=own_runner.OwnRunner"


# -- the signs


@pytest.mark.parametrize(
    "environment", [{"SIDE_EFFECTS_TEST_RUN": "1"}, {"SIDE_EFFECTS_TEST_RUN": "yes"}, {"PYTEST_VERSION": "9"}], ids=str
)
def test_a_variable_makes_a_test_run(plain: Project, environment: dict[str, str]) -> None:
    """`SIDE_EFFECTS_TEST_RUN=1` and pytest's own variable make a plain script a test run."""
    plain.program("import effects; effects.attempt_all_shapes('a script')", environment=environment)

    assert plain.attempted == shapes("a script")
    assert not plain.executed


@pytest.mark.parametrize("value", ["0", "", "false", "No", "off"])
def test_a_variable_that_says_no_counts_as_unset(plain: Project, value: str) -> None:
    """`SIDE_EFFECTS_TEST_RUN=0` is as good as no variable."""
    plain.program("import effects; effects.attempt('a script')", environment={"SIDE_EFFECTS_TEST_RUN": value})

    assert plain.executed == {"a script": 1}


def test_a_variable_that_says_no_does_not_undo_other_signs(plain: Project) -> None:
    """`SIDE_EFFECTS_TEST_RUN=0 python -m unittest` is a test run, and its children know."""
    plain.write(
        "test_child.py",
        """
        import subprocess, sys, unittest
        import effects

        class ChildTest(unittest.TestCase):
            def test_child(self):
                effects.attempt("a test")
                subprocess.run([sys.executable, "-c", "import effects; effects.attempt('a child')"], check=True)
        """,
    )
    plain.run("-m", "unittest", "test_child", environment={"SIDE_EFFECTS_TEST_RUN": "0"})

    assert plain.attempted == {"a test": 1, "a child": 1}
    assert not plain.executed


def test_the_setting_makes_a_test_run(shop: Project) -> None:
    """With `SIDE_EFFECTS["TEST_RUN"]` true a command is a test run, in ready() already, and so are its children."""
    shop.write(
        "shop/management/commands/start.py",
        """
        import os, subprocess, sys
        from django.core.management.base import BaseCommand

        class Command(BaseCommand):
            def handle(self, **options):
                program = "import effects; effects.attempt('a child')"
                environment = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
                subprocess.run([sys.executable, "-c", program], check=True, env=environment)
        """,
    )
    shop.run("manage.py", "bill", environment={"IN_SETTINGS": "True"})
    assert shop.attempted == {"settings": 1, "ready()": 1} | shapes("a command")
    assert not shop.executed

    shop.run("manage.py", "start", environment={"IN_SETTINGS": "True"})
    assert shop.attempted == {"settings": 1, "ready()": 1, "a child": 1}
    assert not shop.executed

    shop.run("manage.py", "bill", environment={"IN_SETTINGS": "False"})
    assert shop.executed == {"ready()": 1} | shapes("a command")


def test_the_setting_counts_once_it_is_read(plain: Project) -> None:
    """The installed app reads the settings in its ready(): children know without any call in the parent."""
    plain.program(
        """
        import subprocess, sys
        import django
        from django.conf import settings

        settings.configure(SIDE_EFFECTS={"TEST_RUN": True}, INSTALLED_APPS=["sideeffects"])
        django.setup()
        subprocess.run([sys.executable, "-c", "import effects; effects.attempt_all_shapes('a child')"], check=True)
        """
    )
    assert plain.attempted == shapes("a child")
    assert not plain.executed


def test_the_plugin_module_makes_a_test_run(plain: Project) -> None:
    """Importing `sideeffects.pytest_plugin` is enough, even after an effect has executed."""
    plain.program(
        """
        import effects
        effects.attempt("before")
        effects.attempt("before")
        import sideeffects.pytest_plugin
        effects.attempt_all_shapes("after")
        """
    )
    assert plain.executed == {"before": 2}


# -- a process that has executed effects, which has turned their fast switches off, enters a test run


@pytest.mark.parametrize(
    "beginning",
    [
        pytest.param("os.environ['SIDE_EFFECTS_TEST_RUN'] = '1'", id="variable set"),
        pytest.param("os.environ.update(PYTEST_VERSION='9')", id="variable updated"),
        pytest.param("unittest.main('test_small', argv=[''], exit=False)", id="unittest.main"),
        pytest.param("unittest.TextTestRunner().run(load())", id="TextTestRunner"),
        pytest.param("doctest.run_docstring_examples(documented, {})", id="doctest"),
        pytest.param("pytest.main(['-q', '-p', 'no:cacheprovider', 'test_small.py'])", id="pytest.main"),
        pytest.param(
            "os.environ['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] = '1';"
            "pytest.main(['-q', '-p', 'no:cacheprovider', 'test_small.py'])",
            id="pytest.main without plugins",
        ),
        pytest.param("pytest.main(['--help'])", id="pytest.main without tests"),
        # As the workers of xdist do; those on another machine inherit no variable, and older pytests set none.
        pytest.param("__import__('_pytest.config').config.get_config()", id="pytest's configuration"),
    ],
)
@pytest.mark.parametrize("imported", ["before", "late"])
def test_a_test_run_begins_late(plain: Project, beginning: str, imported: str) -> None:
    """Until it begins everything executes; from then on nothing does, also once it is over and its variables gone."""
    imports = "import doctest, unittest\nimport pytest\n"
    source = """
import os
{first}
import effects


def documented():
    '''
    >>> import effects
    >>> effects.attempt_all_shapes("an example")
    '''


def load():
    return unittest.defaultTestLoader.loadTestsFromTestCase(__import__("test_small").SmallTest)


effects.attempt("before")
effects.attempt("before")
{second}
{beginning}
for name in list(os.environ):
    if name.startswith(("PYTEST", "SIDE_EFFECTS")):
        del os.environ[name]
effects.attempt_all_shapes("after")
"""
    first, second = (imports, "") if imported == "before" else ("", imports)
    plain.program(source.format(first=first, second=second, beginning=beginning))

    assert {"before", *shapes("after")} <= set(plain.attempted)
    # `load()` imports the tests before anything runs them.
    assert plain.executed - Counter({"import of a test": 1}) == {"before": 2}
    assert "import of a test" not in plain.executed or "load()" in beginning


@pytest.mark.parametrize(
    "beginning",
    [
        pytest.param("setup_test_environment()", id="by name"),
        pytest.param("partial()", id="in a partial"),
        pytest.param("late.setup_test_environment(debug=True)", id="by module"),
        pytest.param("call_command('test', OWN_RUNNER)", id="call_command"),
        pytest.param("call_command('check_all', OWN_RUNNER)", id="a command that extends test"),
        pytest.param("call_command('testserver')", id="testserver"),
        pytest.param("with_exit(execute_from_command_line, ['tool', 'test', OWN_RUNNER])", id="command line"),
        pytest.param("DiscoverRunner(verbosity=0).run_tests(['own_runner'])", id="DiscoverRunner"),
    ],
)
def test_a_test_run_of_django_begins_late(shop: Project, beginning: str) -> None:
    """Whatever name Django's entrances were imported by, before `sideeffects` itself was, they begin a test run."""
    shop.program(
        f"""
import functools, os
import django.test.utils as late
from django.test.utils import setup_test_environment, teardown_test_environment
from django.test.runner import DiscoverRunner
from django.core.management import call_command, execute_from_command_line

partial = functools.partial(setup_test_environment, debug=False)
OWN_RUNNER = "{OWN_RUNNER}"


def with_exit(function, *args):
    try:
        function(*args)
    except SystemExit:
        pass


os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
import django
django.setup()

import effects
effects.attempt("before")
effects.attempt("before")
{beginning}
effects.attempt_all_shapes("during")
if hasattr(late._TestState, "saved_data"):
    teardown_test_environment()
    assert not hasattr(late._TestState, "saved_data")
os.environ.clear()
effects.attempt_all_shapes("after")
"""
    )
    assert {"before", *shapes("during"), *shapes("after")} <= set(shop.attempted)
    assert shop.executed == {"before": 2, "ready()": 1}


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("manage.py", "test", OWN_RUNNER), id="manage.py test"),
        pytest.param(("run.py", "test", OWN_RUNNER), id="renamed manage.py"),
        pytest.param(("early.py", "test", OWN_RUNNER), id="renamed manage.py that imports effects first"),
        pytest.param(("manage.py", "testserver"), id="manage.py testserver"),
        pytest.param(("-m", "manage", "test", OWN_RUNNER), id="python -m manage"),
    ],
)
def test_the_command_test_is_a_test_run_by_itself(shop: Project, arguments: tuple[str, ...]) -> None:
    """A runner that never sets up Django's test environment is covered from ready() on, and so is `testserver`."""
    shop.run(*arguments)

    assert {"ready()", *SHAPES_OF_COMMANDS[arguments[-1]]} <= set(shop.attempted)
    assert not shop.executed


SHAPES_OF_COMMANDS = {OWN_RUNNER: shapes("a test"), "testserver": shapes("a test server")}


@pytest.mark.parametrize(
    "arguments",
    [
        ("manage.py", "check_all", OWN_RUNNER),
        ("run.py", "check_all", OWN_RUNNER),
        ("early.py", "check_all", OWN_RUNNER),
        ("-m", "django", "check_all", OWN_RUNNER),
        ("set_up_first/manage.py", "check_all", OWN_RUNNER),
    ],
    ids=" ".join,
)
def test_a_command_that_extends_test_is_a_test_run_by_itself(shop: Project, arguments: tuple[str, ...]) -> None:
    """Under another name it is one from before models are imported and `ready()` is called, like `test`."""
    shop.write(
        "set_up_first/manage.py",
        "import sys\nsys.path.insert(0, '.')\nimport django\ndjango.setup()\n"
        + (shop.root / "run.py").read_text(encoding="utf-8"),
    )
    shop.run(*arguments, environment={"DJANGO_SETTINGS_MODULE": "config.settings"})

    assert {"ready()", *shapes("a test")} <= set(shop.attempted)
    assert not shop.executed


# -- classes that override what tells the run of tests

#: Each runs `tests` in its own way.
OVERRIDING = {
    "run": """
        class Runner(unittest.TextTestRunner):
            def run(self, test):
                result = self._makeResult()
                test(result)
                return result

        Runner().run(tests)
    """,
    "all of a runner": """
        class Runner(unittest.TextTestRunner):
            def __init__(self, verbosity):
                self.verbosity = verbosity

            def run(self, test):
                test(unittest.TestResult())

        Runner(verbosity=0).run(tests)
    """,
    "run of a mixin": """
        class Mixin:
            def run(self, test):
                test(unittest.TestResult())

        class Runner(Mixin, unittest.TextTestRunner): ...

        Runner().run(tests)
    """,
    "another entrance": """
        class Runner(unittest.TextTestRunner):
            def go(self, test):
                test(unittest.TestResult())

        Runner().go(tests)
    """,
    "all of a program": """
        class Program(unittest.TestProgram):
            def __init__(self, tests):
                tests(unittest.TestResult())

        Program(tests)
    """,
    "the steps of a program": """
        class Program(unittest.TestProgram):
            def parseArgs(self, argv):
                tests(unittest.TestResult())

            def runTests(self): ...

        Program()
    """,
    "a runner of doctest": """
        class Runner(doctest.DocTestRunner):
            def run(self, test):
                tests(unittest.TestResult())

        Runner().run(None)
    """,
    "a runner of Django": """
        from django.test.runner import DiscoverRunner

        class Runner(DiscoverRunner):
            def __init__(self): ...

            def run_tests(self, labels):
                tests(unittest.TestResult())

        Runner().run_tests([])
    """,
    "a command": """
        from django.conf import settings
        from django.core.management import call_command
        from django.core.management.commands.test import Command as Test

        settings.configure()

        class Command(Test):
            def execute(self, *args, **options):
                tests(unittest.TestResult())

        call_command(Command())
    """,
    "a command line": """
        from django.core.management import ManagementUtility

        class Utility(ManagementUtility):
            def __init__(self, argv):
                self.argv = argv

            def execute(self):
                tests(unittest.TestResult())

        Utility(["kiosk", "test"]).execute()
    """,
    "the environment": """
        os.environb[b"SIDE_EFFECTS_TEST_RUN"] = b"1"
        tests(unittest.TestResult())
    """,
}


@pytest.mark.parametrize("name", OVERRIDING)
@pytest.mark.parametrize("imported", ["before", "late"])
def test_a_class_that_overrides_what_is_hooked_is_noticed(plain: Project, name: str, imported: str) -> None:
    """Whatever a subclass overrides of its base; also where nothing but the tests imports effects."""
    plain.program(
        f"""
import doctest, os, unittest
{"import effects" if imported == "before" else ""}


class Tests(unittest.TestCase):
    def test_all(self):
        import effects

        effects.attempt_all_shapes("a test")


tests = unittest.defaultTestLoader.loadTestsFromTestCase(Tests)
{textwrap.dedent(OVERRIDING[name])}
"""
    )
    assert plain.attempted == shapes("a test")
    assert not plain.executed


def test_a_runner_made_before_the_import_is_noticed(plain: Project) -> None:
    """Although its class overrides what it inherits."""
    plain.program(
        """
        import unittest

        class Runner(unittest.TextTestRunner):
            def run(self, test):
                test(unittest.TestResult())

        runner = Runner()
        import effects
        runner.run(unittest.FunctionTestCase(lambda: effects.attempt_all_shapes("a test")))
        """
    )
    assert plain.attempted == shapes("a test")
    assert not plain.executed


def test_what_is_made_without_running_is_no_test_run(shop: Project) -> None:
    """A live system that lists its commands makes each of them; a smoke test's runner says that it is none."""
    shop.program(
        """
        import os, unittest
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
        import django
        django.setup()
        from django.core.management import get_commands, load_command_class
        from django.test.runner import DiscoverRunner

        for name in ("test", "check_all", "testserver"):
            load_command_class(get_commands()[name], name).create_parser("manage.py", name)


        class Smoke(unittest.TextTestRunner):
            side_effects_test_run = False

            def run(self, test): ...


        class SmokeOfDjango(DiscoverRunner):
            side_effects_test_run = False
            test_runner = Smoke


        Smoke().run(None)
        SmokeOfDjango()
        import effects
        effects.attempt_all_shapes("afterwards")
        """
    )
    assert shop.executed == {"ready()": 1} | shapes("afterwards")


# -- `sideeffects` is imported while the tests run, and nothing is left in the environment


LATE = """
    import os, threading, unittest

    def late(place):
        os.environ.pop("PYTEST_VERSION", None)
        os.environ.pop("PYTEST_CURRENT_TEST", None)
        import effects
        effects.attempt_all_shapes(place)

    class LateTest(unittest.TestCase):
        def test_late(self):
            '''
            >>> __import__("test_late").late("a test")
            '''
            if os.environ.get("IN_THREAD"):
                thread = threading.Thread(target=late, args=("a test",))
                thread.start()
                thread.join()
            else:
                late("a test")
"""


@pytest.mark.parametrize("in_thread", ["", "1"], ids=["here", "in a thread"])
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("-m", "unittest", "test_late"), id="python -m unittest"),
        pytest.param(("-c", "import unittest; unittest.main('test_late', argv=[''])"), id="unittest.main"),
        pytest.param(
            ("-c", "import unittest, test_late as t; unittest.TextTestRunner().run(t.LateTest('test_late'))"),
            id="runner",
        ),
        pytest.param(("-m", "pytest", "-p", "no:cacheprovider", "-p", "no:sideeffects", "test_late.py"), id="pytest"),
        pytest.param(
            ("-c", "import pytest; pytest.main(['-q', '-p', 'no:cacheprovider', 'test_late.py'])"), id="pytest.main"
        ),
        pytest.param(("-c", "import doctest, test_late as t; doctest.testmod(t)"), id="doctest"),
        pytest.param(("-m", "doctest", "test_late.py"), id="python -m doctest"),
    ],
)
def test_a_late_import_finds_the_test_run(plain: Project, arguments: tuple[str, ...], in_thread: str) -> None:
    """The test that first imports an effect, in a thread even, finds what runs it on the stack of some thread."""
    plain.write("test_late.py", LATE)
    plain.run(
        *arguments,
        environment={"IN_THREAD": in_thread, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert plain.attempted == shapes("a test")
    assert not plain.executed


def test_a_django_with_another_record_is_covered(plain: Project, tmp_path: Path) -> None:
    """A Django that notes its test environment elsewhere than today's is known by `setup_test_environment` itself."""
    folder = tmp_path / "django" / "test"
    folder.mkdir(parents=True)
    for package in (folder.parent, folder):
        (package / "__init__.py").write_text("")
    (folder / "utils.py").write_text("def setup_test_environment():\n    pass\n")
    plain.program(
        """
        import effects
        effects.attempt("before")
        from django.test.utils import setup_test_environment
        setup_test_environment()
        effects.attempt_all_shapes("a test")
        """,
        environment={"PYTHONPATH": f"{tmp_path}{os.pathsep}{clean_environment()['PYTHONPATH']}"},
    )
    assert plain.attempted == {"before": 1} | shapes("a test")
    assert plain.executed == {"before": 1}


def test_a_late_import_finds_the_test_environment(plain: Project) -> None:
    """Django's test environment was set up by a script that imports an effect afterwards."""
    plain.program(
        """
        from django.conf import settings
        from django.test.utils import setup_test_environment

        settings.configure()
        setup_test_environment()
        import effects

        effects.attempt_all_shapes("a test")
        """
    )
    assert plain.attempted == shapes("a test")
    assert not plain.executed


def test_a_late_import_finds_the_command_that_runs(shop: Project) -> None:
    """A script calls the command `test` with a runner of its own, which is the first to import an effect."""
    shop.write("late/__init__.py", "")
    shop.write(
        "late/runner.py",
        """
        class OwnRunner:
            def __init__(self, **kwargs):
                pass

            def run_tests(self, labels, **kwargs):
                import effects
                effects.attempt_all_shapes("a test")
                return 0
        """,
    )
    begin = {
        "call_command": "call_command('test')",
        "execute_from_command_line": "execute_from_command_line(['tool', 'test'])",
    }
    for name, call in begin.items():
        shop.program(
            f"""
import sys
from django.conf import settings
settings.configure(INSTALLED_APPS=[], TEST_RUNNER="late.runner.OwnRunner")
import django
django.setup()
from django.core.management import call_command, execute_from_command_line
{call}
"""
        )
        assert shop.attempted == shapes("a test"), name
        assert not shop.executed, name


def test_a_child_of_a_late_import_finds_unittest(plain: Project) -> None:
    """A child by `spawn` of a unittest run that has not imported `sideeffects` is told by the arguments it inherits."""
    plain.write("worker.py", "def work():\n    import effects\n    effects.attempt_all_shapes('a child')\n")
    plain.write(
        "test_spawn.py",
        """
        import multiprocessing, unittest
        import worker

        class SpawnTest(unittest.TestCase):
            def test_spawn(self):
                child = multiprocessing.get_context("spawn").Process(target=worker.work)
                child.start()
                child.join()
                self.assertEqual(child.exitcode, 0)
        """,
    )
    plain.run("-m", "unittest", "test_spawn")

    assert plain.attempted == shapes("a child")
    assert not plain.executed


# -- other programs that run tests


@pytest.mark.parametrize("module", sorted(_RUNNER_MODULES))
def test_the_modules_of_other_runners_make_a_test_run(plain: Project, module: str, tmp_path: Path) -> None:
    """Where the own module of another test runner is imported, that runner runs; before or after `sideeffects`."""
    file = tmp_path.joinpath(*module.split(".")).with_suffix(".py")
    file.parent.mkdir(parents=True)
    file.write_text("")
    environment = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{clean_environment()['PYTHONPATH']}"}
    plain.program(
        f"import effects; effects.attempt('before'); import {module}; effects.attempt('after')", environment=environment
    )
    assert plain.executed == {"before": 1}

    plain.program(f"import {module}; import effects; effects.attempt('after')", environment=environment)
    assert plain.attempted == {"after": 1}
    assert not plain.executed


def test_the_scripts_of_vs_code_make_a_test_run(plain: Project) -> None:
    """VS Code imports the tests of unittest by a script of its own, before it runs them."""
    plain.write("python_files/unittestadapter/execution.py", "import effects\neffects.attempt('import of a test')\n")
    plain.run(
        "python_files/unittestadapter/execution.py",
        environment={"PYTHONPATH": f"{plain.root}{os.pathsep}{clean_environment()['PYTHONPATH']}"},
    )
    assert plain.attempted == {"import of a test": 1}
    assert not plain.executed


@pytest.mark.parametrize(
    "arguments",
    [
        ("-m", "unittest", "test_small"),
        ("-W", "ignore", "-bm", "pytest", "-q", "-p", "no:cacheprovider", "test_small.py"),
        ("bin/pytest",),
        ("manage.py", "test"),
        ("-m", "django", "test"),
    ],
    ids=" ".join,
)
def test_the_interpreter_starts_within_the_test_run(plain: Project, arguments: tuple[str, ...], tmp_path: Path) -> None:
    """`sitecustomize` runs before the program does, and is part of the test run all the same."""
    (tmp_path / "sitecustomize.py").write_text("import effects\neffects.attempt_all_shapes('sitecustomize')\n")
    for script in ("bin/pytest", "manage.py"):
        plain.write(script, "")
    path = os.pathsep.join((str(tmp_path), str(plain.root), clean_environment()["PYTHONPATH"]))
    # Django has no settings here, so the program may fail afterwards.
    plain.run(*arguments, environment={"PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, code=None)

    assert set(shapes("sitecustomize")) <= set(plain.attempted)
    assert not plain.executed


def test_nothing_executes_where_django_cannot_be_imported(plain: Project) -> None:
    """Without Django a unittest run is safe, and a script executes."""
    block = """
import sys


class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("django", "asgiref", "pytest", "celery"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Block())
"""
    plain.program(f"{block}\nimport unittest\nunittest.main('test_small', argv=[''])")
    assert plain.attempted == {"import of a test": 1} | shapes("a test")
    assert not plain.executed

    plain.program(f"{block}\nimport effects\neffects.attempt_all_shapes('a script')")
    assert plain.executed == shapes("a script")


# -- what is no test run: there the effects execute


def test_a_script_executes(plain: Project) -> None:
    """A script is production, even one that is called with `test`; so are its threads, its children and their pools."""
    plain.program(
        """
        import concurrent.futures, multiprocessing, os, subprocess, sys, threading
        import effects

        if __name__ == "__main__":
            effects.attempt_all_shapes("a script")
            thread = threading.Thread(target=effects.attempt, args=("a thread",))
            thread.start()
            thread.join()
            worker = os.fork()
            if not worker:
                effects.attempt_all_shapes("a forked worker")
                os._exit(0)
            os.waitpid(worker, 0)
            subprocess.run([sys.executable, "-c", "import effects; effects.attempt('a child')"], check=True)
            with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                pool.submit(effects.attempt, "a pool").result()
            assert not [name for name in os.environ if name.startswith("SIDE_EFFECTS")]
        """,
        "test",
    )
    assert plain.executed == shapes("a script") | shapes("a forked worker") | {"a thread": 1, "a child": 1, "a pool": 1}


def test_tools_of_testing_are_no_test_run(tmp_path: Path) -> None:
    """Importing test tools is no test run, nor are test cases that a program runs by itself, as smoke tests do."""
    project = Project(tmp_path)
    project.write("test_small.py", SMALL_TEST)
    project.program(
        """
        import doctest, unittest, unittest.main, unittest.mock
        import pytest
        import _pytest.config
        import django.test, django.test.runner, django.core.management.commands.test
        import effects
        import test_small

        with pytest.raises(ZeroDivisionError), unittest.mock.patch.dict("os.environ", {"A": "B"}):
            1 / 0
        loader = unittest.defaultTestLoader
        suites = loader.loadTestsFromModule(test_small), loader.loadTestsFromName("test_small"), loader.discover(".")
        for suite in suites:
            result = unittest.TestResult()
            suite.run(result)
            assert result.wasSuccessful() and result.testsRun


        class SmokeRunner(unittest.TextTestRunner):
            side_effects_test_run = False


        SmokeRunner().run(loader.loadTestsFromTestCase(test_small.SmallTest))
        effects.attempt_all_shapes("afterwards")
        """
    )
    assert project.executed == project.attempted
    assert project.executed["a test"] == 4
    assert project.executed["afterwards"] == 1


@pytest.mark.parametrize(
    "arguments", [("manage.py", "bill"), ("run.py", "bill"), ("-m", "django", "bill")], ids=" ".join
)
def test_a_command_executes(shop: Project, arguments: tuple[str, ...]) -> None:
    """Management commands execute; in settings nothing does, since no rule is known there yet."""
    shop.run(*arguments, environment={"DJANGO_SETTINGS_MODULE": "config.settings"})

    assert shop.attempted == {"settings": 1, "ready()": 1} | shapes("a command")
    assert shop.executed == {"ready()": 1} | shapes("a command")


def test_a_server_executes(shop: Project) -> None:
    """A view of `manage.py runserver` executes, request after request."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shop.forget()
    with subprocess.Popen(
        [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"],
        cwd=shop.root,
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            for _ in range(2):
                assert answer(f"http://127.0.0.1:{port}/send/view/", server) == b"sent"
        finally:
            server.terminate()
    assert shop.executed == {"ready()": 1} | shapes("view") | shapes("view") + shapes("view")


def answer(url: str, server: "subprocess.Popen[bytes]") -> bytes:
    """What the server answers, once it listens."""
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url) as response:
                return bytes(response.read())
        except urllib.error.HTTPError:
            raise
        except OSError:
            assert server.poll() is None, "the server has ended"
            assert time.monotonic() < end, "the server does not listen"
            time.sleep(0.05)


# -- the limits, as `docs/limits.md` states them


def test_a_child_without_the_variable_executes(plain: Project) -> None:
    """A limit: a child with a cleaned environment cannot know."""
    plain.program(
        """
        import subprocess, sys
        import effects

        effects.attempt("a test")
        subprocess.run([sys.executable, "-c", "import effects; effects.attempt('a child')"], check=True, env={})
        """,
        environment=TEST_RUN,
    )
    assert plain.executed == {"a child": 1}


def test_a_script_is_a_test_run_once_it_says_so(plain: Project) -> None:
    """A limit: what `python tests.py` does before its `unittest.main()` executes, unless the variable is set."""
    source = """
        import unittest
        import effects

        effects.attempt("top of the script")


        class ScriptTest(unittest.TestCase):
            def test_script(self):
                effects.attempt("a test")


        unittest.main()
        """
    plain.program(source)
    assert plain.executed == {"top of the script": 1}
    assert plain.attempted == {"top of the script": 1, "a test": 1}

    plain.program(source, environment=TEST_RUN)
    assert not plain.executed


# -- `import sideeffects`


@pytest.mark.parametrize("environment", [{}, TEST_RUN], ids=["production", "test run"])
def test_importing_does_nothing(plain: Project, environment: dict[str, str], tmp_path: Path) -> None:
    """`import sideeffects` prints, writes and starts nothing (no thread, no process), and imports no framework."""
    output = plain.program(
        """
        import sys, threading

        done = []
        WRITES = ("os.mkdir", "os.remove", "os.rename", "os.chmod", "os.truncate", "socket.", "subprocess.", "os.fork",
                  "os.exec", "os.posix_spawn", "os.system", "shutil.", "sqlite3.", "_thread.start")


        def watch(event, arguments):
            if event == "open":
                mode, flags = arguments[1], arguments[2]
                if (mode and set(mode) & set("wax+")) or (flags or 0) & 0o3:
                    done.append((event, arguments))
            elif event.startswith(WRITES):
                done.append((event, arguments))


        sys.addaudithook(watch)
        import sideeffects
        found = [name for name in ("django", "pytest", "_pytest", "sentry_sdk", "celery", "asgiref", "unittest")
                 if name in sys.modules]
        assert not done, done
        assert not found, found
        assert threading.enumerate() == [threading.main_thread()]
        sideeffects.registry, sideeffects.side_effect
        """,
        environment=environment,
    )
    assert output == ""
    assert not list(tmp_path.iterdir())
