"""`declare`: making effects of functions that somebody else wrote."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from sideeffects._core.calls import registry
from sideeffects._core.state import import_hooks
from sideeffects._core.verbs import decorator, proxies, targets
from sideeffects.errors import DeclarationError

_MISSING: Final = object()

#: Targets that have not been found yet, each with what declares it in its module.
_waiting: Final[dict[str, Callable[[ModuleType], None]]] = {}

#: All targets that were ever declared here, each with its name and options: other processes declare them as well.
declarations: Final[dict[str, tuple[str | None, dict[str, Any]]]] = {}


def declare(target: str, name: str | None = None, **options: Any) -> None:
    """Declare a function that you don't own, when its module is imported; at once if it already is.

    Args:
        target: `package.module:function` or `package.module:Class.method`.
        name: as for `side_effect`.
        **options: as for `side_effect`.

    Raises:
        ValueError: the target or the name is malformed.
        DeclarationError: there is no such target (raised when its module is imported), or a module had already
            imported the undeclared function under its own name.
        DuplicateSideEffect: another function has the name.

    Example:
        >>> declare("gateway:Client.send", name="gateway.send", sensitive=["body"])
        >>> explain("gateway.send").mode
        <Mode.RECORD: 'record'>
    """
    module, _, path = target.partition(":")
    if not targets.is_target(target):
        raise ValueError(f"{target!r} is no target: write 'package.module:function' or 'package.module:Class.method'")
    if name is not None:
        registry.check_name(name)
    unknown = options.keys() - decorator.OPTIONS
    if unknown:
        raise TypeError(f"declare() has no option {min(unknown)!r}")
    is_refused = False

    def apply(found: ModuleType) -> None:
        if not is_refused:
            _apply(found, target=target, path=path, name=name, options=options)

    _waiting[target] = apply
    try:
        import_hooks.after_import(module, apply)
    except BaseException:
        # The error is raised here, at once: this target no longer waits, so that no later import fails as well.
        is_refused = True
        _waiting.pop(target, None)
        raise
    declarations[target] = (name, options)


def waiting() -> tuple[str, ...]:
    """The targets whose modules have not been imported, or were not found in them."""
    return tuple(_waiting)


def find(target: str) -> None:
    """Import the module of a waiting target, so that it gets declared.

    Raises:
        Exception: whatever keeps the module from being imported, or the target from being declared.
    """
    module = importlib.import_module(target.partition(":")[0])
    # The import has done it, unless somebody put the module into `sys.modules` by hand.
    apply = _waiting.get(target)
    if apply is not None:
        apply(module)


def _apply(module: ModuleType, *, target: str, path: str, name: str | None, options: dict[str, Any]) -> None:
    if target in targets.whole:
        targets.whole[target](module, name, options.get("returns"), _without_returns(options))
        _waiting.pop(target, None)
        return
    owner, attribute, raw = _find(module, path)
    if decorator.adapter_for(raw) is not None:
        # A task stays the same object: code that holds it already goes through the decision from now on.
        effect_name = name or f"{module.__name__}.{path}"
        function = decorator.decorate(raw, effect_name, options.get("returns"), _without_returns(options))
        if function is not raw:
            setattr(owner, attribute, function)
        _waiting.pop(target, None)
        return
    if isinstance(raw, proxies.EffectFunction):
        known = raw.effect.name
        if name is None or known == name:
            # Entered again: the registry may be another one than it was declared in (`isolated_registry`).
            registry.store.add(raw.effect, raw)
            _waiting.pop(target, None)
            return
        raise DeclarationError(f"{module.__name__}:{path} is a side effect already, named {known!r}")
    effect_name = name or f"{module.__name__}.{path}"
    _refuse_aliases(module, path, owner, raw, effect_name)
    _refuse_unsettable(module, path, owner, attribute, raw)
    function = decorator.decorate(raw, effect_name, options.get("returns"), _without_returns(options))
    setattr(owner, attribute, function)
    _waiting.pop(target, None)


def _refuse_unsettable(module: ModuleType, path: str, owner: Any, attribute: str, raw: Any) -> None:
    # A function of its own: behind a `try`, Python 3.14 counts one reference to `raw` more; see `registered.holder_of`.
    try:
        setattr(owner, attribute, raw)
    except (AttributeError, TypeError) as error:
        raise DeclarationError(
            f"{module.__name__}:{path} cannot be declared: {error}. Wrap it in a function of yours, and declare that"
        ) from error


def _without_returns(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != "returns"}


def _find(module: ModuleType, path: str) -> tuple[Any, str, Any]:
    """The object that holds the target, the attribute's name, and the attribute as it stands there, unbound."""
    owner: Any = module
    *above, attribute = path.split(".")
    for part in above:
        found = getattr(owner, part, _MISSING)
        if found is _MISSING:
            raise _no_such(module, path, owner, part)
        owner = found
    raw = inspect.getattr_static(owner, attribute, _MISSING)
    if raw is _MISSING:
        raise _no_such(module, path, owner, attribute)
    if not isinstance(owner, ModuleType | type):
        # A method of one object: what is set on that object is not bound to it any more.
        raw = getattr(owner, attribute)
    return owner, attribute, raw


def _no_such(module: ModuleType, path: str, owner: Any, part: str) -> DeclarationError:
    names = [name for name in dir(owner) if not name.startswith("__")]
    import difflib  # for this message alone

    close = difflib.get_close_matches(part, names, n=1, cutoff=0.3)
    prefix = path.rpartition(part)[0]
    nearest = f"; the nearest is {module.__name__}:{prefix}{close[0]}" if close else ""
    return DeclarationError(f"there is no {module.__name__}:{path} to declare: no {part!r} in it{nearest}")


def _refuse_aliases(module: ModuleType, path: str, owner: Any, raw: Any, name: str) -> None:
    """A module that did `from smtplib import send` before would go on calling the undeclared function."""
    if not callable(raw) or owner is not module:
        return
    for holder, attribute in import_hooks.holders_of(raw):
        if holder is module and attribute == path:
            continue
        raise DeclarationError(
            f"{holder.__name__}.{attribute} is {module.__name__}:{path}, imported before it was declared as {name!r}: "
            f"calls through it would escape. Declare it before that import (in SIDE_EFFECTS['DECLARE'], or at the top "
            f"of the settings), or declare '{holder.__name__}:{attribute}' instead"
        )


def holders(function: Callable[..., Any]) -> list[str]:
    """The modules that hold a function under some name, as `module.attribute`."""
    return [f"{holder.__name__}.{attribute}" for holder, attribute in import_hooks.holders_of(function)]


def is_imported(target: str) -> bool:
    """Whether the module of a target has been imported."""
    return target.partition(":")[0] in sys.modules
