"""`Call.origin`: what set the code of a call going."""

import pickle
from typing import Any

import pytest

from sideeffects import capture, force_run, side_effect
from sideeffects._core.calls.incoming import Arrival
from sideeffects._core.calls.origins import origin, originating
from sideeffects._core.calls.parcel import Parcel
from sideeffects._core.runtime.worker import run_parcel
from sideeffects._core.state.state import state

pytestmark = pytest.mark.usefixtures("own_registry")


class Request:
    """Knows its route later than it begins."""

    route = "?"

    def __str__(self) -> str:
        return f"GET {self.route}"


def test_calls_keep_what_set_them_going() -> None:
    """The test's where nobody has said more; an object is asked when the call is read, and a record has its text."""

    @side_effect(name="post.it")
    def post() -> None:
        raise AssertionError("a test run executes nothing")

    request, test = Request(), origin()
    with capture() as calls:
        post()
        with originating("command remind"):
            post()
            with originating(request):
                post()
            post()
    request.route = "/orders/"
    assert [call.origin for call in calls] == [test, "command remind", "GET /orders/", "command remind"]
    again = pickle.loads(pickle.dumps(calls[2]))
    request.route = "/other/"
    assert again.origin == "GET /orders/"
    assert origin() == test


def test_a_worker_is_told_what_set_the_caller_going(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parcel carries it, and the worker's call has it."""

    @side_effect(name="post.it", async_ok=True)
    def post() -> str:
        return "posted"

    parcels: list[Parcel] = []

    class Engine:
        def check(self, parcel: Parcel) -> None:
            parcels.append(parcel)

        def submit(self, parcel: Parcel, handle: Any, work: Any) -> None:
            handle.future.set_result(work())

    monkeypatch.setattr("sideeffects._core.state.extension_points.engine.last", Engine)
    with originating("GET /orders/"), force_run(post), capture() as calls:
        post.enqueue()
    assert calls.one(post).origin == "GET /orders/"
    assert parcels[0].origin == "GET /orders/"
    heard: list[str] = []
    forget = state.add_observer(lambda call: heard.append(call.origin))
    try:
        assert run_parcel(parcels[0].to_data()) == "posted"
    finally:
        forget()
    assert heard == ["GET /orders/"]


def test_a_task_that_arrives_has_the_origin_of_its_publication() -> None:
    """The call is that of the process that published it."""

    @side_effect(name="post.it")
    def post() -> None:
        raise AssertionError("a test run executes nothing")

    with capture() as calls:
        post()
    call = Arrival("post.it", "7-abc-1", None, None, "GET /orders/").known(calls[0])
    assert call.origin == "GET /orders/"
