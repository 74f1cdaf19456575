"""Sentry, with the real SDK in processes of their own and a real HTTP endpoint that takes its envelopes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from sideeffects import explain, force_run, registry, side_effect
from sideeffects._core.state.state import state
from sideeffects.project import checks
from sideeffects.testing import isolated_registry
from tests.support.projects import Project
from tests.support.sentry_server import Sentry, sentry_server

#: In no source line, so that it leaves only where a value does.
SECRET = "tok-5f3759df"

PROJECT = """
    import asyncio, json, logging, os, sys, time

    from django.conf import settings

    settings.configure(**json.loads(os.environ["SETTINGS"]))
    import sentry_sdk

    sentry_sdk.init(**{"dsn": os.environ["DSN"], "shutdown_timeout": 10, **json.loads(os.environ.get("INIT", "{}"))})
    from sideeffects import capture, forbid, force_run, record, run_side_effects, side_effect
    from sideeffects._core.calls.origins import originating

    SECRET = os.environ["SECRET"]


    def post(url, body):
        raise ConnectionError(f"{url} did not take {body}")


    @side_effect(name="sms.send", async_ok=True, sensitive=["pin_code"])
    def send(to, pin_code="", options=None):
        try:
            post("gateway", (to, pin_code, options))
        except ConnectionError as error:
            raise ValueError(f"could not send {pin_code or options}") from error


    @side_effect(name="mail.send", async_ok=True)
    def mail(to, *, token=""):
        raise LookupError(f"no mailbox for {to} with {token}")


    @side_effect(name="log.write")
    def write(line):
        return line
"""


@pytest.fixture(scope="module")
def sentry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentry]:
    with sentry_server(tmp_path_factory.mktemp("sentry")) as server:
        yield server


@pytest.fixture
def run(tmp_path: Path, sentry: Sentry) -> Callable[..., str]:
    """Runs a program on top of the project; gives what it printed."""
    project = Project(tmp_path)
    project.write("shop.py", PROJECT)

    def run(source: str, init: dict[str, Any] | None = None, settings: dict[str, Any] | None = None, **env: str) -> str:
        environment = {
            "DSN": sentry.dsn,
            "SECRET": SECRET,
            "INIT": json.dumps(init or {}),
            "SETTINGS": json.dumps({"SIDE_EFFECTS": {"USE_SENTRY": True}} if settings is None else settings),
            **env,
        }
        return project.program(source, environment=environment)

    return run


def frames(event: dict[str, Any]) -> list[tuple[str, bool]]:
    """The functions on the stacks of an event, each with whether its variables are there."""
    return [
        (frame["function"], bool(frame.get("vars")))
        for exception in event["exception"]["values"]
        for frame in exception["stacktrace"]["frames"]
    ]


FAIL = """
    from shop import *

    tasks = [(send, {"to": "ann", "pin_code": SECRET}, False), (mail, {"to": "ben", "token": SECRET}, False)]
    result = run_side_effects("signup", tasks, **json.loads(os.environ.get("OPTIONS", "{}")))
    assert [type(error) for error in result.errors] == [ValueError, LookupError]
    """


@pytest.mark.processes
@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({"SIDE_EFFECTS": {"USE_SENTRY": True}}, {}),
        ({"SAFERUNNER_USE_SENTRY": True}, {}),
        ({}, {"swallow": True}),
    ],
    ids=["USE_SENTRY", "SAFERUNNER_USE_SENTRY", "swallow"],
)
def test_each_swallowed_error_is_reported_once(
    run: Callable[..., str], sentry: Sentry, settings: dict[str, Any], options: dict[str, Any]
) -> None:
    """With its effect as tag and group, its run list and its redacted arguments; the log's record of it is no event."""
    run(FAIL, settings=settings, OPTIONS=json.dumps(options))
    events = sentry.take(2)

    assert [event["tags"] for event in events] == [{"side_effect": "sms.send"}, {"side_effect": "mail.send"}]
    assert [event["fingerprint"] for event in events] == [["side_effect", "sms.send"], ["side_effect", "mail.send"]]
    about = events[0]["contexts"]["side_effect"]
    assert (about["name"], about["run_id"], about["is_async"]) == ("sms.send", "signup", False)
    assert about["arguments"] == {"to": "ann", "pin_code": "[redacted]", "options": None}
    assert events[1]["contexts"]["side_effect"]["arguments"] == {"to": "ben", "token": "[redacted]"}
    assert events[0]["exception"]["values"][-1]["value"].startswith("could not send [redacted]")
    assert events[0]["exception"]["values"][-1]["mechanism"]["handled"] is True


