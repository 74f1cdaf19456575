"""The page on troubleshooting by message is held to the messages in the source."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "messages.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module", name="messages")
def load() -> ModuleType:
    """The module that the docs' build reads the messages with."""
    spec = importlib.util.spec_from_file_location("docs_messages", ROOT / "docs" / "messages.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_message_has_an_entry(messages: ModuleType) -> None:
    """Whatever the code may say, the page lists it below words on what happened and what to do."""
    left_out = messages.by_name(PAGE)[""]
    assert not left_out, "\n".join(f"{found.file}:{found.line}: {found.text}" for found in left_out)


def test_each_entry_has_a_message(messages: ModuleType) -> None:
    """What the page names is there: no entry is about a module that was moved or says nothing any more."""
    found = messages.by_name(PAGE)
    assert [named for named, texts in found.items() if named and not texts] == []


def test_what_is_left_out_exists(messages: ModuleType) -> None:
    """The list of modules without messages names modules that there are."""
    assert [path for path in messages.NOT_MESSAGES if not (messages.PACKAGE / path).exists()] == []


def test_the_errors_of_the_package_are_among_them(messages: ModuleType) -> None:
    """The reader finds sentences wherever they stand: in an exception, a constant, a log line, a finding."""
    texts = "\n".join(found.text for found in messages.collect())
    for words in (
        "was refused",
        "no side effect is named",
        "has no docstring",
        "the test did not notice: the exception was swallowed on the way to it",
        "this run reached outside with no side effect declared",
        "a child process was started, in which nothing would be held back",
        "an event for Sentry could not be cleaned",
        "SIDE_EFFECTS has no key",
        "in_turn takes a list with one answer for each call",
    ):
        assert words in texts
