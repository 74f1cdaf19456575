"""Which code a plan was made by, as another process tells it as well."""

from typing import Any

from django.core.management.base import BaseCommand

from sideeffects import side_effect
from sideeffects.dryrun.made_by import code_of
from sideeffects.testing import isolated_registry


def digest(client: object, most: int) -> str:
    """That of a process whose effect has these defaults."""
    with isolated_registry():

        @side_effect(name="sms.send")
        def send(to: str, client: Any = client, most: int = most) -> None:
            """Send."""

        return code_of(BaseCommand())["effects"]


def test_another_process_with_the_same_code_tells_the_same() -> None:
    """Its objects stand at other addresses, so they are told by their kind; plain values are told as they are."""
    one, other = object(), object()
    assert digest(one, 10) == digest(other, 10)
    assert digest(one, 10) != digest(one, 20)
    assert digest(one, 10) != digest("sandbox", 10)