@pytest.mark.processes
@pytest.mark.parametrize(
    "init",
    [{}, {"attach_stacktrace": True, "add_full_stack": True, "send_default_pii": True}, {"event_scrubber": None}],
    ids=["default", "everything", "no scrubber"],
)
def test_no_secret_leaves_however_the_sdk_is_set_up(
    run: Callable[..., str], sentry: Sentry, init: dict[str, Any]
) -> None:
    """Neither in arguments at any depth, nor in messages, causes, breadcrumbs or the variables of any frame."""
    run(
        """
        from shop import *

        deep = {"a": [{"b": {"password": SECRET, "c": ("Authorization", SECRET)}}]}
        tasks = [
            (write, {"line": {"api_key": SECRET}}),
            (send, {"to": "ann", "pin_code": SECRET, "options": deep}, False),
            (send, {"to": "ann", "pin_code": SECRET}, True),
            (mail, {"to": "ben", "token": SECRET, "unknown": 1}),
        ]
        result = run_side_effects("signup", tasks)
        try:
            result.results[1].result(60)
        except ValueError:
            pass
        """,
        init=init,
    )
    events = sentry.take(3)

    assert [event["contexts"]["side_effect"]["is_async"] for event in events].count(True) == 2
    assert len(events) == 3
    assert not [event for event in events if SECRET in json.dumps(event)]
    assert {has_variables for event in events for _, has_variables in frames(event)} == {False}
    assert {name for event in events for name, _ in frames(event)} >= {"send", "post"}


@pytest.mark.processes
def test_an_error_that_nobody_swallows_has_no_variables_from_the_effect_on(
    run: Callable[..., str], sentry: Sentry
) -> None:
    """Sentry reports it by itself; frames above the effect keep theirs, however the effect is called."""
    source = """
        from shop import *

        def outer(shown="shown", cut=["x" * 195 + SECRET]):
            write("warm")
            try:
                mail("ann", token=SECRET)
            except LookupError as error:
                logging.getLogger("shop").exception("no mail: %s", error)

        outer()
        outer()
        """
    for settings in ({}, {"SIDE_EFFECTS": {"USE_SENTRY": True}}):
        run(source, settings=settings, init={"event_scrubber": None, "max_value_length": 205})
        first, second = sentry.take(2)
        for event in (first, second):
            assert frames(event)[0] == ("outer", True)
            assert frames(event)[-1] == ("mail", False)
            [exception] = event["exception"]["values"]
            assert exception["value"] == "no mailbox for ann with [redacted]"
            assert SECRET[:5] not in json.dumps(event)


@pytest.mark.processes
def test_executed_effects_leave_breadcrumbs(run: Callable[..., str], sentry: Sentry) -> None:
    """Redacted, with how long they took and what set them going; recorded ones and the report itself leave none."""
    run("""
        from shop import *

        write("x" * 100_000)
        with record(write):
            write("held back")
        with originating("command remind"):
            run_side_effects("signup", [(mail, {"to": "ann", "token": SECRET}, False), (mail, {"to": "ben"}, False)])
        """)
    last = sentry.take(2)[-1]
    crumbs = [crumb for crumb in last["breadcrumbs"]["values"] if crumb["category"] == "side_effect"]

    assert [(crumb["message"], crumb["level"]) for crumb in crumbs] == [
        ("log.write", "info"),
        ("mail.send", "error"),
        ("mail.send", "error"),
    ]
    assert len(crumbs[0]["data"]["arguments"]["line"]) <= 200
    assert crumbs[1]["data"]["arguments"] == {"to": "'ann'", "token": "[redacted]"}
    assert (crumbs[1]["data"]["error"], crumbs[1]["data"]["run_id"]) == ("LookupError", "signup")
    assert crumbs[1]["data"]["milliseconds"] >= 0
    assert crumbs[1]["data"]["origin"] == last["contexts"]["side_effect"]["origin"] == "command remind"


