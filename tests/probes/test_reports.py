"""What came of probes in each format, read by the parsers of those who read it."""

import datetime
import html.parser
import json
import re
from pathlib import Path
from typing import Any

import hypothesis
import junitparser
import pytest
import xmlschema
from hypothesis import strategies
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as older_format

from sideeffects import Mode
from sideeffects.probes import ProbeEffect, ProbeOutcome, ProbeResult, Results
from sideeffects.probes.reports import FORMATS

TRACE = 'Traceback (most recent call last):\n  File "shop/probes.py", line 7\nAssertionError: <b> & "c"\n'
STARTED = datetime.datetime(2026, 3, 1, 9, 30, 5, 250000, tzinfo=datetime.UTC)
SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))


def probe(name: str, outcome: ProbeOutcome, duration: float = 0.25, **more: Any) -> ProbeResult:
    module, case, method = name.rsplit(".", 2)
    return ProbeResult(name, module.split(".")[0], module, case, method, outcome, duration=duration, **more)


def effect(text: str, mode: Mode = Mode.RECORD) -> ProbeEffect:
    name = text.partition("(")[0]
    return ProbeEffect(
        name, {"cents": 100}, mode, "a probe", "shop/probes.py:7", text, is_held_back=mode is Mode.RECORD
    )


HELD, RAN = effect("billing.charge(cents=100)"), effect("audit.note(event='probe')", Mode.EXECUTE)
MIXED = Results(
    (
        probe("shop.probes.Pay.test_passes", ProbeOutcome.PASSED, effects=(HELD, RAN), tags=("money",)),
        probe("shop.probes.Pay.test_fails", ProbeOutcome.FAILED, message='<b> & "c"', traceback=TRACE),
        probe("shop.probes.Pay.test_fails_too", ProbeOutcome.FAILED, message="1 != 2", traceback=TRACE),
        probe("stock.smoke.Shelf.test_errors", ProbeOutcome.ERRORED, message="no shelf", traceback=TRACE),
        probe("stock.smoke.Shelf.test_skipped", ProbeOutcome.SKIPPED, 0.0, message="not today"),
        ProbeResult("old.smoke", "old", "old.smoke", "", "", ProbeOutcome.ERRORED, "cannot be imported", TRACE),
    ),
    STARTED,
    1.5,
    ("A note.",),
    is_whole=False,
)
REFUSING = Results(
    (
        probe(
            "shop.probes.Pay.test_refuses",
            ProbeOutcome.PASSED,
            effects=(HELD, effect("billing.refund(cents=100)", Mode.RAISE)),
        ),
    ),
    STARTED,
    0.0301,
)
GOOD = Results((probe("shop.probes.Pay.test_passes", ProbeOutcome.PASSED),), STARTED, 0.0301)
NONE = Results((), STARTED, 0.0)


def shown(name: str, results: Results) -> str:
    return FORMATS[name].render(results)


def test_text_is_that_of_django_smoketest() -> None:
    """The totals, then failures and errors with an empty line between all of them; what is ours comes after that."""
    assert shown("text", GOOD) == (
        "PASS\ntest classes: 1\ntests run: 1\ntests passed: 1\ntests failed: 0\ntests errored: 0\ntime: 30.100000ms\n"
    )
    held = Results((probe("shop.probes.Pay.test_passes", ProbeOutcome.PASSED, effects=(HELD,)),), STARTED, 0.0301)
    said = "shop.probes.Pay.test_passes would have executed: billing.charge(cents=100)\n"
    assert shown("text", held) == f"{shown('text', GOOD)}\n{said}"
    assert shown("text", MIXED) == (
        "FAIL\ntest classes: 2\ntests run: 4\ntests passed: 1\ntests failed: 2\ntests errored: 2\n"
        "time: 1500.000000ms\n\n"
        'shop.probes.Pay.test_fails failed: <b> & "c"\n\n'
        "shop.probes.Pay.test_fails_too failed: 1 != 2\n\n"
        "stock.smoke.Shelf.test_errors errored: no shelf\n\n"
        "old.smoke errored: cannot be imported\n\n"
        "stock.smoke.Shelf.test_skipped skipped: not today\n\n"
        "shop.probes.Pay.test_passes would have executed: billing.charge(cents=100)\n"
        "shop.probes.Pay.test_passes executed: audit.note(event='probe')\n\n"
        "A note.\nNot all that was selected has been run.\n"
    )


