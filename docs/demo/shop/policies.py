"""Rules that decide on a call by its arguments; `SIDE_EFFECTS["POLICY"]` names them by their dotted path."""

from collections.abc import Mapping
from typing import Any

from sideeffects import Mode, SideEffect

OUR_PHONES = {"+44 20 7946 0000", "+44 20 7946 0001"}


def only_our_phones(_effect: SideEffect, arguments: Mapping[str, Any]) -> Mode:
    """Staging sends texts to our own phones; those to anybody else are only written down."""
    return Mode.EXECUTE if arguments["to"] in OUR_PHONES else Mode.RECORD