@pytest.mark.processes
def test_executed_effects_are_spans_when_tracing_is_on(run: Callable[..., str], sentry: Sentry) -> None:
    """What an effect does is below it; coroutines that take turns stand side by side; generators are never current."""
    run(
        """
        from shop import *

        def below(name):
            with sentry_sdk.start_span(op="below", name=name):
                pass

        @side_effect(name="outer")
        def outer():
            below("in outer")
            write("inner")

        @side_effect(name="ring")
        async def ring(name):
            await asyncio.sleep(0.01)
            below(name)
            await asyncio.sleep(0.01)

        @side_effect(name="stream")
        def stream():
            yield 1

        async def together():
            await asyncio.gather(ring("one"), ring("two"))

        with sentry_sdk.start_transaction(op="test", name="all"):
            outer()
            asyncio.run(together())
            for _ in stream():
                below("beside stream")
            with originating("command remind"):
                run_side_effects("signup", [(mail, {"to": "ann", "token": SECRET}, False)])
            below("at the end")
        outer()  # no transaction, no span
        """,
        init={"traces_sample_rate": 1.0},
    )
    items = sentry.take(2)
    [transaction] = [item for item in items if item["type"] == "transaction"]
    names = {span["span_id"]: span["description"] for span in transaction["spans"]}
    names[transaction["contexts"]["trace"]["span_id"]] = "all"
    tree = sorted((names[span["parent_span_id"]], span["description"]) for span in transaction["spans"])

    assert tree == sorted(
        [
            *[("all", "outer"), ("outer", "in outer"), ("outer", "log.write")],
            *[("all", "ring"), ("all", "ring"), ("ring", "one"), ("ring", "two")],
            *[("all", "stream"), ("all", "beside stream"), ("all", "mail.send"), ("all", "at the end")],
        ]
    )
    [failed] = [span for span in transaction["spans"] if span["description"] == "mail.send"]
    assert (failed["op"], failed["status"]) == ("side_effect", "internal_error")
    assert failed["data"]["side_effect.run_id"] == "signup"
    assert failed["data"]["side_effect.origin"] == "command remind"
    assert SECRET not in json.dumps(items)


@pytest.mark.processes
@pytest.mark.parametrize("first", ["sentry", "override"])
def test_threads_run_with_the_patches_of_both(run: Callable[..., str], first: str) -> None:
    """Sentry patches `Thread.start` as well, before us or after us: threads run, and obey the block around `start`."""
    run(
        """
        import os
        import threading
        from concurrent.futures import ThreadPoolExecutor

        import sentry_sdk
        from sideeffects import capture, record, side_effect

        done = []

        @side_effect(name="x")
        def effect(): raise AssertionError("it ran")

        class Own(threading.Thread):
            def run(self):
                effect()
                done.append("own")

        if os.environ["FIRST"] == "override":
            with record():
                pass
        sentry_sdk.init(dsn=os.environ["DSN"], shutdown_timeout=0)
        with record(), capture() as calls:
            for thread in (
                threading.Thread(target=lambda: (effect(), done.append("target"))),
                threading.Timer(0, lambda: (effect(), done.append("timer"))),
                Own(),
            ):
                thread.start()
                thread.join(30)
            with ThreadPoolExecutor(1) as pool:
                pool.submit(lambda: (effect(), done.append("pool"))).result(30)
        assert done == ["target", "timer", "own", "pool"], done
        assert calls.count("x") == 4
        """,
        FIRST=first,
    )


@pytest.mark.processes
def test_in_a_test_run_nothing_is_sent(run: Callable[..., str], sentry: Sentry) -> None:
    """The report is recorded as an effect, redacted, and the log sends nothing either; named, it is sent."""
    run(
        """
        from shop import *

        with capture() as calls, force_run("sms.send"):
            run_side_effects("signup", [(send, {"to": "ann", "pin_code": SECRET}, False)])
            calls.assert_called("sentry.capture", effect="sms.send", run_id="signup", is_async=False, times=1)
            report = calls.one("sentry.capture")
            assert report.mode.name == "RECORD"
            assert report.arguments["error"] == "ValueError: could not send [redacted]"
            assert report.arguments["arguments"] == {"to": "ann", "pin_code": "[redacted]", "options": None}
            assert report.run_id is None  # it is no task of the list
            try:
                send.enqueue("ben").result(60)
            except ValueError:
                pass
            assert calls.count("sentry.capture") == 2

        with force_run("sms.send"), forbid("sentry.capture"):
            run_side_effects("signup", [(send, {"to": "ann"}, False)])  # the log tells that this was not reported

        sentry_sdk.flush()
        with capture() as calls, force_run("mail.send", "sentry.capture"):
            run_side_effects("signup", [(mail, {"to": "ann"}, False)])
        assert calls.one("sentry.capture").outcome.result
        """,
        SIDE_EFFECTS_TEST_RUN="1",
    )
    assert [event["tags"] for event in sentry.take(1)] == [{"side_effect": "mail.send"}]


