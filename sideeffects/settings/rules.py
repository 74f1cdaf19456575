"""What the settings spell -> rules, and what is wrong with them, each problem with its number and a sentence."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

from sideeffects._core.calls.decision import Mode
from sideeffects._core.calls.registry import EVERYTHING, check_name
from sideeffects._core.policy.budget import Budget
from sideeffects._core.policy.levels import LEVELS
from sideeffects._core.policy.redirect import Redirect
from sideeffects._core.policy.rules import NO_GUARD_RULES, GuardRules, Rule, Rules
from sideeffects._core.records.ledger import DEFAULT_BOUND, SharedLedger
from sideeffects._core.values.binding import lazy_signature
from sideeffects._core.values.close_names import did_you_mean
from sideeffects._core.values.sensitive_names import normalise
from sideeffects._core.verbs.decorator import OPTIONS
from sideeffects._core.verbs.targets import is_target
from sideeffects.settings import check_stubs, outbox
from sideeffects.settings.probes import check_probes


def rules_from(raw: Any, legacy: Any, saferunner: Any = None) -> Rules:
    """The rules that `SIDE_EFFECTS`, `FORCE_RUN_SIDE_EFFECTS` and `SAFERUNNER_USE_SENTRY` spell.

    Raises:
        ImproperlyConfigured: with every problem that `problems` finds.
    """
    found = problems(raw, legacy)
    if found:
        from django.core.exceptions import ImproperlyConfigured

        raise ImproperlyConfigured("\n".join(problem.sentence for problem in found))
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
        shared=_shared(ledger),
        max_calls=ledger.get("MAX_CALLS", DEFAULT_BOUND) if isinstance(ledger, Mapping) else DEFAULT_BOUND,
        engine=given.get("ENGINE") or "threads",
        # As dj-saferunner read it: whatever counts as true.
        use_sentry=bool(given.get("USE_SENTRY") or saferunner),
        guard=_guard(given.get("GUARD")),
        outbox=outbox.read(given.get("OUTBOX")),
        transactions=given.get("TRANSACTIONS") or "",
        check_answer=check_stubs.checker(given.get("CHECK_STUBS", False)),
        test_commits=bool(given.get("TEST_COMMITS", False)),
        settled=True,
    )


def _shared(ledger: Any) -> SharedLedger | None:
    if not isinstance(ledger, Mapping) or ledger.get("BACKEND", "memory") == "memory":
        return None
    from sideeffects.ledgers import shared_ledger  # most processes have theirs in memory

    return shared_ledger(ledger)


class Problem(NamedTuple):
    """What is wrong with a setting.

    Attributes:
        id: the number under which `manage.py check` shows it, such as `E002`.
        sentence: what is wrong, naming the setting.
    """

    id: str
    sentence: str


def problems(raw: Any, legacy: Any) -> list[Problem]:
    """What is wrong with the values of `SIDE_EFFECTS` and `FORCE_RUN_SIDE_EFFECTS`."""
    found = []
    given: Mapping[Any, Any] = {}
    if raw is not None and not isinstance(raw, Mapping):
        found.append(Problem("E001", f"SIDE_EFFECTS must be a dict, not {raw!r}"))
    elif raw:
        given = raw
    for key in given:
        if key not in KEYS:
            hint = did_you_mean(key, KEYS, f"; the keys are {', '.join(KEYS)}", most=1)
            found.append(Problem("E001", f"SIDE_EFFECTS has no key {key!r}{hint}"))
    for key, (number, check) in _CHECKS.items():
        if given.get(key) is not None:
            found += [Problem(number, f"SIDE_EFFECTS[{key!r}]: {problem}") for problem in check(given[key])]
    if legacy is not None:
        found += [Problem("E014", f"FORCE_RUN_SIDE_EFFECTS: {problem}") for problem in _check_legacy(legacy)]
    return found


_MODES: Final = "EXECUTE, HOLD, RECORD, RAISE"


def _mode(value: Any) -> Mode | None:
    return None if value is None else Mode(value)


def _check_mode(value: Any) -> list[str]:
    try:
        Mode(value)
    except ValueError:
        return [f"{value!r} is no mode; the modes are {_MODES}"]
    return []


def _verdict(value: Any) -> Mode | Redirect | Budget | Callable[..., object]:
    if isinstance(value, str) and value.upper() not in Mode.__members__:
        return DottedPolicy(value)
    if isinstance(value, Mode | str):
        return Mode(value)
    policy: Redirect | Budget | Callable[..., object] = value
    return policy


class DottedPolicy:
    """A policy function named by its dotted path, imported when it is first asked."""

    def __init__(self, path: str) -> None:
        self.path = path

    @property
    def __signature__(self) -> inspect.Signature:
        return lazy_signature(self.resolve())  # whether it asks for the instance

    def __call__(self, *args: Any) -> object:
        """What the function answers."""
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
        if not isinstance(pattern, str) or not (_is_pattern(pattern) or _TAG.match(pattern)):
            found.append(f"{pattern!r} is no effect name, no glob and no 'tag:x'")
        is_mode = isinstance(verdict, Mode) or (isinstance(verdict, str) and verdict.upper() in Mode.__members__)
        is_path = isinstance(verdict, str) and "." in verdict and all(p.isidentifier() for p in verdict.split("."))
        if not (is_mode or is_path or callable(verdict) or isinstance(verdict, Redirect | Budget)):
            found.append(
                f"{verdict!r} for {pattern!r} is no mode ({_MODES}), no redirect(...) or budget(...), no function "
                f"(effect, arguments) -> mode and no dotted path of one"
            )
    return found


def _is_pattern(text: str) -> bool:
    """Whether an effect may have a name that it means: no part between dots is empty, and brackets are closed."""
    return bool(_PATTERN.match(text))


_PART: Final = r"(?:[A-Za-z0-9_*?-]|\[!?\]?[A-Za-z0-9_.*?!-]*\])+"
_PATTERN: Final = re.compile(rf"{_PART}(?:\.{_PART})*\Z")
_TAG: Final = re.compile(r"tag:[^\s*?\[\]]+\Z")


def _names(value: Any) -> tuple[str, ...]:
    if value is None or value is False:
        return ()
    return tuple(name for name in ([value] if isinstance(value, str) else value) if name)


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
    # `False` was dj-saferunner's default, and means none.
    if (
        value is False
        or isinstance(value, str)
        or (isinstance(value, list | tuple | set | frozenset) and all(isinstance(name, str) for name in value))
    ):
        return []
    return [f"must be '{EVERYTHING}', a name or a list of names, not {value!r}"]


def _check_flag(value: Any) -> list[str]:
    return [] if isinstance(value, bool) else [f"must be True or False, not {value!r}"]


def _check_sensitive(value: Any) -> list[str]:
    if isinstance(value, str) or not isinstance(value, Sequence | set | frozenset):
        return [f"must be a list of names, not {value!r}"]
    return [f"{name!r} is no name" for name in value if not isinstance(name, str) or not name]


#: The keys that each backend of the ledger takes, besides `BACKEND`.
_LEDGER_KEYS: Final = {
    "memory": ("MAX_CALLS",),
    "file": ("PATH", "TIMEOUT", "MAX_CALLS"),
    "cache": ("ALIAS", "TIMEOUT", "ATOMIC_ADD", "MAX_CALLS"),
}


_LEDGERS: Final = (
    "{'BACKEND': 'memory', 'MAX_CALLS': n}, {'BACKEND': 'file', 'PATH': path} or {'BACKEND': 'cache', 'ALIAS': alias}"
)


def _check_ledger(value: Any) -> list[str]:
    if value == "memory":
        return []
    backend = value.get("BACKEND", "memory") if isinstance(value, Mapping) else None
    if not isinstance(backend, str) or backend not in _LEDGER_KEYS:
        return [f"must be 'memory' or {_LEDGERS}, not {value!r}"]
    keys = _LEDGER_KEYS[backend]
    found = [
        f"has no key {key!r} for the backend {backend!r}; its keys are {', '.join(keys)}"
        for key in value
        if key not in ("BACKEND", *keys)
    ]
    bound = value.get("MAX_CALLS", DEFAULT_BOUND)
    if type(bound) is not int or bound < 1:
        found.append(f"MAX_CALLS must be a whole number above 0, not {bound!r}")
    timeout = value.get("TIMEOUT", 1)
    if type(timeout) not in (int, float) or not 1 <= timeout < _FOREVER:
        found.append(f"TIMEOUT must be a number of seconds from 1 on, not {timeout!r}: records expire")
    if type(value.get("ATOMIC_ADD", False)) is not bool:
        found.append(f"ATOMIC_ADD must be True or False, not {value['ATOMIC_ADD']!r}")
    if backend == "file":
        path = value.get("PATH")
        if not isinstance(path, str | os.PathLike) or not os.path.isabs(os.fsdecode(path)):
            found.append(f"PATH must be the absolute path of a file, such as BASE_DIR / 'ledger.jsonl', not {path!r}")
    if not isinstance(value.get("ALIAS", "default"), str):
        found.append(f"ALIAS must be a key of CACHES, not {value['ALIAS']!r}")
    return found


#: Seconds of a hundred years: what is longer was meant to say "never".
_FOREVER: Final = 100 * 366 * 24 * 60 * 60


def _check_engine(value: Any) -> list[str]:
    if not isinstance(value, str):
        return [f"must be the name of an engine ({', '.join(_ENGINES)}) or the dotted path of one, not {value!r}"]
    if value in _ENGINES:
        needed = _ENGINES[value]
        if needed and not any(map(find_spec, needed)):
            return [f"{value!r} needs {' or '.join(needed)}: pip install 'sideeffects[{value}]'"]
        return []
    if "." in value and all(part.isidentifier() for part in value.split(".")):
        return []
    hint = did_you_mean(value, _ENGINES, most=1)
    return [f"{value!r} is no engine ({', '.join(_ENGINES)}) and no dotted path of one{hint}"]


#: The engines that come with the library, each with packages: it needs one of these.
_ENGINES: Final = {
    "threads": (),
    "celery": ("celery",),
    "django_tasks": ("django.tasks", "django_tasks"),
    "dramatiq": ("dramatiq",),
    "huey": ("huey",),
    "rq": ("rq",),
}


def _check_declare(value: Any) -> list[str]:
    try:
        listed = declarations(value)
    except TypeError as error:
        return [str(error)]
    found = []
    for target, options in listed:
        if not is_target(target):
            found.append(f"{target!r} is no target: {_HOW_TO_TARGET}")
        try:
            check_name(options.get("name", "unnamed"))
        except ValueError as error:
            found.append(str(error))
        found += [f"{target!r}: there is no option {key!r}" for key in options if key not in OPTIONS]
    return found


_HOW_TO_TARGET: Final = "write 'package.module:function' or 'package.module:Class.method'"


def declarations(value: Any) -> list[tuple[str, dict[str, Any]]]:
    """`DECLARE` as targets with options: a list of targets, or a mapping of target to name or options.

    Raises:
        TypeError: it is neither, or holds something else.
    """
    if value is None:
        return []
    if not isinstance(value, Mapping | list | tuple):
        raise TypeError(f"must be a list of targets, or a dict of target to name or options, not {value!r}")
    listed = []
    for target in value:
        if not isinstance(target, str):
            raise TypeError(f"{target!r} is no target: {_HOW_TO_TARGET}")
        given = value[target] if isinstance(value, Mapping) else None
        options = {"name": given} if isinstance(given, str) else {} if given is None else given
        if not isinstance(options, Mapping):
            raise TypeError(f"{target!r} takes the effect's name, or a dict of options, not {given!r}")
        listed.append((target, dict(options)))
    return listed


def _guard(value: Any) -> GuardRules:
    if not value:
        return NO_GUARD_RULES
    from sideeffects.settings import guard as spelling  # most settings say nothing of it

    return spelling.read(value)


def _check_guard(value: Any) -> list[str]:
    from sideeffects.settings import guard as spelling

    return spelling.problems(value)


def _check_transactions(value: Any) -> list[str]:
    if value in LEVELS:
        return []
    return [f"must be one of {', '.join(map(repr, LEVELS))}, not {value!r}"]


#: The keys, each with the number of its problems in `manage.py check` and what finds them.
_CHECKS: Final[dict[str, tuple[str, Callable[[Any], list[str]]]]] = {
    "MODE": ("E002", _check_mode),
    "POLICY": ("E003", _check_policy),
    "TEST_RUN": ("E004", _check_flag),
    "FORCE_RUN": ("E005", _check_force_run),
    "DECLARE": ("E006", _check_declare),
    "LEDGER": ("E007", _check_ledger),
    "ENGINE": ("E008", _check_engine),
    "USE_SENTRY": ("E009", _check_flag),
    "SENSITIVE": ("E010", _check_sensitive),
    "PROBES": ("E011", check_probes),
    "GUARD": ("E012", _check_guard),
    "TRANSACTIONS": ("E013", _check_transactions),
    "CHECK_STUBS": ("E015", check_stubs.problems),
    "OUTBOX": ("E017", outbox.problems),
    "TEST_COMMITS": ("E019", _check_flag),
}
KEYS: Final = tuple(_CHECKS)
