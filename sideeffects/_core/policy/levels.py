"""What happens to what is found (by the guard, or inside a transaction): nothing, a warning, a refusal."""

from __future__ import annotations

import enum
from typing import Final


class Level(enum.StrEnum):
    OFF = "off"
    WARN = "warn"
    RAISE = "raise"


#: Named once: Python 3.11 finds the members of an enumeration by a function, and calls to the outside are compared.
OFF: Final = Level.OFF
WARN: Final = Level.WARN
RAISE: Final = Level.RAISE
#: As settings, markers and blocks say them.
LEVELS: Final = tuple(level.value for level in Level)