def test_json_has_the_keys_of_django_smoketest_and_ours_beside_them() -> None:
    """Times are milliseconds where they always were, and seconds where they are ours."""
    data = json.loads(shown("json", MIXED))
    theirs = ["status", "test_classes", "tests_run", "tests_passed", "tests_failed", "tests_errored", "failed_tests"]
    assert {key: data[key] for key in [*theirs, "errored_tests", "time"]} == {
        "status": "FAIL",
        "test_classes": 2,
        "tests_run": 4,
        "tests_passed": 1,
        "tests_failed": 2,
        "tests_errored": 2,
        "failed_tests": [
            'shop.probes.Pay.test_fails failed: <b> & "c"',
            "shop.probes.Pay.test_fails_too failed: 1 != 2",
        ],
        "errored_tests": ["stock.smoke.Shelf.test_errors errored: no shelf", "old.smoke errored: cannot be imported"],
        "time": 1500.0,
    }
    assert (data["tests_skipped"], data["is_whole"], data["notes"]) == (1, False, ["A note."])
    assert datetime.datetime.fromisoformat(data["started"]) == STARTED
    assert data["probes"][0] == {
        "id": "shop.probes.Pay.test_passes",
        "app": "shop",
        "outcome": "passed",
        "message": "",
        "traceback": "",
        "seconds": 0.25,
        "tags": ["money"],
        "held_back": [
            {"name": "billing.charge", "arguments": {"cents": 100}, "reason": "a probe", "caller": "shop/probes.py:7"}
        ],
        "refused": [],
        "executed": [
            {"name": "audit.note", "arguments": {"cents": 100}, "reason": "a probe", "caller": "shop/probes.py:7"}
        ],
    }
    assert data["probes"][1]["traceback"] == TRACE


def test_what_was_refused_is_not_said_to_be_held_back() -> None:
    """In no format: it would not have been sent."""
    assert shown("text", REFUSING).endswith(
        "shop.probes.Pay.test_refuses would have executed: billing.charge(cents=100)\n"
        "shop.probes.Pay.test_refuses was refused: billing.refund(cents=100)\n"
    )
    (one,) = json.loads(shown("json", REFUSING))["probes"]
    names = {key: [effect["name"] for effect in one[key]] for key in ("held_back", "refused", "executed")}
    assert names == {"held_back": ["billing.charge"], "refused": ["billing.refund"], "executed": []}
    page = " ".join(_Page(shown("html", REFUSING)).text.split())
    assert "effect held back1" in page
    assert "Held back: would have executed billing.charge(cents=100) Refused billing.refund(cents=100)" in page
    families = {family.name: family for family in text_string_to_metric_families(shown("openmetrics", REFUSING))}
    (sample,) = families["sideeffects_probe_held_back_effects"].samples
    assert sample.value == 1


@pytest.mark.parametrize("results", [MIXED, GOOD, NONE, MIXED.without_details()])
def test_junit_keeps_to_the_schema(results: Results) -> None:
    """Also with nothing in it, and with no details."""
    SCHEMA.validate(shown("junit", results))


def test_the_schema_can_fail() -> None:
    """Or the test above would show nothing."""
    assert not SCHEMA.is_valid(shown("junit", MIXED).replace("<properties />", "", 1))
    assert not SCHEMA.is_valid(shown("junit", MIXED).replace('time="0.250"', 'time="-1"', 1))


def test_junit_tells_a_build_server_all() -> None:
    """As its parser reads it: a suite for each class, with what went wrong and what was held back."""
    suites = list(junitparser.JUnitXml.fromstring(shown("junit", MIXED).encode()))
    assert [(suite.name, suite.tests, suite.failures, suite.errors, suite.skipped) for suite in suites] == [
        ("Pay", 3, 2, 0, 0),
        ("Shelf", 2, 0, 1, 1),
        ("smoke", 1, 0, 1, 0),
    ]
    cases = {case.name: case for suite in suites for case in suite}
    assert cases["test_passes"].is_passed
    assert cases["test_skipped"].is_skipped
    (failure,) = cases["test_fails"].result
    assert (type(failure), failure.message, failure.text) == (junitparser.Failure, '<b> & "c"', TRACE)
    (error,) = cases["smoke"].result
    assert (type(error), error.message) == (junitparser.Error, "cannot be imported")
    assert cases["test_errors"].classname == "stock.smoke.Shelf"
    (output,) = (child.text for child in suites[0]._elem if child.tag == "system-out")
    assert "would have executed: billing.charge(cents=100)" in output


