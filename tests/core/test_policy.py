"""The rules by themselves: patterns, ranks, doubts, and the staging allow-list."""

import string
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import given, strategies as st

from sideeffects import Decision, Mode, SideEffectBlocked, capture, explain, record, side_effect
from sideeffects._core.policy.override_entry import Count, OverrideEntry, OverrideRule, Stub
from sideeffects._core.policy.policy import RECORDED_IN_TESTS, Decided, Standing, decide, legacy_names, standing
from sideeffects._core.policy.rules import Rule, Rules
from sideeffects.testing import isolated_registry

MODES = st.sampled_from(list(Mode))
NAMES = st.lists(st.text(string.ascii_lowercase, min_size=1, max_size=3), min_size=1, max_size=3).map(".".join)


@pytest.fixture(scope="module")
def effect() -> Any:
    """An effect to decide about."""
    with isolated_registry():

        @side_effect(name="sms.send", tags=["paid"])
        def send(to: str) -> None: ...

        return send.effect


# -- the rules themselves, whatever they are


@given(st.dictionaries(st.sampled_from(["sms.send", "sms.*", "s*", "*", "tag:paid", "__all__"]), MODES), MODES)
def test_in_a_test_run_rules_never_loosen(effect: Any, policy: dict[str, Mode], mode: Mode) -> None:
    """Whatever `POLICY` and `MODE` say, a test run without forced names never executes."""
    rules = Rules(mode, tuple(Rule(pattern, verdict, pattern) for pattern, verdict in policy.items()))
    for option in (None, Mode.RECORD, Mode.RAISE):
        ruled = standing(rules, effect, test_run=True, option=option)
        assert ruled.decision.mode >= Mode.RECORD
        assert decide(effect, {}, [], ruled)[0].mode >= Mode.RECORD


@given(st.lists(st.sampled_from([*Mode, "EXECUTE", "record", None, 3, "no"]), min_size=1, max_size=4), MODES)
def test_conditions_answer_with_the_strictest(effect: Any, answers: list[Any], fixed: Mode) -> None:
    """Several rules on arguments beside a mode: the strictest counts, a strange answer as a refusal."""
    conditions = tuple(Rule("tag:paid", lambda *_, answer=answer: answer, "origin") for answer in answers)
    known = {"EXECUTE": Mode.EXECUTE, "record": Mode.RECORD, None: Mode.RAISE, 3: Mode.RAISE, "no": Mode.RAISE}
    answered = max(answer if isinstance(answer, Mode) else known[answer] for answer in answers)
    decision, stub, *_ = decide(effect, {"to": "Ada"}, [], Standing(Decision(fixed, "fixed"), conditions))
    assert (decision.mode, stub) == (max(fixed, answered), None)
    in_test_run, *_ = decide(effect, {"to": "Ada"}, [], Standing(RECORDED_IN_TESTS, conditions, Mode.RECORD))
    assert in_test_run.mode is max(answered, Mode.RECORD)


@given(st.lists(st.tuples(st.sampled_from(["sms.send", "sms.*", "sms.s*", "*", "__all__", "mail.*"]), MODES)), NAMES)
def test_an_override_finds_its_best_rule(lines: list[tuple[str, Mode]], name: str) -> None:
    """An exact name before globs, longer globs before shorter, `__all__` last, and of equals the stricter."""
    entry = OverrideEntry(tuple(OverrideRule(pattern, Decision(mode, "because")) for pattern, mode in lines))
    for wanted in ("sms.send", name):
        reach = {"sms.send": wanted == "sms.send", "sms.*": wanted.startswith("sms."), "*": True, "__all__": True}
        reach |= {"sms.s*": wanted.startswith("sms.s"), "mail.*": wanted.startswith("mail.")}
        ranks = ["__all__", "*", "sms.*", "mail.*", "sms.s*", "sms.send"]
        fitting = [(ranks.index(pattern), mode) for pattern, mode in lines if reach[pattern]]
        expected = max(fitting, default=None)
        found = entry.find(wanted)
        assert (found and (ranks.index(found.pattern), found.decision.mode)) == expected
        assert entry.find(wanted) is found


def test_outlived_overrides_keep_what_is_strict(effect: Any) -> None:
    """EXECUTE and stubs of a block that is over say nothing; RECORD and RAISE still do."""

    def entry(mode: Mode, answer: Stub | None = None) -> OverrideEntry:
        return OverrideEntry((OverrideRule("sms.*", Decision(mode, mode.name), answer),))

    default = Standing(Decision(Mode.EXECUTE, "default"))
    answer = Stub(Count(), "stubbed")
    stubbed = entry(Mode.RECORD, answer)
    assert decide(effect, {}, [(entry(Mode.EXECUTE), True), (entry(Mode.RAISE), False)], default)[0].mode is Mode.RAISE
    assert decide(effect, {}, [(entry(Mode.EXECUTE), True)], default)[0].reason == "default"
    assert decide(effect, {}, [(entry(Mode.RAISE), True)], default)[0].mode is Mode.RAISE
    assert decide(effect, {}, [(stubbed, True)], default) == Decided(Decision(Mode.RECORD, "RECORD"))
    assert decide(effect, {}, [(stubbed, False)], default)[1] is answer


def test_legacy_names_are_those_of_the_function(effect: Any) -> None:
    """The effect's name, the function's, and its dotted path with a dot or a colon."""
    assert {"sms.send", "send"} <= legacy_names(effect)
    assert {effect.dotted_path, effect.dotted_path.replace(":", ".")} <= legacy_names(effect)


# -- through the public door


