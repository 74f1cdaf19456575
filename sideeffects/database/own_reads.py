"""What this package reads of databases for itself: a dry run that sees it has nothing to say of it."""

from __future__ import annotations

import contextvars
from typing import Final

#: Whether what this context reads is no part of the program that runs.
is_own: Final[contextvars.ContextVar[bool]] = contextvars.ContextVar("sideeffects_own_reads", default=False)
