"""Settings -> rules. Read when needed; invalid settings raise and never fall back to executing.

This module is imported without Django; what needs Django imports it once Django has settings.
"""

from __future__ import annotations

import difflib
import importlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

from sideeffects import _import_hooks
from sideeffects._calls import Mode
from sideeffects._declare import declare
from sideeffects._decorator import OPTIONS
from sideeffects._ledger import DEFAULT_BOUND
from sideeffects._policy import Rule, Rules
from sideeffects._registry import EVERYTHING, check_name
from sideeffects._state import state
from sideeffects._values import normalise, snapshot
from sideeffects.errors import SideEffectError

KEYS: Final = (
    "MODE",
    "POLICY",
    "TEST_RUN",
    "FORCE_RUN",
    "DECLARE",
    "LEDGER",
    "ENGINE",
    "USE_SENTRY",
    "SENSITIVE",
    "PROBES",
    "GUARD",
    "TRANSACTIONS",
)

_MISSING: Final = object()

#: Without Django there are no settings. These may change when Django comes, which is noticed (`install`).
_NO_SETTINGS: Final = Rules(settled=True)


class SettingsNotReady(SideEffectError):
    """An effect was called while Django's settings were still being imported: no rule is known, nothing executes."""


class _Known(NamedTuple):
    """Rules, with what they were made from: the holder of the settings, and our settings as they were."""

    wrapped: object
    held: tuple[object, object]
    given: tuple[object, object]
    copied: tuple[object, object]
    rules: Rules


_NOTHING_KNOWN: Final = _Known(None, (_MISSING, _MISSING), (None, None), (None, None), _NO_SETTINGS)


class _Cache:
    """The rules last made. They are replaced as one, so that no thread reads half of a change."""

    def __init__(self) -> None:
        self.known = _NOTHING_KNOWN
        self.declared: set[str] = set()
        self.follows = False


_cache: Final = _Cache()


def install() -> None:
    """Let decisions read the settings, and notice when Django comes."""
    state.rules_source = current_rules
    _import_hooks.after_import("django.conf", lambda module: state.disturb())
    conf = sys.modules.get("django.conf")
    if conf is not None and conf.settings.configured:
        current_rules()


def current_rules() -> Rules:
    """The rules that hold now.

    Raises:
        ImproperlyConfigured: the settings are invalid.
        SettingsNotReady: they are being imported at this moment.
    """
    conf = sys.modules.get("django.conf")
    if conf is None:
        if not os.environ.get("DJANGO_SETTINGS_MODULE") or find_spec("django") is None:
            return _NO_SETTINGS
        conf = importlib.import_module("django.conf")
    settings = conf.settings
    wrapped = settings._wrapped
    known = _cache.known
    if wrapped is known.wrapped and _held(wrapped) == known.held and known.given == known.copied:
        return known.rules
    return _load(settings)


def _held(wrapped: Any) -> tuple[object, object]:
    """Our settings as they stand in the innermost holder: `override_settings` puts a new holder on top."""
    own = wrapped.__dict__
    return own.get("SIDE_EFFECTS", _MISSING), own.get("FORCE_RUN_SIDE_EFFECTS", _MISSING)


def _load(settings: Any) -> Rules:
    if not settings.configured:
        name = os.environ.get("DJANGO_SETTINGS_MODULE")
        if not name:
            return _UNCONFIGURED
        if getattr(getattr(sys.modules.get(name), "__spec__", None), "_initializing", False):
            raise SettingsNotReady(
                f"a side effect was called while the settings module {name} was being imported; nothing was executed. "
                f"Call it later, for example in AppConfig.ready()"
            )
        getattr(settings, "SIDE_EFFECTS", None)  # imports them
    # All of it from one holder: settings that change meanwhile have another, and are then read again.
    wrapped = settings._wrapped
    held = _held(wrapped)
    given = raw, legacy = getattr(wrapped, "SIDE_EFFECTS", None), getattr(wrapped, "FORCE_RUN_SIDE_EFFECTS", None)
    copied = snapshot(raw, "", {}, []), snapshot(legacy, "", {}, [])
    rules = rules_from(raw, legacy)
    with state.lock:
        apply_declarations(raw)
        _follow_changes()
        _cache.known = _Known(wrapped, held, given, copied, rules)
        state.ledger.bound = rules.max_calls
        state.disturb()
    return rules


#: Django is there and has no settings yet: they may come without notice, so nothing may rely on these.
_UNCONFIGURED: Final = Rules()


