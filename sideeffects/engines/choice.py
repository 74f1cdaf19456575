"""Which engine runs the background: what `SIDE_EFFECTS["ENGINE"]` says."""

from __future__ import annotations

import importlib
from typing import Any, Final

from sideeffects._core.state.extension_points import Engine
from sideeffects._core.state.state import state
from sideeffects.engines import embedded
from sideeffects.errors import SideEffectError

#: The engines that come with the library, by their module.
MODULES: Final = {
    "threads": "sideeffects.engines.threads",
    "celery": "sideeffects.engines.celery",
    "django_tasks": "sideeffects.engines.django_tasks",
    "dramatiq": "sideeffects.engines.dramatiq",
    "huey": "sideeffects.engines.huey",
    "rq": "sideeffects.engines.rq",
}

_made: Final[dict[str, Engine]] = {}


def engine() -> Engine:
    """The engine that the settings name; the threads of this process where they name none.

    Raises:
        SideEffectError: there is no such engine, with the reason.
    """
    name = state.rules_source().engine
    if name == "threads":
        return embedded()
    if name in MODULES:
        try:
            module = importlib.import_module(MODULES[name])
        except ImportError as error:
            raise SideEffectError(f"SIDE_EFFECTS['ENGINE'] is {name!r}, which cannot be imported: {error}") from error
        found: Engine = module.engine()
        return found
    return engine_at(name)


def engine_at(path: str) -> Engine:
    """The engine at a dotted path: an engine, or a class or function that makes one. It is made once.

    Raises:
        SideEffectError: there is none.
    """
    if path not in _made:
        module, _, attribute = path.rpartition(".")
        try:
            found: Any = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise SideEffectError(f"SIDE_EFFECTS['ENGINE']: there is no engine at {path!r}: {error}") from error
        if isinstance(found, type) or not hasattr(found, "submit"):
            found = found() if callable(found) else found
        if not (callable(getattr(found, "check", None)) and callable(getattr(found, "submit", None))):
            raise SideEffectError(
                f"SIDE_EFFECTS['ENGINE']: {path!r} gives {found!r}, which is no engine: an engine has the methods "
                f"check(parcel) and submit(parcel, handle, work)"
            )
        _made[path] = found
    return _made[path]
