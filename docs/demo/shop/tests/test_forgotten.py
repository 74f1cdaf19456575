"""What reaches outside and is not declared is refused in tests, where it is called."""

import pytest

from shop.tests.careless import in_euros
from sideeffects.testing import UndeclaredSideEffect, guard


def test_a_call_that_nobody_has_declared_is_refused() -> None:
    """Before a name is looked up. The error has the line to write."""
    with guard("raise") as found, pytest.raises(UndeclaredSideEffect) as refused:
        in_euros(4200, "GBP")

    assert [(finding.what, finding.function) for finding in found] == [("rates.shop.invalid", "in_euros")]
    print(refused.value)
