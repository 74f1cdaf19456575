"""A Chromium for tests: the one that `playwright install chromium` has fetched, or else the system's."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from playwright.sync_api import Browser, Error, sync_playwright

from tests.conftest import IS_CI

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser. Without one the test is skipped, but never where the environment says `CI`."""
    with sync_playwright() as playwright:
        own = os.path.exists(playwright.chromium.executable_path)
        found = None if own else next(filter(None, map(shutil.which, NAMES)), None)
        # Inside containers, where tests often run as root, Chromium's own sandbox does not work.
        arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        try:
            browser = playwright.chromium.launch(executable_path=found, args=arguments)
        except Error as error:
            if IS_CI:
                raise
            pytest.skip(f"no Chromium runs here; `python -m playwright install chromium` fetches one ({error.message})")
        try:
            yield browser
        finally:
            browser.close()
