"""`make demo` as a reader sees it: its transcript, its failure and its end."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.once

DEMO = Path(__file__).resolve().parents[2] / "docs" / "demo"
STEPS = [
    "What reaches the outside",
    "The shop's own tests",
    "The same order in production",
    "A run list",
    "A dry run",
    "Plan, review, apply",
    "Probes on the live shop",
    "One name in a test",
    "If one of them fails",
    "Every order of two payments",
    "What was forgotten",
    "An incident",
    "Why?",
]


def start(tmp_path: Path, **environment: str) -> "subprocess.Popen[str]":
    """Start the demo, with a temporary folder of its own to leave things behind in."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    return subprocess.Popen(
        [sys.executable, "-u", DEMO / "run.py"],
        env={**os.environ, "TMPDIR": str(temporary), "COLUMNS": "80", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        start_new_session=True,
    )


def run(tmp_path: Path, **environment: str) -> Any:
    """Run the demo to its end."""
    with start(tmp_path, **environment) as process:
        output, errors = process.communicate(timeout=300)
    return process.returncode, output, errors


def section(transcript: str, title: str) -> str:
    """What the transcript says between one title and the next."""
    titles = "|".join(map(re.escape, [*STEPS, "Summary"]))
    return re.split(rf"^(?:\d+\. )?(?:{titles})$", transcript, flags=re.MULTILINE)[[*STEPS, "Summary"].index(title) + 1]


def received(text: str) -> list[str]:
    """What the receivers got, line by line."""
    return re.findall(r"^    (\w+ \S+|nothing)(?:\s|$)", text.partition("The receivers got:\n")[2], flags=re.MULTILINE)


