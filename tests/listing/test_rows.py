"""Effects as rows of the listing."""

from typing import Any

from sideeffects import side_effect
from sideeffects.listing.rows import Row
from sideeffects.testing import isolated_registry


class Later:
    """As Python 3.14 shows a name in an annotation that nothing defines yet."""

    def __repr__(self) -> str:
        return "list[ForwardRef('Order', owner=<function send at 0x7f52b676d2d0>)]"


def test_a_signature_reads_the_same_in_each_process() -> None:
    """Names that are defined later, or for type checkers only, stand as they are written."""

    def send(orders: Any, to: str = "ann") -> None:
        """Send."""

    send.__annotations__["orders"] = Later()
    with isolated_registry():
        effect = side_effect(name="sms.send")(send).effect
    assert Row(effect, None).signature == "(orders: list[Order], to: str = 'ann') -> None"
