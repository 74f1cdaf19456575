"""A declared effect: its name, what was said of it, and where it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SideEffect:
    """A declared effect.

    Attributes:
        name: its unique dotted name.
        dotted_path: `module:qualified.name` of the function.
        kind: `function`, `coroutine function`, `generator`, `async generator`, `context manager`,
            `async context manager`, `classmethod`, `staticmethod` or `callable object`.
        file: absolute path of the source file, empty when there is none.
        line: line of the definition (1-based; 0 when unknown).
        signature: the function's signature, `None` when Python cannot tell.
        doc: first line of the docstring.
        docstring: the whole docstring, cleaned of indentation.
        async_ok: whether it may run in the background.
        on_commit: whether an executing call waits for the commit: `True`, a database alias, or `False`.
        in_transaction: `True` when it is meant to run inside a transaction.
        raises: the exceptions that it is known to raise.
        sensitive: parameters whose values are redacted.
        tags: free labels, matched by `tag:x` policies and `side_effects --tag`.
        owner: who answers for it.
        reads: whether it only reads from the outside, so that dry runs and probes may execute it.
        details: called with a call's arguments; what it returns is kept as `Call.details`.
        short_name: the function's `__name__`.

    Example:
        >>> send_sms.effect.name, send_sms.effect.async_ok
        ('sms.send', True)
    """

    name: str
    dotted_path: str
    kind: str
    file: str
    line: int
    signature: inspect.Signature | None
    doc: str
    docstring: str = ""
    async_ok: bool = False
    on_commit: bool | str = False
    in_transaction: bool | None = None
    raises: tuple[type[BaseException], ...] = ()
    sensitive: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    owner: str = ""
    reads: bool = False
    details: Callable[..., Mapping[str, Any]] | None = None
    short_name: str = ""

    @property
    def location(self) -> str:
        """The file and line of its definition, with a colon between them."""
        return f"{self.file or self.dotted_path}:{self.line}"