@pytest.fixture(scope="module")
def transcript(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The transcript of a demo that went well."""
    code, output, errors = run(tmp_path_factory.mktemp("demo"))
    assert (code, errors) == (0, ""), output
    return output


def test_each_step_shows_what_arrived(transcript: str) -> None:
    """Nothing in the tests, everything in production, one effect where one is named."""
    assert received(section(transcript, "The shop's own tests")) == ["nothing"]
    assert received(section(transcript, "The same order in production")) == [
        "POST /charges",
        "MAIL ada@example.com",
        "POST /sms",
        "POST /warehouse",
    ]
    assert received(section(transcript, "A run list")) == ["MAIL bob@example.com", "POST /sms", "POST /sms"]
    assert received(section(transcript, "One name in a test")) == ["POST /sms"]


def test_the_listing_and_the_explanations_are_shown(transcript: str) -> None:
    """Each effect with its place, and each decision with its rule."""
    listing = section(transcript, "What reaches the outside")
    for name in ("card.charge", "mail.confirm_order", "sms.send", "warehouse.announce"):
        assert re.search(rf"^  {re.escape(name)}\s.*effects\.py:\d+", listing, flags=re.MULTILINE), listing
    assert "POLICY" in section(transcript, "Why?")


def test_a_plan_is_refused_because_an_order_changed_and_a_new_one_is_applied(transcript: str) -> None:
    """Nothing arrives of the first, and of the second what it says."""
    step = section(transcript, "Plan, review, apply")
    refused, applied, arrived = step.split("The receivers got:\n")
    shown = " ".join(refused.split())
    assert "and that differs from the plan: its argument 'to' is '+44 20 7946 0002'" in shown
    assert "All rows were rolled back (default)." in shown
    assert received(step.removesuffix(arrived)) == ["nothing"]
    assert "Applied the plan of `cancel_unpaid`." in applied
    assert received("The receivers got:\n" + arrived) == ["POST /sms"]


def test_the_probes_show_what_was_held_back(transcript: str) -> None:
    """A charge among it, with its token redacted; all passed, and nothing arrived."""
    probes = section(transcript, "Probes on the live shop")
    assert "  PASS\n  test classes: 2\n  tests run: 2\n  tests passed: 2\n" in probes
    shown = " ".join(probes.split())
    assert "Checkout.test_an_order_with_a_card would have executed: card.charge(" in shown
    assert "token=[redacted]" in shown or "token='[redacted]'" in shown
    assert "tok_probe" not in probes
    assert received(probes) == ["nothing"]


def test_the_sweeps_are_shown(transcript: str) -> None:
    """The careless order loses what has been paid when its text fails; the shop's own does not."""
    sweeps = section(transcript, "If one of them fails")
    assert re.search(r"^  sms\.send#1 +OSError +FAILED$", sweeps, flags=re.MULTILINE)
    assert "charges: 1, orders: 0" in sweeps
    assert re.search(r"^  warehouse\.announce#1 +OSError +passed +passed$", sweeps, flags=re.MULTILINE)
    assert received(sweeps) == ["nothing"]


def test_every_order_is_explored(transcript: str) -> None:
    """The simplest order that charges twice, as a table, with how to run it again; and how many hold after the cure."""
    step = section(transcript, "Every order of two payments")
    assert re.search(r"^ +racer 1 +racer 2$", step, flags=re.MULTILINE)
    assert len(re.findall(r"effect card\.charge", step)) == 2
    assert 'rerun: Race(schedule="112221", ...)' in step
    assert re.search(r"2 racers, \d+ orders, and none fails", step)
    assert received(step) == ["nothing"]


def test_the_forgotten_call_is_refused(transcript: str) -> None:
    """With the place of it, and the line that declares it; nothing arrived."""
    step = section(transcript, "What was forgotten")
    assert "undeclared outside call: rates.shop.invalid by urllib.request.urlopen" in step
    assert '@side_effect(name="shop.tests.careless.in_euros")' in step
    assert received(step) == ["nothing"]


def test_the_incident_is_shown(transcript: str) -> None:
    """Three texts before somebody looks; then the customers and an order, each once, and no supplier."""
    step = section(transcript, "An incident")
    first, second = (part.partition("\n\n")[0] for part in step.split("The receivers got:\n")[1:])
    for arrived in (first, second):
        assert received(f"The receivers got:\n{arrived}") == ["POST /sms"] * 3
    shown = " ".join(step.split())
    assert "sms.* (1 effect) is HOLD from now on, paused by" in shown
    assert "sms.* is no longer HOLD" in shown
    assert "+1 202 555" not in first + second


def test_it_ends_with_a_summary_of_one_screen(transcript: str) -> None:
    """All steps went well, and everything fits 80 columns."""
    summary = section(transcript, "Summary")
    assert re.findall(r"^  ok      (\S.*?)  ", summary, flags=re.MULTILINE) == STEPS
    assert len(summary.splitlines()) < 24
    assert [line for line in transcript.splitlines() if len(line) > 80] == []


def test_it_fails_loudly_when_the_tests_let_something_out(tmp_path: Path) -> None:
    """A receiver that gets what it should not ends the demo, which says what it got."""
    code, output, errors = run(tmp_path, SHOP_FORCE_RUN="warehouse.announce")

    assert code == 1
    assert "The demo FAILED" in errors
    assert "arrived, and should not have:\n    POST /warehouse" in errors
    assert "FAILED  The shop's own tests" in output
    assert "The same order in production" not in output


def test_it_fails_when_the_tests_fail(tmp_path: Path) -> None:
    """And says what arrived until then: here the tests count on recorded charges, and a card is charged."""
    code, output, errors = run(tmp_path, SHOP_FORCE_RUN="card.charge")

    assert code == 1
    assert "ended with exit code 1" in errors
    assert "Until then the receivers got:\n    POST /charges" in errors
    assert "FAILED  The shop's own tests" in output


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path, ending: signal.Signals) -> None:
    """Neither its folder nor its web server."""
    with start(tmp_path) as process:
        timer = threading.Timer(300, process.kill)
        timer.start()
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("  POST /orders/"):  # the web server is up
                break
        process.send_signal(ending)
        _, errors = process.communicate()
        timer.cancel()

    assert process.returncode == 130, errors
    assert list((tmp_path / "temporary").iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_the_shop_can_be_copied(tmp_path: Path) -> None:
    """Its tests need nothing of the demo around them: no receivers, no environment."""
    around_it = shutil.ignore_patterns("run.py", "receivers.py", "__pycache__")
    copy = shutil.copytree(DEMO, tmp_path / "copy", ignore=around_it)
    for command in (["-m", "pytest", "-q", "-p", "no:asyncio"], ["manage.py", "test"]):
        done = subprocess.run([sys.executable, *command], cwd=copy, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
