"""Django system checks: wrong settings, names in them that mean no effect, modules that cannot be looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning as CheckWarning

from sideeffects._core.calls import registry
from sideeffects._core.policy.budget import Budget
from sideeffects._core.policy.policy import legacy_names, rules_for
from sideeffects._core.policy.redirect import Redirect
from sideeffects._core.policy.rules import Rules
from sideeffects._core.values.close_names import close_to, meant
from sideeffects.engines import choice
from sideeffects.ledgers.shared import Shared
from sideeffects.project import budgets, live_settings, probe_apps
from sideeffects.project.discovery import finding
from sideeffects.project.discovery.looking import looking
from sideeffects.settings.rules import KEYS, DottedPolicy, Problem, problems

TAG: Final = "sideeffects"


def check_settings(app_configs: object = None, **options: object) -> Sequence[CheckMessage]:
    """E001 to E019: the values of the settings. E020 to E029: what they name. W003, W004, W008: what does not work.

    Modules are looked for only when a name is not known without.
    """
    del app_configs, options
    raw = getattr(settings, "SIDE_EFFECTS", None)
    legacy = getattr(settings, "FORCE_RUN_SIDE_EFFECTS", None)
    found = [*problems(raw, legacy), *misspelt_settings()]
    if found:
        return [_error(problem) for problem in found]
    try:
        rules = live_settings.current_rules()
    except Exception as error:  # noqa: BLE001 - what is wrong is shown, whatever it is
        return [_error(Problem("E024", f"SIDE_EFFECTS['DECLARE']: {error}"))]
    messages: list[CheckMessage] = [_error(problem) for problem in unusable_policies(rules)]
    messages += [_error(problem) for problem in unusable_redirects(rules)]
    messages += [_error(problem) for problem in unusable_engine(rules)]
    messages += ledger_messages(rules)
    messages += unusable_sentry(rules)
    messages += uncounted_budgets(rules)
    messages += unknown_skipped_apps()
    messages += [_error(Problem("E024", str(failure))) for failure in finding.find_declared()]
    if any(unknown_names(rules)):
        discovered = finding.discover()
        messages += [_error(problem, _hint(discovered)) for problem in unknown_names(rules)]
        messages += _attempts(discovered)
    return messages


_SETTINGS: Final = (
    "SIDE_EFFECTS",
    "FORCE_RUN_SIDE_EFFECTS",
    "SAFERUNNER_USE_SENTRY",
    "SMOKETEST_SKIP_APPS",
    "PROBE_RUNNER",
)
#: What others put behind the name of a mapping of settings.
_BEHIND: Final = ("CONF", "CONFIG", "OPTIONS", "SETTINGS")


def misspelt_settings() -> Iterator[Problem]:
    """E016: settings with nearly our names. Nothing reads them, so production would execute what they hold back."""
    for name in dir(settings):
        if name.isupper() and name not in _SETTINGS and (setting := _nearly(name)):
            yield Problem("E016", f"there is no setting {name}; did you mean {setting}?")


def _nearly(name: str) -> str:
    """The setting that is meant, or the key of one; empty where it is another's."""
    _, is_longer, rest = name.partition("SIDE_EFFECTS_")
    if is_longer and rest in _BEHIND:
        return "SIDE_EFFECTS"
    for key in close_to(rest, KEYS, most=1, cutoff=0.85) if is_longer else ():
        return f"SIDE_EFFECTS[{key!r}]"
    ours = {setting.replace("_", ""): setting for setting in _SETTINGS}
    return next((ours[close] for close in close_to(name.replace("_", ""), ours, most=1, cutoff=0.85)), "")


def check_modules(app_configs: object = None, **options: object) -> Sequence[CheckMessage]:
    """W001, W005, with `check --deploy`: modules that cannot be imported, or do something when they are."""
    del app_configs, options
    try:
        discovered = finding.discover()
    except Exception:  # noqa: BLE001 - settings that are wrong are shown by `check_settings`
        return []
    return [
        *(
            CheckWarning(note, hint="Its effects may be missing from the listing.", id=f"{TAG}.W001")
            for note in discovered._replace(failures=_modules(discovered)).notes()
        ),
        *_attempts(discovered),
    ]


def _modules(discovered: finding.Discovered) -> tuple[finding.Failure, ...]:
    return tuple(failure for failure in discovered.failures if not failure.is_declared)


def _attempts(discovered: finding.Discovered) -> list[CheckMessage]:
    return [CheckWarning(str(attempt), id=f"{TAG}.W005") for attempt in discovered.attempts]


def unusable_policies(rules: Rules) -> Iterator[Problem]:
    """Policies given as a dotted path at which there is no function."""
    for rule in rules.policy:
        if isinstance(rule.verdict, DottedPolicy):
            path = rule.verdict.path
            try:
                with looking():
                    function: object = rule.verdict.resolve()
            except Exception as error:  # noqa: BLE001 - importing runs code, which may raise anything
                said = f"cannot be imported ({type(error).__name__}: {error})"
            else:
                if callable(function):
                    continue
                said = f"is no function but {function!r}"
            where = f"SIDE_EFFECTS['POLICY'][{rule.pattern!r}]"
            yield Problem("E023", f"{where}: {path} {said}, so every call that it decides is refused")


