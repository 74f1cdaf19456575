"""Law 1 in real processes: in a test run no effect executes that no test named, whoever runs it and wherever it is."""

import pytest

from tests.support.projects import Project, django_project
from tests.support.redis_server import redis_server

#: Ways out of a test that need nothing but Python. Each calls the effect; the tests of any runner call these.
PLACES = """
    import atexit
    import concurrent.futures
    import gc
    import multiprocessing
    import os
    import subprocess
    import sys
    import threading

    from effects import HERE, attempt, attempt_all_shapes


    def threads():
        thread = threading.Thread(target=attempt_all_shapes, args=("a thread",))
        thread.start()
        thread.join()
        threading.Thread(target=after_the_main_thread).start()


    def after_the_main_thread():
        threading.main_thread().join()
        attempt("a thread after the main one")


    class Connection:
        def __init__(self, place):
            self.place = place

        def __del__(self, attempt=attempt):
            attempt(self.place)


    def endings():
        global left
        connection = Connection("__del__")
        del connection
        gc.collect()
        left = Connection("__del__ at the end")
        atexit.register(attempt, "atexit")


    def children():
        program = "import effects; effects.attempt_all_shapes('subprocess')"
        subprocess.run([sys.executable, "-c", program], check=True, cwd=HERE)
        for method in ("fork", "spawn", "forkserver"):
            context = multiprocessing.get_context(method)
            child = context.Process(target=attempt, args=(method,))
            child.start()
            child.join()
            assert child.exitcode == 0, method
            with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
                pool.submit(attempt, f"a pool by {method}").result()


    def without_environment():
        os.environ.clear()
        attempt_all_shapes("an empty environment")
        child = os.fork()
        if not child:
            attempt("a fork without environment")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
"""
TESTS = """
    import os
    import unittest
    from unittest import mock

    import places
    from effects import attempt, attempt_all_shapes

    attempt("import of a test module")


    class PlacesTest(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            attempt("setUpClass")

        def test_here(self):
            attempt_all_shapes("a test")

        def test_threads(self):
            places.threads()

        def test_endings(self):
            places.endings()

        @mock.patch.dict(os.environ)
        def test_without_environment(self):
            places.without_environment()


    class ChildrenTest(unittest.TestCase):
        def test_children(self):
            places.children()
"""
CONFTEST = """
    import pytest
    from effects import attempt

    attempt("import of conftest.py")


    @pytest.fixture(scope="session", autouse=True)
    def session():
        attempt("a session fixture")
        yield
        attempt("a session fixture's end")
"""
DJANGO_TESTS = """
    from urllib.request import urlopen

    from django.db import transaction
    from django.test import LiveServerTestCase, TestCase, TransactionTestCase
    from effects import attempt, attempt_all_shapes, confirm, note


    class CommitTest(TestCase):
        def test_captured(self):
            with self.captureOnCommitCallbacks(execute=True):
                transaction.on_commit(lambda: attempt("a callback after a captured commit"))
                attempt_all_shapes("a transaction")

        def test_view(self):
            self.client.get("/send/client/")


    class RealCommitTest(TransactionTestCase):
        def test_committed(self):
            with transaction.atomic():
                transaction.on_commit(lambda: attempt("a callback after a commit"))
                note("attempted", "on commit")
                confirm("on commit")


    class ServerTest(LiveServerTestCase):
        def test_request(self):
            assert urlopen(self.live_server_url + "/send/server/").read() == b"sent"
"""
QUEUE_TESTS = """
    import dramatiq
    import huey
    from celery import Celery
    from django.test import SimpleTestCase
    from dramatiq.brokers.stub import StubBroker
    from effects import attempt

    app = Celery("shop", set_as_current=False)
    app.conf.task_always_eager = True


    @app.task
    def remind():
        attempt("an eager task")


    broker = StubBroker()


    @dramatiq.actor(broker=broker)
    def text():
        attempt("an actor beside its broker")


    @huey.MemoryHuey("shop", immediate=True).task()
    def page():
        attempt("an immediate task")


    class QueueTest(SimpleTestCase):
        def test_eager(self):
            remind.delay().get()

        def test_worker(self):
            worker = dramatiq.Worker(broker, worker_timeout=20)
            worker.start()
            text.send()
            broker.join("default")
            worker.stop()

        def test_immediate(self):
            page()
"""

