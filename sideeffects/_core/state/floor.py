"""`SIDE_EFFECTS_MODE` in the environment: no decision of this process, or of one that it starts, is looser.

It is read once, when the package is first imported: what changes the variable later changes it for children alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from sideeffects._core.calls.decision import Decision, Mode

VARIABLE: Final = "SIDE_EFFECTS_MODE"
_MODES: Final = {mode.value: mode for mode in Mode if mode is not Mode.EXECUTE}


def floor_in(environment: Mapping[str, str]) -> Decision | None:
    """The decision that no other may be looser than; `None` where the variable is empty or not set.

    A value that is no mode refuses every call: somebody wanted nothing to happen.
    """
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return None
    mode = _MODES.get(text.lower())
    if mode is None:
        reason = f"{VARIABLE} is {text!r}, which is not one of {', '.join(_MODES)}, and doubt never executes"
        return Decision(Mode.RAISE, reason, f"{VARIABLE} in the environment")
    return Decision(mode, f"{VARIABLE} is {mode.value}", f"{VARIABLE} in the environment")


at_start: Final = floor_in(os.environ)
