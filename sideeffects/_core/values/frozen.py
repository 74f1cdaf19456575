"""Frozen values, made without compiling anything.

A frozen dataclass of sixteen fields takes a millisecond to be made, at each import of the package, and its module half
of one: together a fifth of what importing costs. What it gives is written here once, for all. Named tuples are no way
out: theirs is the slowest attribute that there is, and each call looks into a few of these.
"""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn, Self, dataclass_transform


class _FrozenType(type):
    """Makes slots of the annotations of a class."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _FrozenType:
        fields = tuple(field for field in namespace.get("__annotations__", ()) if not field.startswith("_"))
        namespace["_defaults"] = {field: namespace.pop(field) for field in fields if field in namespace}
        namespace["__slots__"] = namespace["_fields"] = fields
        return super().__new__(cls, name, bases, namespace)


@dataclass_transform(frozen_default=True)
class Frozen(metaclass=_FrozenType):
    """A value whose fields are the annotations of its class, with their defaults: as a frozen dataclass with slots."""

    _fields: ClassVar[tuple[str, ...]]
    _defaults: ClassVar[dict[str, Any]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        fields = self._fields
        if kwargs or len(args) != len(fields):
            args = self._all(args, kwargs)
        for field, value in zip(fields, args, strict=True):
            object.__setattr__(self, field, value)

    def _all(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """The values of all fields, in their order."""
        fields = self._fields
        given = {**dict(zip(fields, args, strict=False)), **kwargs}
        if len(given) != len(args) + len(kwargs) or given.keys() - fields:
            raise TypeError(f"{type(self).__name__} takes the fields {', '.join(fields)}, each of them once")
        values = {**self._defaults, **given}
        if len(values) != len(fields):
            missing = ", ".join(field for field in fields if field not in values)
            raise TypeError(f"{type(self).__name__} needs {missing}")
        return tuple(values[field] for field in fields)

    def replace(self, **changes: Any) -> Self:
        """The same value with some fields changed, as `dataclasses.replace` gives it."""
        return type(self)(**{**dict(zip(self._fields, self._values(), strict=True)), **changes})

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise _frozen(f"a {type(self).__name__} is frozen: {name!r} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise _frozen(f"a {type(self).__name__} is frozen: {name!r} cannot be deleted")

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, field) for field in self._fields)

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        shown = (f"{field}={getattr(self, field)!r}" for field in self._fields)
        return f"{type(self).__name__}({', '.join(shown)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._values()


def _frozen(message: str) -> AttributeError:
    """The error that a frozen dataclass raises; imported when it is needed."""
    from dataclasses import FrozenInstanceError

    return FrozenInstanceError(message)
