"""The files that are published, built once for the tests of this folder."""

import pytest

from tests.support.distributions import Built, build


@pytest.fixture(scope="package")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The sdist and the wheel."""
    return build(tmp_path_factory.mktemp("dist"))