def _follow_changes() -> None:
    if not _cache.follows:
        _cache.follows = True
        from django.core.signals import setting_changed

        from sideeffects import abandoned

        setting_changed.connect(_changed, dispatch_uid="sideeffects")
        abandoned.install()


def _changed(**kwargs: Any) -> None:
    _cache.known = _NOTHING_KNOWN
    state.disturb()


def apply_declarations(raw: Any) -> None:
    """Declare what `SIDE_EFFECTS["DECLARE"]` lists, each once."""
    for target, options in _declarations((raw or {}).get("DECLARE")):
        if target not in _cache.declared:
            declare(target, **options)
            _cache.declared.add(target)


# -- reading and checking


def rules_from(raw: Any, legacy: Any) -> Rules:
    """The rules that `SIDE_EFFECTS` and `FORCE_RUN_SIDE_EFFECTS` spell.

    Raises:
        ImproperlyConfigured: with every problem that `problems` finds.
    """
    found = problems(raw, legacy)
    if found:
        from django.core.exceptions import ImproperlyConfigured

        raise ImproperlyConfigured("\n".join(found))
    given = raw or {}
    ledger = given.get("LEDGER")
    return Rules(
        mode=_mode(given.get("MODE")),
        policy=tuple(
            Rule(pattern, _verdict(value), f'settings.SIDE_EFFECTS["POLICY"][{pattern!r}]')
            for pattern, value in (given.get("POLICY") or {}).items()
        ),
        force_run=_names(given.get("FORCE_RUN")),
        force_run_legacy=frozenset(_names(legacy)),
        test_run=bool(given.get("TEST_RUN", False)),
        sensitive=frozenset(normalise(name) for name in given.get("SENSITIVE") or ()),
        max_calls=ledger.get("MAX_CALLS", DEFAULT_BOUND) if isinstance(ledger, Mapping) else DEFAULT_BOUND,
        settled=True,
    )


