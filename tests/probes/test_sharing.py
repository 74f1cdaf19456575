"""One run of probes at a time for the same selection, and who gets its results."""

import datetime
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from django.http import HttpRequest
from django.test import RequestFactory, override_settings

from sideeffects.probes import ProbesRefused, Results, SmokeTest, views
from sideeffects.probes.selection import select
from sideeffects.probes.sharing import SharedRun, results_for_the_public, shared
from sideeffects.probes.specs import FoundProbes
from sideeffects.probes.views import IndexView


def results() -> Results:
    return Results((), datetime.datetime.now(datetime.UTC), 0.0)


class Key:
    """A selection that knows how often it was looked up."""

    def __init__(self) -> None:
        self.asked = 0

    def __hash__(self) -> int:
        self.asked += 1
        return 1

    def __eq__(self, other: object) -> bool:
        return self is other


class Run:
    """A run that lasts until it is let go."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.number = 0
        self.has_begun = threading.Event()
        self.may_end = threading.Event()
        self.error = error
        self.key = Key()

    def __call__(self) -> Results:
        self.number += 1
        self.has_begun.set()
        assert self.may_end.wait(20)
        if self.error is not None:
            raise self.error
        return results()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(101) as made:
        yield made


def wait_for(key: Key, number: int) -> None:
    """Until it has been looked up that often."""
    deadline = time.monotonic() + 20
    while key.asked < number:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def burst(pool: ThreadPoolExecutor, own: SharedRun, run: Run) -> list["Future[Results]"]:
    """A run, and a hundred who ask for the same while it is under way."""
    key = run.key
    first = pool.submit(own.results, key, 0, run)
    assert run.has_begun.wait(20)
    before = key.asked
    others = [pool.submit(own.results, key, 0, run) for _ in range(100)]
    wait_for(key, before + 100)
    assert not any(one.done() for one in (first, *others))
    run.may_end.set()
    return [first, *others]


def test_those_who_come_meanwhile_get_the_results_of_the_run(pool: ThreadPoolExecutor) -> None:
    """The very same, even when nothing is kept after it; whoever comes later gets another run."""
    own, run = SharedRun(), Run()
    first, *others = burst(pool, own, run)
    assert run.number == 1
    assert all(other.result() is first.result() for other in others)
    assert own.results("another", 0, run) is not first.result()


def test_other_selections_do_not_wait(pool: ThreadPoolExecutor) -> None:
    """A run that lasts is no reason for them."""
    own, run = SharedRun(), Run()
    first = pool.submit(own.results, "slow", 0, run)
    assert run.has_begun.wait(20)
    assert own.results("quick", 0, results).passed
    assert not first.done()
    run.may_end.set()
    assert first.result().passed


def test_the_public_gets_one_run_at_a_time(pool: ThreadPoolExecutor) -> None:
    """Whatever it selects; those who are known do not wait for its turn, and those who ask for the same still share."""
    slow, next_one, key = Run(), Run(), Key()
    first = pool.submit(results_for_the_public, key, 0, slow)
    assert slow.has_begun.wait(20)
    others = [pool.submit(results_for_the_public, next_one.key, 60, next_one) for _ in range(20)]
    before = key.asked
    same = pool.submit(shared.results, key, 0, next_one)
    wait_for(key, before + 1)
    assert shared.results("known", 0, results).passed
    assert not next_one.has_begun.wait(0.1)
    assert not any(one.done() for one in (first, same, *others))
    slow.may_end.set()
    assert next_one.has_begun.wait(20)
    next_one.may_end.set()
    assert same.result() is first.result()
    assert len({id(other.result()) for other in others}) == 1
    assert (slow.number, next_one.number) == (1, 1)


def test_a_run_that_raises_is_nobodys_result(pool: ThreadPoolExecutor) -> None:
    """It raises where it was made, those who waited are told why there is nothing, and the next one runs anew."""
    own, run = SharedRun(), Run(OSError("no more threads"))
    first, *others = burst(pool, own, run)
    with pytest.raises(OSError, match="no more threads"):
        first.result()
    for other in others:
        with pytest.raises(ProbesRefused, match="no more threads"):
            other.result()
    assert own.results(run.key, 60, results).passed


def test_results_are_kept_for_a_while() -> None:
    """From the end of the run on, and no longer."""
    own = SharedRun()
    first = own.results("key", 60, results)
    assert own.results("key", 60, results) is first
    assert own.results("key", 0, results) is not first
    kept = own.results("key", 0.05, results)
    deadline = time.monotonic() + 20
    while own.results("key", 0.05, results) is kept:
        assert time.monotonic() < deadline


def test_an_answer_that_is_kept_costs_no_look_for_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a project of hundreds of apps that takes longer than all else; what is asked in another way is looked for."""
    looked: list[object] = []
    monkeypatch.setattr(views, "select", lambda *selection: looked.append(selection) or select(*selection))
    request, view = RequestFactory().get, IndexView.as_view()

    class Own(IndexView):
        def get_found(self, request: HttpRequest) -> FoundProbes:
            return super().get_found(request)

    rules = {"PUBLIC": True, "CACHE_SECONDS": 60}
    with override_settings(SIDE_EFFECTS={"PROBES": rules}):
        first = [view(request("/", {"format": "json"})).content for _ in range(3)]
        assert (len(looked), len(set(first))) == (1, 1)
        assert json.loads(view(request("/", {"format": "json", "failfast": "0"})).content)["status"] == "PASS"
        assert len(looked) == 1
        view(request("/", {"failfast": "1"}))
        IndexView.as_view(labels=["none"])(request("/"))
        assert len(looked) == 4
        for _ in range(2):
            Own.as_view()(request("/"))
        assert len(looked) == 6
    for changed in ({"SIDE_EFFECTS": {"PROBES": {**rules, "TIMEOUT": 7}}}, {"SMOKETEST_SKIP_APPS": ["nowhere"]}):
        with override_settings(**{"SIDE_EFFECTS": {"PROBES": rules}, **changed}):
            before = len(looked)
            view(request("/"))
            assert len(looked) == before + 1


def test_nothing_is_kept_for_good() -> None:
    """Selections that nobody asks for any more are forgotten at the next request."""
    own = SharedRun()
    for number in range(50):
        own.results(number, 0, results)
    assert len(own._flights) == 1


def test_a_probe_cannot_ask_for_probes() -> None:
    """It would wait for itself."""
    own = SharedRun()

    class Asks(SmokeTest):
        def test_asks(self) -> None:
            own.results("key", 60, results)

    *_, errors = Asks().run()
    (error,) = errors
    assert "a probe cannot run probes: it would wait for itself" in error
    assert not own._flights