def unusable_redirects(rules: Rules) -> Iterator[Problem]:
    """Redirects to arguments that an effect does not have, of the effects that are declared by now."""
    for effect in registry.registry.values():
        for rule in rules_for(rules, effect):
            trouble = rule.verdict.trouble(effect) if isinstance(rule.verdict, Redirect) else ""
            if trouble:
                where = f"SIDE_EFFECTS['POLICY'][{rule.pattern!r}]"
                yield Problem("E029", f"{where}: {trouble}, so every call that it decides is refused")


def uncounted_budgets(rules: Rules) -> Iterator[CheckMessage]:
    """W008: budgets that the cache cannot count, so that no call is within them."""
    counted = [rule.pattern for rule in rules.policy if isinstance(rule.verdict, Budget)]
    said = budgets.trouble_with(rules.outbox.cache) if counted else ""
    if said:
        named = ", ".join(map(repr, counted))
        yield CheckWarning(f"SIDE_EFFECTS['POLICY'] has a budget for {named}: {said}", hint=_PAST, id=f"{TAG}.W008")


_PAST: Final = "As long as the cache cannot count, each call is past the limit and gets what the budget says in `then`."


def unusable_engine(rules: Rules) -> Iterator[Problem]:
    """An engine given as a dotted path at which there is none."""
    if rules.engine not in choice.MODULES:
        try:
            with looking():
                choice.engine_at(rules.engine)
        except Exception as error:  # noqa: BLE001 - importing runs code, which may raise anything
            yield Problem("E025", str(error))


def ledger_messages(rules: Rules) -> list[CheckMessage]:
    """E026: a shared ledger that cannot be one. W002: one that is less than it looks."""
    shared = rules.shared
    if not isinstance(shared, Shared):
        return []
    trouble = shared.log.trouble()
    if trouble:
        return [_error(Problem("E026", f"SIDE_EFFECTS['LEDGER']: {trouble}"))]
    caution = shared.log.caution()
    return [CheckWarning(f"SIDE_EFFECTS['LEDGER']: {caution}", id=f"{TAG}.W002")] if caution else []


def unusable_sentry(rules: Rules) -> Iterator[CheckMessage]:
    """W003: Sentry is to be used and cannot be. Errors are swallowed all the same, and found in the log."""
    sentry = live_settings.sentry() if rules.use_sentry else None
    said = sentry.trouble() if sentry is not None else ""
    if said:
        yield CheckWarning(
            f"USE_SENTRY or SAFERUNNER_USE_SENTRY is true, and no error can be reported: {said}",
            hint="Errors in run lists are swallowed all the same; they are in the log and in the list's `errors`.",
            id=f"{TAG}.W003",
        )


def unknown_skipped_apps() -> Iterator[CheckMessage]:
    """W004: an app that is to be skipped is not there, and the one that was meant is not skipped."""
    for said in probe_apps.unknown_skipped_apps():
        yield CheckWarning(said, hint="It takes labels and dotted names of apps.", id=f"{TAG}.W004")


def unknown_names(rules: Rules) -> Iterator[Problem]:
    """Names, globs and tags in the settings that mean no effect known by now."""
    known = [*registry.registry.values(), *finding.not_imported_effects()]
    names = [effect.name for effect in known]
    tags = {tag for effect in known for tag in effect.tags}
    for rule in rules.policy:
        tag = rule.pattern.removeprefix("tag:")
        if tag == rule.pattern:
            said = "" if _means_something(tag, names) else _unknown(tag, names)
        else:
            said = "" if tag in tags else f"no side effect has the tag {tag!r}"
        if said:
            yield Problem("E020", f"SIDE_EFFECTS['POLICY']: {said}")
    for pattern in rules.force_run:
        if not _means_something(pattern, names):
            yield Problem("E021", f"SIDE_EFFECTS['FORCE_RUN']: {_unknown(pattern, names)}")
    if rules.force_run_legacy:
        named = {registry.EVERYTHING}.union(*(legacy_names(effect) for effect in known))
        for name in sorted(rules.force_run_legacy - named):
            yield Problem("E022", f"FORCE_RUN_SIDE_EFFECTS: {_unknown(name, names)}")


def _means_something(pattern: str, names: Sequence[str]) -> bool:
    """Whether a pattern means an effect, or means all of them, however many there are."""
    return pattern in (registry.EVERYTHING, "*") or any(registry.matches(pattern, name) for name in names)


def _unknown(pattern: str, names: Sequence[str]) -> str:
    what = "matches no side effect" if registry.is_glob(pattern) else "names no side effect"
    close = registry.registry.close_to(pattern, names)
    return f"{pattern!r} {what}{meant(close)}"


def _hint(discovered: finding.Discovered) -> str:
    notes = discovered._replace(failures=_modules(discovered)).notes()
    if not notes:
        return "`python manage.py side_effects` lists those that are declared."
    return "\n".join(["It may be declared in a module that could not be looked at:", *notes])


def _error(problem: Problem, hint: str | None = None) -> Error:
    return Error(problem.sentence, hint=hint, id=f"{TAG}.{problem.id}")
