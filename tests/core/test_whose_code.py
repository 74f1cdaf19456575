"""Whose code a file is, and whether that code calls what it was handed."""

from __future__ import annotations

import asyncio.events
import os
import sys
import threading
from pathlib import Path

import asgiref.sync
import django.dispatch.dispatcher
import pytest

from sideeffects._core.state import threads
from sideeffects._core.values import whose_code
from sideeffects._core.values.callers import NOBODY
from sideeffects._core.values.whose_code import HIDDEN, LIBRARY, OWN, PACKAGE, hands_on, is_own, kind_of

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(sys.executable)), "pytest")


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        (__file__, OWN),
        ("<stdin>", OWN),
        ("<doctest shop[0]>", OWN),
        ("<frozen importlib._bootstrap>", HIDDEN),
        (threads.__file__, HIDDEN),
        (SCRIPT, HIDDEN),
        (asgiref.sync.__file__, PACKAGE),
        ("/usr/lib/python3/dist-packages/apt/cache.py", PACKAGE),
        (threading.__file__, LIBRARY),
    ],
)
def test_whose_a_file_is(file: str, kind: int) -> None:
    """The user's is what is neither installed, nor of Python, nor ours."""
    assert kind_of(file) == kind
    assert kind_of(file) == kind  # asked again


@pytest.mark.parametrize(
    ("file", "answer"),
    [
        (__file__, False),
        ("/anywhere/site-packages/shop/views.py", False),
        (django.dispatch.dispatcher.__file__, True),
        (asgiref.sync.__file__, True),
        (asyncio.events.__file__, True),
        (threading.__file__, True),
        (threads.__file__, True),
        (NOBODY.co_filename, True),
    ],
)
def test_what_calls_what_it_was_handed(file: str, answer: bool) -> None:
    """Python itself, some packages, and ours; an installed app calls effects of its own."""
    assert hands_on[file] is answer


def test_a_text_that_is_run_is_the_users_in_the_main_module() -> None:
    """`python -c` is; what dataclasses compile is not."""
    frames = []
    for module in ("__main__", "shop"):
        exec(
            compile("add(frame())", "<string>", "exec"),
            {"__name__": module, "add": frames.append, "frame": sys._getframe},
        )
    assert list(map(is_own, frames)) == [True, False]


def test_a_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is left as it is."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert whose_code.absolute("shop/views.py") == "shop/views.py"