def test_prometheus_reads_the_metrics() -> None:
    """With its own parser: all in all, by outcome and for each probe; skipped ones have not failed."""
    families = {family.name: family for family in text_string_to_metric_families(shown("openmetrics", MIXED))}
    assert {family.type for family in families.values()} == {"gauge"}
    values = {
        (sample.name.removeprefix("sideeffects_"), *sorted(sample.labels.values())): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert values["probes_up",] == 0
    assert values["probes_duration_seconds",] == 1.5
    assert values["probes_started_timestamp_seconds",] == STARTED.timestamp()
    assert [values["probes", outcome] for outcome in ("passed", "failed", "errored", "skipped")] == [1, 2, 2, 1]
    assert values["probe_success", "shop", "shop.probes.Pay.test_passes"] == 1
    assert values["probe_success", "stock", "stock.smoke.Shelf.test_errors"] == 0
    assert values["probe_success", "old", "old.smoke"] == 0
    assert ("probe_success", "stock", "stock.smoke.Shelf.test_skipped") not in values
    assert values["probe_duration_seconds", "shop", "shop.probes.Pay.test_fails"] == 0.25
    assert values["probe_held_back_effects", "shop", "shop.probes.Pay.test_passes"] == 1
    for results, up in ((GOOD, 1), (NONE, 1)):
        first = next(iter(text_string_to_metric_families(shown("openmetrics", results))))
        assert first.samples[0].value == up
    in_files = [family.samples for family in older_format(shown("openmetrics", MIXED))]
    assert in_files == [family.samples for family in families.values()], (
        "the node exporter reads files of the older format"
    )


def test_probes_of_one_name_are_one_series() -> None:
    """`suite()` may pick a method several times: the worst outcome counts, and times and effects are added up."""
    name = "shop.probes.Url.test_up"
    several = (
        probe(name, ProbeOutcome.PASSED, effects=(HELD,)),
        probe(name, ProbeOutcome.ERRORED),
        probe(name, ProbeOutcome.SKIPPED),
    )
    results = Results((*several, probe("shop.probes.Url.test_idle", ProbeOutcome.SKIPPED)), STARTED, 1.0)
    families = {family.name: family for family in text_string_to_metric_families(shown("openmetrics", results))}
    values = {
        (key, sample.labels["probe"].rpartition(".")[2]): sample.value
        for key in ("success", "duration_seconds", "held_back_effects")
        for sample in families[f"sideeffects_probe_{key}"].samples
    }
    assert values == {
        ("success", "test_up"): 0,
        ("duration_seconds", "test_up"): 0.75,
        ("duration_seconds", "test_idle"): 0.25,
        ("held_back_effects", "test_up"): 1,
        ("held_back_effects", "test_idle"): 0,
    }
    lines = [line.rpartition(" ")[0] for line in shown("openmetrics", results).splitlines() if line[0] != "#"]
    assert len(lines) == len(set(lines))


def test_nothing_but_outcomes_is_left_without_details() -> None:
    """In every format: for a public page."""
    for name in FORMATS:
        text = shown(name, MIXED.without_details()).replace("<wbr>", "")
        for secret in ("&quot;c", '"c"', "no shelf", "not today", "Traceback", "billing", "audit.note", "A note"):
            assert secret not in text, f"{name} tells {secret}"
        assert "test_fails" in text


@pytest.mark.parametrize("name", ["html", "openmetrics"])
def test_effects_that_may_not_be_seen_are_not_counted_as_none(name: str) -> None:
    """Strangers do not read that no effect was held back where some were."""
    assert re.search(r"held.back", shown(name, MIXED))
    assert not re.search(r"held.back", shown(name, MIXED.without_details()))


class _Page(html.parser.HTMLParser):
    """The tags of a page that are open at its end, its text, and what it would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.loads: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "style", "srcset", "data")]
        if tag not in ("meta", "link", "input", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_says_all_and_loads_nothing() -> None:
    """Its tags are closed, what probes say is text, and its icon is part of it."""
    page = _Page(shown("html", MIXED))
    assert not page.open
    assert [load[:19] for load in page.loads] == ["data:image/svg+xml,"]
    for said in (
        "FAIL",
        "2 probes failed and 2 probes errored",
        '<b> & "c"',
        TRACE,
        "Held back: would have executed",
        "billing.charge(cents=100)",
        "Executed, since the probe forces it",
        "A note.",
        "Not all that was selected has been run.",
    ):
        assert said in page.text
    assert "1 probe passed" in _Page(shown("html", GOOD)).text
    assert "There are no probes" in _Page(shown("html", NONE)).text


ANYTHING = strategies.text(max_size=30)


@hypothesis.settings(max_examples=60)
@hypothesis.given(message=ANYTHING, name=ANYTHING, tag=ANYTHING, outcome=strategies.sampled_from(ProbeOutcome))
def test_no_message_breaks_a_format(message: str, name: str, tag: str, outcome: ProbeOutcome) -> None:
    """Whatever an exception says, or a class made at run time is called: control characters, quotes, surrogates."""
    one = ProbeResult(f"a.B.test_{name}", name, "a", "B", f"test_{name}", outcome, message, message, 0.1, (), (tag,))
    results = Results((one,), STARTED, 0.1)
    assert json.loads(shown("json", results))["probes"][0]["message"] == message
    junit = junitparser.JUnitXml.fromstring(shown("junit", results).encode("utf-8", "replace"))
    assert junit.tests == 1 or sum(suite.tests for suite in junit) == 1
    families = list(text_string_to_metric_families(shown("openmetrics", results)))
    (sample,) = next(family for family in families if family.name == "sideeffects_probe_duration_seconds").samples
    assert sample.labels["app"] == name
    page = _Page(shown("html", results))
    assert not page.open
    assert (message in page.text) or not message
