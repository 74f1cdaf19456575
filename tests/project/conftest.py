"""What the tests of Django's side share."""

from pathlib import Path

import pytest

from tests.support.listed_project import listed_project
from tests.support.projects import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose app has one module of effects, which nothing imports."""
    return listed_project(tmp_path)