def problems(raw: Any, legacy: Any) -> list[str]:
    """What is wrong with these settings, a sentence each."""
    if raw is not None and not isinstance(raw, Mapping):
        return [f"SIDE_EFFECTS must be a dict, not {raw!r}"]
    given = raw or {}
    found = []
    for key in given:
        if key not in KEYS:
            close = difflib.get_close_matches(str(key), KEYS, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; the keys are {', '.join(KEYS)}"
            found.append(f"SIDE_EFFECTS has no key {key!r}{hint}")
    for key, check in _CHECKS.items():
        if given.get(key) is not None:
            found += [f"SIDE_EFFECTS[{key!r}]: {problem}" for problem in check(given[key])]
    if legacy is not None:
        found += [f"FORCE_RUN_SIDE_EFFECTS: {problem}" for problem in _check_legacy(legacy)]
    return found


_MODES: Final = "EXECUTE, RECORD, RAISE"


def _mode(value: Any) -> Mode | None:
    return None if value is None else Mode(value)


def _check_mode(value: Any) -> list[str]:
    try:
        Mode(value)
    except ValueError:
        return [f"{value!r} is no mode; the modes are {_MODES}"]
    return []


def _verdict(value: Any) -> Mode | Callable[..., object]:
    if isinstance(value, str) and value.upper() not in Mode.__members__:
        return DottedPolicy(value)
    if isinstance(value, Mode | str):
        return Mode(value)
    policy: Callable[..., object] = value
    return policy


class DottedPolicy:
    """A policy function named by its dotted path, imported when it is first asked."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, *args: Any) -> object:
        return self.resolve()(*args)

    def resolve(self) -> Callable[..., object]:
        """The function.

        Raises:
            ImportError: there is none at that path.
        """
        from django.utils.module_loading import import_string

        function: Callable[..., object] = import_string(self.path)
        return function


def _check_policy(value: Any) -> list[str]:
    if not isinstance(value, Mapping):
        return [f"must map effect names, globs or 'tag:x' to modes or functions, not {value!r}"]
    found = []
    for pattern, verdict in value.items():
        if not isinstance(pattern, str) or not _is_pattern(pattern.removeprefix("tag:")):
            found.append(f"{pattern!r} is no effect name, no glob and no 'tag:x'")
        is_mode = isinstance(verdict, Mode) or (isinstance(verdict, str) and verdict.upper() in Mode.__members__)
        is_path = isinstance(verdict, str) and "." in verdict and all(p.isidentifier() for p in verdict.split("."))
        if not (is_mode or is_path or callable(verdict)):
            found.append(
                f"{verdict!r} for {pattern!r} is no mode ({_MODES}), no function (effect, arguments) -> mode "
                f"and no dotted path of one"
            )
    return found


def _is_pattern(text: str) -> bool:
    return bool(_PATTERN.match(text))


_PATTERN: Final = re.compile(r"[A-Za-z0-9_.*?\[\]!-]+\Z")


def _names(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def _check_force_run(value: Any) -> list[str]:
    if isinstance(value, str):
        value = [value] if value else []
    if not isinstance(value, list | tuple | set | frozenset):
        return [f"must be a list of effect names and globs, or '{EVERYTHING}', not {value!r}"]
    return [
        f"{name!r} is no effect name and no glob"
        for name in value
        if not isinstance(name, str) or not _is_pattern(name)
    ]


def _check_legacy(value: Any) -> list[str]:
    if isinstance(value, str) or (
        isinstance(value, list | tuple | set | frozenset) and all(isinstance(name, str) for name in value)
    ):
        return []
    return [f"must be '{EVERYTHING}', a name or a list of names, not {value!r}"]


def _check_flag(value: Any) -> list[str]:
    return [] if isinstance(value, bool) else [f"must be True or False, not {value!r}"]


def _check_sensitive(value: Any) -> list[str]:
    if isinstance(value, str) or not isinstance(value, Sequence | set | frozenset):
        return [f"must be a list of names, not {value!r}"]
    return [f"{name!r} is no name" for name in value if not isinstance(name, str) or not name]


def _check_ledger(value: Any) -> list[str]:
    if value == "memory":
        return []
    if not isinstance(value, Mapping) or value.get("BACKEND", "memory") != "memory":
        return [f"must be 'memory' or {{'BACKEND': 'memory', 'MAX_CALLS': n}}, not {value!r}"]
    found = [f"has no key {key!r}" for key in value if key not in ("BACKEND", "MAX_CALLS")]
    bound = value.get("MAX_CALLS", DEFAULT_BOUND)
    if type(bound) is not int or bound < 1:
        found.append(f"MAX_CALLS must be a whole number above 0, not {bound!r}")
    return found


def _check_engine(value: Any) -> list[str]:
    return [] if value == "threads" else [f"must be 'threads', not {value!r}"]


def _check_declare(value: Any) -> list[str]:
    try:
        declarations = _declarations(value)
    except (TypeError, ValueError) as error:
        return [str(error)]
    found = []
    for target, options in declarations:
        module, separator, path = target.partition(":")
        if not separator or not all(part.isidentifier() for part in [*module.split("."), *path.split(".")]):
            found.append(f"{target!r} is no target: write 'package.module:function' or 'package.module:Class.method'")
        try:
            check_name(options.get("name", "unnamed"))
        except ValueError as error:
            found.append(str(error))
        found += [f"{target!r}: there is no option {key!r}" for key in options if key not in OPTIONS]
    return found


def _declarations(value: Any) -> list[tuple[str, dict[str, Any]]]:
    """`DECLARE` as targets with options: a list of targets, or a mapping of target to name or options."""
    if value is None:
        return []
    if isinstance(value, Mapping):
        return [
            (target, {"name": options} if isinstance(options, str) else dict(options))
            for target, options in value.items()
        ]
    if isinstance(value, list | tuple):
        return [(target, {}) for target in value if isinstance(target, str) or _not_a_target(target)]
    raise TypeError(f"must be a list of targets, or a dict of target to name or options, not {value!r}")


def _not_a_target(target: object) -> bool:
    raise TypeError(f"{target!r} is no target: write 'package.module:function'")


def _check_not_yet(*neutral: object) -> Callable[[Any], list[str]]:
    """For keys whose feature this version lacks: a setting that does nothing would look like safety."""

    def check(value: Any) -> list[str]:
        if value in neutral:
            return []
        return [f"this version of sideeffects does not have that feature yet, so {value!r} would do nothing"]

    return check


_CHECKS: Final[dict[str, Callable[[Any], list[str]]]] = {
    "MODE": _check_mode,
    "POLICY": _check_policy,
    "TEST_RUN": _check_flag,
    "FORCE_RUN": _check_force_run,
    "DECLARE": _check_declare,
    "LEDGER": _check_ledger,
    "ENGINE": _check_engine,
    "USE_SENTRY": _check_not_yet(False),
    "SENSITIVE": _check_sensitive,
    "PROBES": _check_not_yet({}),
    "GUARD": _check_not_yet("off", {}),
    "TRANSACTIONS": _check_not_yet("off"),
}
