"""What happens to what is found (by the guard, or inside a transaction): nothing, a warning, a refusal."""

from __future__ import annotations

from typing import Final

OFF: Final = "off"
WARN: Final = "warn"
RAISE: Final = "raise"
LEVELS: Final = (OFF, WARN, RAISE)