@pytest.fixture
def sms() -> Iterator[SimpleNamespace]:
    """`sms.send`, which keeps to whom it has really sent."""
    sent: list[str] = []
    with isolated_registry():

        @side_effect(name="sms.send")
        def send(to: str, *, body: str = "Hello") -> None:
            sent.append(to)

        @side_effect(name="mail.send")
        async def mail(to: str) -> None:
            sent.append(to)

        yield SimpleNamespace(send=send, mail=mail, sent=sent)


def our_own_people(effect: Any, arguments: Any) -> Mode:
    """As the how-to on staging has it."""
    return Mode.EXECUTE if arguments["to"].endswith("@example.com") else Mode.RECORD


STAGING = {"MODE": "RECORD", "POLICY": {"sms.send": our_own_people, "mail.*": our_own_people}}


async def test_the_staging_allow_list(production: None, sms: Any) -> None:
    """On staging our own people get what is sent, and for all others it is written down."""
    with override_settings(SIDE_EFFECTS=STAGING), capture() as calls:
        sms.send("ada@example.com")
        sms.send(to="bob@customer.org")
        sms.send("eve@example.com.evil.org")
        await sms.mail("cy@example.com")
        await sms.mail("dan@customer.org")
    assert sms.sent == ["ada@example.com", "cy@example.com"]
    assert [call.mode.name for call in calls] == ["EXECUTE", "RECORD", "RECORD", "EXECUTE", "RECORD"]
    assert calls[1].reason == "POLICY['sms.send'] answered RECORD for these arguments"
    assert calls[1].decision.origin == "settings.SIDE_EFFECTS[\"POLICY\"]['sms.send']"


def test_the_staging_allow_list_executes_nothing_in_a_test_run(sms: Any) -> None:
    """The same settings in a test run: our own people get nothing either."""
    with override_settings(SIDE_EFFECTS=STAGING):
        sms.send("ada@example.com")
    assert sms.sent == []


@pytest.mark.parametrize("where", ["test run", "production"])
def test_wrong_arguments_raise_what_the_function_would(request: Any, sms: Any, where: str) -> None:
    """A rule on arguments is not asked about a call that the function would not take."""
    if where == "production":
        request.getfixturevalue("production")
    asked: list[Any] = []
    policy = {"sms.send": lambda effect, arguments: asked.append(arguments) or "EXECUTE"}
    with override_settings(SIDE_EFFECTS={"POLICY": policy}), pytest.raises(TypeError, match="bodyy"):
        sms.send("Ada", bodyy="Hi")
    assert (asked, sms.sent) == ([], [])


def test_a_rule_sees_the_effect_and_arguments_with_defaults(production: None, sms: Any) -> None:
    """It is given the description of the effect, and all arguments by name, which it cannot replace."""
    seen: list[Any] = []

    def rule(effect: Any, arguments: Any) -> str:
        seen.append((effect, dict(arguments)))
        arguments["to"] = "Eve"
        return "EXECUTE"

    with override_settings(SIDE_EFFECTS={"POLICY": {"*": rule}}), pytest.raises(SideEffectBlocked, match="TypeError"):
        sms.send("Ada")
    assert seen == [(sms.send.effect, {"to": "Ada", "body": "Hello"})]
    assert sms.sent == []


def test_a_rule_whose_error_has_no_text_refuses_all_the_same(production: None, sms: Any) -> None:
    """An exception that cannot even be shown is no way around."""

    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def rule(effect: Any, arguments: Any) -> str:
        raise Unspeakable

    with override_settings(SIDE_EFFECTS={"POLICY": {"*": rule}}), pytest.raises(SideEffectBlocked, match="Unspeakable"):
        sms.send("Ada")
    assert sms.sent == []


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_a_coroutine_function_is_no_rule(production: None, sms: Any) -> None:
    """What it returns is no mode, so it is refused."""

    async def rule(effect: Any, arguments: Any) -> str:
        return "EXECUTE"

    with override_settings(SIDE_EFFECTS={"POLICY": {"*": rule}}), pytest.raises(SideEffectBlocked, match="ValueError"):
        sms.send("Ada")
    assert sms.sent == []


def test_an_interrupted_rule_executes_nothing(production: None, sms: Any) -> None:
    """Ctrl-C while a rule is asked ends the call."""

    def rule(effect: Any, arguments: Any) -> str:
        raise KeyboardInterrupt

    with override_settings(SIDE_EFFECTS={"POLICY": {"*": rule}}), pytest.raises(KeyboardInterrupt):
        sms.send("Ada")
    assert sms.sent == []


def test_a_block_comes_before_rules_on_arguments(production: None, sms: Any) -> None:
    """An override decides without asking them."""
    asked: list[Any] = []
    policy = {"*": lambda effect, arguments: asked.append(arguments) or "EXECUTE"}
    with override_settings(SIDE_EFFECTS={"POLICY": policy}), record():
        sms.send("Ada")
        assert explain("sms.send").mode is Mode.RECORD
    assert (asked, sms.sent) == ([], [])


@pytest.mark.parametrize(
    ("arguments", "said"), [({"to": 1, "body": 2}, "the arguments to, body"), ({}, "no arguments")]
)
def test_a_rule_that_asks_for_an_argument_that_there_is_not_is_told_which_there_are(
    effect: Any, arguments: dict[str, Any], said: str
) -> None:
    """Most of them are misspelt."""
    rule = Rule("sms.*", lambda _, arguments: arguments["too"], "origin")
    decision, *_ = decide(effect, arguments, [], Standing(Decision(Mode.EXECUTE, "fixed"), (rule,)))
    assert decision.mode is Mode.RAISE
    assert f"(KeyError: 'too'; sms.send has {said}), and doubt never executes" in decision.reason
