"""What the suites of probes share."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.postgres_server import postgres_server


@pytest.fixture(scope="module")
def postgres() -> Iterator[dict[str, Any]]:
    """A database of each suite's own: they count its sessions."""
    with postgres_server() as database:
        yield database
