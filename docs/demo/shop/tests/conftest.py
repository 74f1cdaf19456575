"""At the end of a run: what the tests would have sent, had it not been a test run."""

from collections import Counter

import pytest

from sideeffects import Call, observe

counts: Counter[tuple[str, str]] = Counter()


def pytest_configure() -> None:
    """Count each call once it is finished."""
    observe(count)


def count(call: Call) -> None:
    """Take note of one call."""
    counts[call.name, call.mode.name] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts below the results."""
    terminalreporter.section("effects of these tests")
    for (name, mode), times in sorted(counts.items()):
        terminalreporter.write_line(f"{name:<20} {mode:<8} {times}")