JOBS = """
    import os

    import redis
    import rq
    from django.test import SimpleTestCase
    from effects import attempt, send

    connection = redis.Redis.from_url(os.environ["REDIS_URL"])
    at_once = rq.Queue("at-once", connection=connection, is_async=False)
    waiting = rq.Queue("waiting", connection=connection)


    def remind(place):
        attempt(place)
        waiting.enqueue(send, place)


    class JobTest(SimpleTestCase):
        def test_jobs(self):
            at_once.enqueue(remind, "a job that is run at once")
            waiting.enqueue(remind, "a job beside its queue")
            self.assertEqual([job.func_name.rpartition(".")[2] for job in waiting.jobs], ["remind"])
            rq.SimpleWorker([waiting], connection=connection).work(burst=True)
            self.assertEqual(waiting.count, 0)
"""


def shapes(place: str) -> set[str]:
    """What `attempt_all_shapes(place)` attempts."""
    return {place, f"{place}: on commit", f"{place}: coroutine", f"{place}: background"}


PLAIN = {
    "import of a test module",
    "setUpClass",
    *shapes("a test"),
    *shapes("a thread"),
    *shapes("an empty environment"),
    "a fork without environment",
    "__del__",
}
#: Worker processes of test runners are ended without these.
ENDINGS = {"a thread after the main one", "atexit"}
#: Whether an object is finalized that late, and can still call anything, depends on who holds its module.
LAST = {"__del__ at the end"}
CHILDREN = {
    *shapes("subprocess"),
    *("fork", "spawn", "forkserver"),
    *("a pool by fork", "a pool by spawn", "a pool by forkserver"),
}
PYTEST = {"import of conftest.py", "a session fixture", "a session fixture's end"}
SETTING_UP = {"settings", "ready()"}
DJANGO = {
    "a callback after a captured commit",
    *shapes("a transaction"),
    "a callback after a commit",
    "on commit",
    *shapes("client"),
    *shapes("server"),
}
QUEUES = {"an eager task", "an actor beside its broker", "an immediate task"}

LIGHT = ("shop.test_shop", "test_places.PlacesTest")
NO_AUTOLOAD = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
SETTINGS = {"DJANGO_SETTINGS_MODULE": "config.settings"}


def with_tests(project: Project) -> Project:
    """Add the tests that any runner can run."""
    project.write("places.py", PLACES)
    project.write("test_places.py", TESTS)
    project.write("conftest.py", CONFTEST)
    project.write("tests.py", "import unittest\n\nif __name__ == '__main__':\n    unittest.main('test_places')\n")
    project.write("pytest.ini", "[pytest]\naddopts = -p no:cacheprovider\n")
    return project


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A Django project with tests; `sideeffects` is not among its INSTALLED_APPS."""
    project = with_tests(django_project(tmp_path_factory.mktemp("shop")))
    project.write("shop/test_shop.py", DJANGO_TESTS)
    project.write("shop/test_queues.py", QUEUE_TESTS)
    project.write("shop/jobs.py", JOBS)
    return project


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project without Django, with tests."""
    return with_tests(Project(tmp_path_factory.mktemp("plain")))


