"""An executing call on its way to a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__tracebackhide__ = True


@dataclass(frozen=True, slots=True, eq=False)
class Parcel:
    """An executing call on its way to a worker: by name and arguments, with what was decided.

    Attributes:
        id: the call's `id`, under which the worker adds the outcome.
        name: the effect's name.
        args: positional arguments.
        kwargs: keyword arguments.
        is_forced: whether a test named it, so that the worker's own test run does not hold it back.
        run_id: the run list that it belongs to.
        origin: what set the code going that has enqueued it.
        is_redirected: whether the arguments are those of a redirect already.
        held: where the call is kept that is meant, if it was held and has been released; then it has no arguments here.
        instance: what the function is bound to, if no worker would find that; it cannot travel.
    """

    id: str
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    is_forced: bool = False
    run_id: str | None = None
    origin: str = ""
    instance: object = None
    held: str | None = None
    is_redirected: bool = False

    def to_data(self) -> dict[str, Any]:
        """The parcel as JSON can carry it.

        Raises:
            TypeError: an argument, or the instance of a method, cannot travel; the message names it.
        """
        import json  # for what travels alone

        if self.instance is not None:
            of = self.instance if isinstance(self.instance, type) else type(self.instance)
            raise TypeError(
                f"side effect {self.name!r} cannot be enqueued: it is a method, and no worker would find the "
                f"{of.__name__} that it is bound to. Enqueue a function, and look the object up in it"
            )

        for label, value in (*((f"argument {n}", v) for n, v in enumerate(self.args, 1)), *self.kwargs.items()):
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise TypeError(
                    f"side effect {self.name!r} cannot be enqueued: {label} ({type(value).__name__}) cannot be "
                    f"serialised as JSON ({error}). Pass an id or a plain value, and look the object up in the effect"
                ) from None
        return {
            "id": self.id,
            "name": self.name,
            "args": list(self.args),
            "kwargs": dict(self.kwargs),
            "is_forced": self.is_forced,
            "run_id": self.run_id,
            "origin": self.origin,
            "held": self.held,
            "is_redirected": self.is_redirected,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Parcel:
        """The parcel that `to_data` packed."""
        return cls(
            data["id"],
            data["name"],
            tuple(data["args"]),
            dict(data["kwargs"]),
            data["is_forced"],
            data["run_id"],
            data.get("origin", ""),
            held=data.get("held"),
            is_redirected=data.get("is_redirected", False),
        )
