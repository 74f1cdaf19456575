"""What a call was given, redacted wherever it shows; assertions compare the true values."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, cast

from sideeffects._core.calls.effect import SideEffect
from sideeffects._core.calls.outcome import error_to_record
from sideeffects._core.calls.row import Besides
from sideeffects._core.values import describe, kinds, redaction, scrubbing
from sideeffects._core.values.sensitive_names import is_sensitive

#: Characters of one detail that a line shows.
_SHOWN: Final = 200


class Given:
    """What a call was given, and what is said of it besides: the part of a `Call` that may hold secrets."""

    __slots__ = ("_args", "_besides", "_bound", "_effect", "_instance", "_kwargs", "_names")

    _effect: SideEffect
    _bound: dict[str, Any]
    _args: tuple[Any, ...]
    _kwargs: dict[str, Any]
    _instance: Any
    _names: frozenset[str]
    _besides: Besides

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments by parameter, defaults applied, redacted."""
        return self._shown(self._bound)

    @property
    def asked(self) -> Mapping[str, Any] | None:
        """The arguments that were given, where a redirect has changed them; `None` where nothing was changed."""
        return None if self._besides.asked is None else self._shown(self._besides.asked)

    @property
    def details(self) -> Mapping[str, Any] | BaseException | None:
        """What the effect's `details` says of the call, redacted; what it raised; `None` without one."""
        details = self._besides.details
        if details is None or isinstance(details, BaseException):
            return details
        return MappingProxyType(
            {name: kinds.REDACTED if self._hides(name) else self._clean(value) for name, value in details.items()}
        )

    @property
    def details_shown(self) -> str:
        """The details in words, as they stand behind the call's arguments; empty without any."""
        details = self.details
        if details is None:
            return ""
        if isinstance(details, BaseException):
            return f"; details raised {': '.join(error_to_record(details, self.scrubbed))}"
        return "".join(f"; {name}={describe.describe(value, _SHOWN)}" for name, value in details.items())

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments by position, without defaults; as a redirect has changed them. Redacted."""
        hidden = self._hidden_positions()
        return tuple(
            kinds.REDACTED if position in hidden else self._clean(value) for position, value in enumerate(self._args)
        )

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """The arguments by keyword, without defaults; as a redirect has changed them. Redacted."""
        return MappingProxyType(
            {name: kinds.REDACTED if self._hides(name) else self._clean(value) for name, value in self._kwargs.items()}
        )

    @property
    def instance(self) -> Any:
        """The object that the effect was called on, the class for class methods, `None` for functions."""
        return self._instance

    @property
    def by_reference(self) -> tuple[str, ...]:
        """Paths of the arguments that could not be copied, so that they show what they are now."""
        return self._besides.by_reference

    def true_argument(self, name: str) -> Any:
        """The unredacted value, for comparing in assertions; `KeyError` when there is none of that name."""
        if name in self._bound:
            return self._bound[name]
        return self._extras()[name]

    def true_given(self, name: str) -> Any:
        """The unredacted value that was given for a parameter, whatever a redirect has made of it."""
        return (self._bound if self._besides.asked is None else self._besides.asked)[name]

    def has_argument(self, name: str) -> bool:
        """Whether `true_argument(name)` would find one."""
        return name in self._bound or name in self._extras()

    def hides(self, name: str) -> bool:
        """Whether the value of that parameter is sensitive."""
        return self._hides(name)

    @property
    def sensitive_names(self) -> frozenset[str]:
        """The further sensitive names, normalised, that held when the call was made (`SIDE_EFFECTS["SENSITIVE"]`)."""
        return self._names

    def scrubbed(self, text: str) -> str:
        """`text` without this call's sensitive values: for what others have written, such as an exception's message."""
        attributes = self._attributes()
        secrets = set(scrubbing.secrets_in(attributes, self._names)) if attributes else set()
        for name, value in (*self._bound.items(), *self._extras().items(), *self._said_besides()):
            if self._hides(name):
                secrets.update(scrubbing.texts_in(value))
            elif type(value) not in kinds.SCALARS:  # most are
                secrets.update(scrubbing.secrets_in(value, self._names))
        return scrubbing.scrub(text, secrets) if secrets else text

    def _details_record(self) -> Any:
        """The details as JSON-safe data: a mapping, or a list of what an exception is called and says."""
        details = self.details
        if isinstance(details, BaseException):
            return error_to_record(details, self.scrubbed)
        return None if details is None else as_json(details)

    def _said_besides(self) -> list[tuple[str, Any]]:
        """What else has names: the arguments that a redirect has changed, and the details."""
        details = self._besides.details
        said = [*(self._besides.asked or {}).items()]
        return said if details is None or isinstance(details, BaseException) else [*said, *details.items()]

    def _shown(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return MappingProxyType(
            {
                name: kinds.REDACTED if self._hides(name) else self._clean_argument(name, value)
                for name, value in arguments.items()
            }
        )

    def _hides(self, name: str) -> bool:
        sensitive = self._effect.sensitive
        if name in sensitive or is_sensitive(name, self._names):
            return True
        return name not in self._bound and self._extra_keywords() in sensitive

    def _clean_argument(self, name: str, value: Any) -> Any:
        if type(value) is dict and name == self._extra_keywords():
            return {key: kinds.REDACTED if self._hides(key) else self._clean(child) for key, child in value.items()}
        return self._clean(value)

    def _clean(self, value: Any) -> Any:
        return redaction.redact(value, self._names)

    def _extra_keywords(self) -> str:
        signature = self._effect.signature
        if signature is not None:
            for parameter in signature.parameters.values():
                if parameter.kind is parameter.VAR_KEYWORD:
                    return parameter.name
        return "kwargs"

    def _attributes(self) -> Mapping[str, Any]:
        """What a method's instance holds: its errors may quote it."""
        given: object = {} if kinds.is_lazy(type(self._instance)) else getattr(self._instance, "__dict__", {})
        return cast(Mapping[str, Any], given) if type(given) is dict else {}

    def _extras(self) -> Mapping[str, Any]:
        """The keyword arguments that the function takes under no parameter of their own."""
        extras: object = self._bound.get(self._extra_keywords())
        return cast(Mapping[str, Any], extras) if type(extras) is dict else {}

    def _hidden_positions(self) -> frozenset[int]:
        """Positions in `args` that hold sensitive parameters: `bound` has them in the signature's order."""
        signature = self._effect.signature
        if signature is None:
            return frozenset()
        names = [name for name in signature.parameters if name in self._bound]
        hidden: set[int] = set()
        for position, name in enumerate(names):
            kind = signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                if self._hides(name):
                    hidden.update(range(position, len(self._args)))
                break
            if self._hides(name):
                hidden.add(position)
        return frozenset(hidden)


def as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: describe.jsonable(value) for name, value in values.items()}
