"""What a server reports a moment after it has happened."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def settled(measure: Callable[[], T], wanted: T) -> T:
    """What is measured, as soon as it is what is wanted, and after 30 seconds whatever it is by then."""
    deadline = time.monotonic() + 30
    while (found := measure()) != wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    return found