def assert_nothing_executed(project: Project, expected: set[str]) -> None:
    """These places were reached, and from none of them did the effect execute."""
    assert expected <= set(project.attempted), f"never reached: {sorted(expected - set(project.attempted))}"
    assert not project.executed, f"executed: {dict(project.executed)}"


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        pytest.param(
            ("manage.py", "test"),
            {},
            SETTING_UP | DJANGO | PLAIN | ENDINGS | LAST | CHILDREN | QUEUES,
            id="manage.py test",
        ),
        pytest.param(
            ("manage.py", "test", *LIGHT),
            {"MORE_APPS": "sideeffects"},
            SETTING_UP | DJANGO | PLAIN | ENDINGS,
            id="installed app",
        ),
        pytest.param(("run.py", "test", *LIGHT), {}, SETTING_UP | DJANGO | PLAIN | ENDINGS, id="renamed manage.py"),
        pytest.param(
            ("-m", "django", "test", *LIGHT),
            SETTINGS,
            SETTING_UP | DJANGO | PLAIN | ENDINGS,
            id="python -m django test",
        ),
        pytest.param(
            ("manage.py", "test", "--parallel", "2", *LIGHT),
            {"START_METHOD": "fork"},
            SETTING_UP | DJANGO | PLAIN,
            id="parallel by fork",
        ),
        pytest.param(
            ("run.py", "test", "--parallel", "2", *LIGHT),
            {"START_METHOD": "spawn"},
            SETTING_UP | DJANGO | PLAIN,
            id="parallel by spawn, renamed manage.py",
        ),
        pytest.param(
            ("-m", "pytest"),
            SETTINGS,
            SETTING_UP | DJANGO | PLAIN | ENDINGS | PYTEST | CHILDREN | QUEUES,
            id="pytest-django",
        ),
    ],
)
def test_nothing_executes_in_a_django_test_run(
    shop: Project, arguments: tuple[str, ...], environment: dict[str, str], expected: set[str]
) -> None:
    """Django's runner and pytest-django, in one process and in several, with and without the app being installed."""
    shop.run(*arguments, environment=environment)

    assert_nothing_executed(shop, expected)


def test_nothing_executes_in_jobs_of_rq(shop: Project) -> None:
    """Run at once or by a worker beside the test; what they enqueue in turn reaches no queue."""
    pytest.importorskip("rq")
    with redis_server() as url:
        shop.run("manage.py", "test", "shop.jobs", environment={"REDIS_URL": url})

    assert_nothing_executed(shop, {"a job that is run at once", "a job beside its queue"})


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        pytest.param(("-m", "unittest"), {}, PLAIN | ENDINGS | LAST | CHILDREN, id="python -m unittest"),
        pytest.param(("tests.py",), {}, PLAIN | ENDINGS | CHILDREN, id="unittest.main() in a script"),
        pytest.param(
            ("-c", "import unittest; unittest.main('test_places', argv=['', 'PlacesTest'])"),
            {},
            PLAIN | ENDINGS,
            id="unittest.main() in python -c",
        ),
        pytest.param(("-m", "pytest"), {}, PLAIN | ENDINGS | CHILDREN | PYTEST, id="pytest"),
        pytest.param(
            ("-m", "pytest", "-k", "Places"), NO_AUTOLOAD, PLAIN | ENDINGS | PYTEST, id="pytest without plugin autoload"
        ),
        pytest.param(
            ("-m", "pytest", "-k", "Places", "-p", "no:sideeffects", "-p", "no:django"),
            {},
            PLAIN | ENDINGS | PYTEST,
            id="pytest -p no:sideeffects",
        ),
        pytest.param(("-m", "pytest", "-k", "Places", "-n", "1"), {}, PLAIN | PYTEST, id="xdist"),
        pytest.param(
            ("-m", "pytest", "-k", "Places", "-n", "2", "-p", "xdist"),
            NO_AUTOLOAD,
            PLAIN | PYTEST,
            id="xdist, no autoload",
        ),
    ],
)
def test_nothing_executes_in_a_test_run_without_django(
    plain: Project, arguments: tuple[str, ...], environment: dict[str, str], expected: set[str]
) -> None:
    """Both unittest and pytest, in one process and in several, with and without our plugin."""
    plain.run(*arguments, environment=environment)

    assert_nothing_executed(plain, expected)
