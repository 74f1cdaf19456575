"""Results of effects that ran in a worker, on their way back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

logger: Final = logging.getLogger("sideeffects")


def packable(name: str, result: Any, pack: Callable[[Any], object]) -> Any:
    """The result, if it can be stored. The effect has run: a task that fails now would say that it did not.

    Args:
        name: the effect's name.
        result: what it has returned.
        pack: packs it as its queue will; what it raises, it cannot.
    """
    try:
        pack(result)
    except Exception as error:  # noqa: BLE001 - serializers raise whatever they like
        logger.warning("side effect %s returned a %s, which cannot travel: %s", name, type(result).__name__, error)
        return None
    return result