@pytest.mark.processes
def test_where_effects_are_held_back_the_report_is_as_well(run: Callable[..., str], sentry: Sentry) -> None:
    """It obeys policies like any other: on a staging system it is recorded, unless a rule lets it out."""
    for policy, sent in (({}, 0), ({"sentry.capture": "EXECUTE"}, 1)):
        rules = {"USE_SENTRY": True, "MODE": "RECORD", "POLICY": {"mail.send": "EXECUTE", **policy}}
        run(
            'from shop import *\nrun_side_effects("signup", [(mail, {"to": "ann"}, False)])',
            settings={"SIDE_EFFECTS": rules},
        )
        assert len(sentry.take(sent)) == sent


@pytest.mark.processes
def test_a_sentry_that_is_away_slow_or_broken_delays_and_changes_nothing(
    run: Callable[..., str], sentry: Sentry
) -> None:
    """An address where nobody listens, one that never answers, and a transport that raises."""
    timed = """
        from shop import *

        class Broken(sentry_sdk.transport.Transport):
            def capture_envelope(self, envelope):
                raise OSError("broken")

        if os.environ.get("BROKEN"):
            sentry_sdk.init(dsn=os.environ["DSN"], transport=Broken, shutdown_timeout=0)
        tasks = [(mail, {"to": "ann"}, False), (write, {"line": 1}), (mail, {"to": "ben"}, False), (write, {"line": 2})]
        run_side_effects("warm", tasks)  # the SDK reads source files for its first event
        started = time.perf_counter()
        for _ in range(25):
            result = run_side_effects("signup", tasks)
            assert [str(error) for error in result.errors] == [f"no mailbox for {to} with " for to in ("ann", "ben")]
            assert result.results == [1, 2]
        print(time.perf_counter() - started)
        """
    for environment in ({"DSN": "http://key@127.0.0.1:9/1"}, {"DSN": sentry.silent_dsn}, {"BROKEN": "1"}):
        seconds = float(run(timed, init={"shutdown_timeout": 0}, **environment))
        assert seconds < 5, environment  # the SDK waits 30 s for an answer
    sentry.take()


@pytest.mark.processes
@pytest.mark.parametrize("is_installed", [True, False], ids=["not initialised", "not installed"])
def test_without_a_working_sdk_the_log_says_once_what_to_do(tmp_path: Path, is_installed: bool) -> None:
    """The list goes on and keeps the errors, executed effects are not disturbed, and the system check says it too."""
    project = Project(tmp_path)
    said = "call sentry_sdk.init(" if is_installed else "pip install 'sideeffects[sentry]'"
    output = project.program(f"""
        import logging, sys

        if {is_installed}:
            import sentry_sdk
        else:
            sys.modules["sentry_sdk"] = None
        from django.conf import settings

        settings.configure(SIDE_EFFECTS={{"USE_SENTRY": True}}, INSTALLED_APPS=["sideeffects"])
        import django
        from django.core import checks

        django.setup()
        from sideeffects import run_side_effects, side_effect

        logging.basicConfig(stream=sys.stdout, level=logging.WARNING)

        @side_effect(name="send")
        def send(to):
            if not to:
                raise ValueError("to whom?")
            return to

        for _ in range(2):
            result = run_side_effects("r", [(send, {{"to": ""}}), (send, {{"to": "ann"}})])
            assert result.results == ["ann"] and len(result.errors) == 1
        [message] = checks.run_checks()
        print(message.id, message.msg)
        """)
    assert output.count("WARNING:sideeffects:errors that were swallowed are not reported to Sentry") == 1
    assert output.count(said) == 2
    assert "sideeffects.W003 USE_SENTRY or SAFERUNNER_USE_SENTRY is true" in output


def test_effects_are_watched_for_as_long_as_the_setting_says(production: None) -> None:
    """Only then do they go without the fast switch, and the effect of reporting is there to be named."""
    with isolated_registry():

        @side_effect(name="send")
        def send() -> str:
            return "sent"

        assert send() == "sent"
        assert not send._self_declared.switch  # type: ignore[attr-defined]
        with override_settings(SIDE_EFFECTS={"USE_SENTRY": True}):
            assert send() == "sent"
            assert len(state.observers) == 1
            assert "sentry.capture" in registry
            with force_run("sentry.capture"):
                assert "force_run" in explain("sentry.capture").reason
        assert send() == "sent"
        assert not state.observers


def test_the_report_can_be_named_before_anything_was_called() -> None:
    """Also in a registry of a test's own."""
    with isolated_registry(), override_settings(SIDE_EFFECTS={"USE_SENTRY": True}):
        with force_run("sentry.capture"):
            assert explain("sentry.capture").mode.name == "EXECUTE"
        assert not [message for message in checks.check_settings() if message.id != "sideeffects.W003"]
