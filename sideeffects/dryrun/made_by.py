"""What a plan was made by: which code, and on which databases. Another one of either makes another plan."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import os
import platform
from typing import Any

import django
from django.db import connections

from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.calls.registry import function_of, registry
from sideeffects._core.values.kinds import is_scalar


def code_of(command: object) -> dict[str, str]:
    """The versions that count, and digests of the declared effects and of the command's module.

    Args:
        command: the management command.
    """
    effects = hashlib.sha256()
    for name, effect in registry.items():
        said = (name, effect.dotted_path, effect.kind, _parameters(effect), effect.on_commit, effect.reads)
        effects.update(f"{said}\n{_source_of(function_of(name))}".encode())
    return {
        "sideeffects": _version(),
        "django": django.get_version(),
        "python": platform.python_version(),
        "effects": effects.hexdigest()[:32],
        "command": hashlib.sha256(_source_of(inspect.getmodule(type(command))).encode()).hexdigest()[:32],
    }


def _parameters(effect: SideEffect) -> list[tuple[str, str, str]] | None:
    """Name, kind and default of each, as any process tells them: what an object shows may be its address."""
    if effect.signature is None:
        return None
    return [
        (one.name, one.kind.name, repr(one.default) if is_scalar(kind := type(one.default)) else kind.__qualname__)
        for one in effect.signature.parameters.values()
    ]


def _version() -> str:
    try:
        return importlib.metadata.version("sideeffects")
    except importlib.metadata.PackageNotFoundError:  # a copy that was not installed
        return "not installed"


def databases() -> dict[str, str]:
    """Where the databases are, by alias; without users and passwords."""
    return {alias: _where(connections[alias]) for alias in connections}


def _where(connection: Any) -> str:
    settings = connection.settings_dict
    name = str(settings["NAME"])
    if connection.vendor == "sqlite":
        return f"sqlite {name if connection.is_in_memory_db() else os.path.realpath(name)}"
    place = ":".join(str(settings[part]) for part in ("HOST", "PORT") if settings.get(part))
    return f"{connection.vendor} {name}" + (f" at {place}" if place else "")


def _source_of(thing: Any) -> str:
    try:
        return inspect.getsource(inspect.unwrap(thing) if callable(thing) else thing)
    except (OSError, TypeError):  # typed in, or written in C
        return ""
