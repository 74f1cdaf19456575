"""The precedence table, walked cell by cell. The rows are read from the page that shows them."""

import contextlib
import itertools
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from sideeffects import Mode, SideEffectBlocked, capture, explain, forbid, force_run, hold, record, side_effect, stub
from sideeffects._core.state import extension_points
from sideeffects._core.state.state import state
from sideeffects.testing import isolated_registry

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "precedence.md"
BLOCKS: dict[str, Callable[[str], Any]] = {
    "force_run": force_run,
    "record": record,
    "hold": hold,
    "forbid": forbid,
    "stub": lambda name: stub(name, returns="stubbed"),
}


def table(heading: str, number: int = 0) -> list[list[str]]:
    """The rows of a table of the page, below a heading."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)
    rows = blocks[number].splitlines()[2:]
    return [[cell.strip().replace("`", "").replace("\\_", "_") for cell in row.strip("|").split("|")] for row in rows]


@pytest.fixture
def sms() -> Iterator[SimpleNamespace]:
    """`sms.send`, and `sms.bulk.send` with two tags; `ran` counts what executed, `kept` what is held."""
    ran: list[str] = []
    kept: list[object] = []

    class Keeper:
        def keep(self, *call: object) -> None:
            kept.append(call)

        async def keep_async(self, *call: object) -> None:
            raise AssertionError("the effects of these tests are no coroutines")

    keeper: Any = Keeper()
    forget = extension_points.keeper.add(keeper)
    with isolated_registry():

        @side_effect(name="sms.send")
        def send(to: str = "") -> None:
            ran.append(to)

        @side_effect(name="sms.bulk.send", tags=["paid", "loud"])
        def send_bulk(to: str = "") -> None:
            ran.append(to)

        yield SimpleNamespace(send=send, send_bulk=send_bulk, ran=ran, kept=kept)
    forget()


def mode_of(sms: SimpleNamespace, effect: Any, *args: Any) -> Mode:
    """What really becomes of a call."""
    before, held = len(sms.ran), len(sms.kept)
    try:
        effect(*args)
    except SideEffectBlocked:
        assert len(sms.ran) == before, "a refused call was executed"
        return Mode.RAISE
    if len(sms.kept) > held:
        assert len(sms.ran) == before, "a held call was executed"
        return Mode.HOLD
    return Mode.EXECUTE if len(sms.ran) > before else Mode.RECORD


@contextlib.contextmanager
def settled_by(block: str, force: str, policy: str, mode: str, option: str) -> Iterator[str]:
    """Everything that a row says, in force; gives the block's `file:line`."""
    given: dict[str, Any] = {}
    if policy:
        given["POLICY"] = {"sms.send": policy}
    if mode:
        given["MODE"] = mode
    if force == "yes":
        given["FORCE_RUN"] = ["sms.send"]
    before, state.option = state.option, Mode(option) if option else None
    legacy = ["sms.send"] if force == "legacy" else None
    try:
        with override_settings(SIDE_EFFECTS=given, FORCE_RUN_SIDE_EFFECTS=legacy):
            if not block:
                yield ""
                return
            override = BLOCKS[block]("sms.send")
            leave = override._enter("the block")
            try:
                yield "the block"
            finally:
                leave()
    finally:
        state.option = before


def check_row(sms: SimpleNamespace, row: list[str]) -> None:
    """A call and `explain` agree with a row of the page."""
    *given, becomes, by = row
    with settled_by(*given):
        decision = explain("sms.send")
        assert mode_of(sms, sms.send) is Mode[becomes]
    assert (decision.mode, decision.origin) == (Mode[becomes], by)


@pytest.mark.parametrize("row", table("By example", 0), ids=" ".join)
def test_a_row_of_the_table_in_a_test_run(sms: Any, row: list[str]) -> None:
    """Every row of the first table holds for a call and for `explain`."""
    check_row(sms, row)


@pytest.mark.parametrize("row", table("By example", 1), ids=" ".join)
def test_a_row_of_the_table_otherwise(sms: Any, production: None, row: list[str]) -> None:
    """Every row of the second table holds for a call and for `explain`."""
    check_row(sms, row)


MODES = ["", "EXECUTE", "RECORD", "RAISE"]
EVERY_CELL = list(itertools.product(["", *BLOCKS], ["", "yes", "legacy"], MODES, MODES, ["", "record", "raise"]))


def expected(test_run: bool, block: str, force: str, policy: str, mode: str, option: str) -> tuple[Mode, str]:
    """The table of the page, put in words once more and independently of the code."""
    if block:
        held = Mode.RECORD if test_run else Mode.HOLD
        return {"force_run": Mode.EXECUTE, "forbid": Mode.RAISE, "hold": held}.get(block, Mode.RECORD), "the block"
    by_policy = "settings.SIDE_EFFECTS[\"POLICY\"]['sms.send']"
    by_mode = 'settings.SIDE_EFFECTS["MODE"]'
    if not test_run:
        if policy:
            return Mode[policy], by_policy
        return (Mode[mode], by_mode) if mode else (Mode.EXECUTE, "default")
    if force == "yes":
        return Mode.EXECUTE, 'settings.SIDE_EFFECTS["FORCE_RUN"]'
    if force == "legacy":
        return Mode.EXECUTE, "settings.FORCE_RUN_SIDE_EFFECTS"
    for word, origin in ((policy, by_policy), (mode, by_mode), (option, "--side-effects=raise")):
        if word.upper() == "RAISE":
            return Mode.RAISE, origin
    return Mode.RECORD, "default of a test run"


def check_every_cell(sms: SimpleNamespace, test_run: bool) -> None:
    """All combinations of all inputs agree with the words of `expected`."""
    for cell in EVERY_CELL:
        mode, origin = expected(test_run, *cell)
        with settled_by(*cell):
            decision = explain("sms.send")
            assert mode_of(sms, sms.send) is mode, cell
        assert (decision.mode, decision.origin) == (mode, origin), cell
        assert decision.reason, cell


def test_every_cell_in_a_test_run(sms: Any) -> None:
    """In a test run all 720 combinations decide as the table says."""
    check_every_cell(sms, test_run=True)


def test_every_cell_otherwise(sms: Any, production: None) -> None:
    """Outside a test run all 720 combinations decide as the table says."""
    check_every_cell(sms, test_run=False)


@pytest.mark.parametrize("row", table("Which entry of `POLICY`"), ids=" ".join)
def test_which_entry_of_the_policy_decides(sms: Any, production: None, row: list[str]) -> None:
    """Exact before glob before tag, and ties to the stricter, in whatever order the entries stand."""
    entries, becomes, by = row
    policy = [tuple(entry.rsplit(": ", 1)) for entry in entries.split(", ")]
    origin = by if by == "default" else f'settings.SIDE_EFFECTS["POLICY"][{by!r}]'
    for order in itertools.permutations(policy):
        with override_settings(SIDE_EFFECTS={"POLICY": dict(order)}):
            decision = explain("sms.bulk.send")
            assert mode_of(sms, sms.send_bulk) is Mode[becomes]
        assert (decision.mode, decision.origin) == (Mode[becomes], origin)


# -- rules on arguments


def only_ada(effect: Any, arguments: Any) -> Any:
    """A policy: Ada gets it, others are an error or a strange answer."""
    return {"Ada": Mode.EXECUTE, "Bob": "record", "Cy": "RAISE", "Dan": None, "Eve": "perhaps"}[arguments["to"]]


@pytest.mark.parametrize(
    ("to", "otherwise", "in_test_run"),
    [
        ("Ada", Mode.EXECUTE, Mode.RECORD),
        ("Bob", Mode.RECORD, Mode.RECORD),
        ("Cy", Mode.RAISE, Mode.RAISE),
        ("Dan", Mode.RAISE, Mode.RAISE),
        ("Eve", Mode.RAISE, Mode.RAISE),
        ("Zoe", Mode.RAISE, Mode.RAISE),
    ],
)
@pytest.mark.parametrize("as_path", [True, False], ids=["dotted path", "function"])
@pytest.mark.parametrize("where", ["test run", "production"])
def test_a_function_decides_each_call(
    request: Any, sms: Any, monkeypatch: Any, to: str, otherwise: Mode, in_test_run: Mode, as_path: bool, where: str
) -> None:
    """A policy function sees the arguments; in a test run it can only tighten; failing and rubbish are refusals."""
    if where == "production":
        request.getfixturevalue("production")
    monkeypatch.setitem(sys.modules, "house_rules", SimpleNamespace(only_ada=only_ada))
    rule = "house_rules.only_ada" if as_path else only_ada
    with override_settings(SIDE_EFFECTS={"POLICY": {"sms.*": rule}}), capture() as calls:
        assert mode_of(sms, sms.send, to) is (otherwise if where == "production" else in_test_run)
    if otherwise is Mode.RAISE and to != "Cy":
        assert "doubt never executes" in calls[0].reason
        assert "POLICY['sms.*']" in calls[0].reason


def test_a_policy_path_that_leads_nowhere_refuses(sms: Any, production: None) -> None:
    """A dotted path is imported at the call; when that fails, the call is refused."""
    refused = pytest.raises(SideEffectBlocked, match=r"ModuleNotFoundError.*doubt never executes")
    with override_settings(SIDE_EFFECTS={"POLICY": {"sms.*": "nowhere.to.be_found"}}), refused:
        sms.send()
    assert sms.ran == []


def test_a_policy_that_calls_its_own_effect_refuses(sms: Any, production: None) -> None:
    """Going round in circles is doubt too."""
    with override_settings(SIDE_EFFECTS={"POLICY": {"sms.*": lambda effect, arguments: sms.send()}}):
        assert mode_of(sms, sms.send) is Mode.RAISE


def test_beside_another_rule_the_stricter_answer_counts(sms: Any, production: None) -> None:
    """Two tags, one with a mode and one with a function: the stricter of both, whichever it is."""
    answers = {"strict": Mode.RAISE, "lax": Mode.EXECUTE}
    policy = {"tag:paid": Mode.RECORD, "tag:loud": lambda effect, arguments: answers[arguments["to"]]}
    with override_settings(SIDE_EFFECTS={"POLICY": policy}):
        assert mode_of(sms, sms.send_bulk, "strict") is Mode.RAISE
        assert mode_of(sms, sms.send_bulk, "lax") is Mode.RECORD


@pytest.mark.parametrize("where", ["test run", "production"])
def test_explain_says_that_a_function_decides(request: Any, sms: Any, where: str) -> None:
    """Without a call `explain` gives the strictest that may come, and says that it is decided per call."""
    if where == "production":
        request.getfixturevalue("production")
    with override_settings(SIDE_EFFECTS={"POLICY": {"sms.send": only_ada}}):
        decision = explain("sms.send")
    assert (decision.mode, decision.conditional) == (Mode.RAISE, True)
    assert decision.origin == "settings.SIDE_EFFECTS[\"POLICY\"]['sms.send']"
    assert "decided per call" in str(decision)


def test_forced_effects_are_not_asked_about(sms: Any) -> None:
    """In a test run `FORCE_RUN` comes before `POLICY`, its functions included."""
    with override_settings(SIDE_EFFECTS={"FORCE_RUN": "sms.*", "POLICY": {"sms.*": only_ada}}):
        assert mode_of(sms, sms.send, "Cy") is Mode.EXECUTE


# -- FORCE_RUN


@pytest.mark.parametrize("key", ["FORCE_RUN", "FORCE_RUN_SIDE_EFFECTS"])
@pytest.mark.parametrize("given", ["__all__", ["__all__"], "pingback", ["pingback"], ("other", "pingback")])
def test_forced_names(key: str, given: Any) -> None:
    """A name, a list, or `__all__`; forcing `pingback` does not run `ping`."""
    with isolated_registry():
        ran = []
        ping = side_effect(name="ping")(lambda: ran.append("ping"))
        pingback = side_effect(name="pingback")(lambda: ran.append("pingback"))
        with override_settings(**({key: given} if "_SIDE" in key else {"SIDE_EFFECTS": {key: given}})):
            ping()
            pingback()
        everything = "__all__" in (given if isinstance(given, str) else list(given))
        assert ran == (["ping", "pingback"] if everything else ["pingback"])


@pytest.mark.parametrize(
    ("given", "runs"),
    [
        ("deliver", True),
        ("{module}.deliver", True),
        ("{module}:deliver", True),
        ("out.ping", True),
        ("delive", False),
        ("eliver", False),
        ("ping", False),
        ("out", False),
        ("out.*", False),
        ("", False),
        ([], False),
    ],
)
def test_legacy_names_are_matched_whole(given: Any, runs: bool) -> None:
    """`FORCE_RUN_SIDE_EFFECTS` knows an effect by its name, its `__name__` and its dotted path, and no part of them."""

    def deliver() -> None:
        ran.append(1)

    deliver.__qualname__ = "deliver"
    name = given.format(module=__name__) if isinstance(given, str) else given
    ran: list[int] = []
    with isolated_registry(), override_settings(FORCE_RUN_SIDE_EFFECTS=name):
        side_effect(name="out.ping")(deliver)()
    assert bool(ran) is runs


def test_force_run_takes_globs_and_both_settings_count(sms: Any) -> None:
    """`FORCE_RUN` takes globs; the legacy setting beside it adds to it."""
    with override_settings(SIDE_EFFECTS={"FORCE_RUN": ["sms.b*"]}, FORCE_RUN_SIDE_EFFECTS=["sms.send"]):
        assert mode_of(sms, sms.send) is mode_of(sms, sms.send_bulk) is Mode.EXECUTE
    with override_settings(SIDE_EFFECTS={"FORCE_RUN": ["sms.b*"]}):
        assert mode_of(sms, sms.send) is Mode.RECORD


# -- when settings are read


@pytest.mark.parametrize("where", ["test run", "production"])
def test_override_settings_is_followed(request: Any, sms: Any, where: str) -> None:
    """Entering and leaving `override_settings`, nested too, holds from the next call on."""
    default = Mode.RECORD
    if where == "production":
        request.getfixturevalue("production")
        default = Mode.EXECUTE
    for _ in range(2):
        assert mode_of(sms, sms.send) is default
        with override_settings(SIDE_EFFECTS={"MODE": "RAISE"}):
            assert mode_of(sms, sms.send) is Mode.RAISE
            with override_settings(SIDE_EFFECTS={"MODE": "record"}):
                assert mode_of(sms, sms.send) is Mode.RECORD
            with override_settings(USE_TZ=False):
                assert mode_of(sms, sms.send) is Mode.RAISE
        assert mode_of(sms, sms.send) is default


def test_assignment_is_followed_in_a_test_run(sms: Any) -> None:
    """`settings.SIDE_EFFECTS = ...` and changes in place, deep ones too, hold from the next call on."""
    with override_settings():
        settings.SIDE_EFFECTS = {"MODE": "RAISE", "POLICY": {}, "FORCE_RUN": []}
        assert mode_of(sms, sms.send) is Mode.RAISE
        settings.SIDE_EFFECTS["MODE"] = "RECORD"
        assert mode_of(sms, sms.send) is Mode.RECORD
        settings.SIDE_EFFECTS["POLICY"]["sms.*"] = "raise"
        assert mode_of(sms, sms.send) is Mode.RAISE
        settings.SIDE_EFFECTS["FORCE_RUN"].append("sms.send")
        assert mode_of(sms, sms.send) is Mode.EXECUTE
        settings.SIDE_EFFECTS["FORCE_RUN"].clear()
        assert mode_of(sms, sms.send) is Mode.RAISE
        settings.FORCE_RUN_SIDE_EFFECTS = ["sms.send"]
        assert mode_of(sms, sms.send) is Mode.EXECUTE
        settings.FORCE_RUN_SIDE_EFFECTS.clear()
        assert mode_of(sms, sms.send) is Mode.RAISE
        del settings.SIDE_EFFECTS
        assert mode_of(sms, sms.send) is Mode.RECORD


@pytest.mark.parametrize("where", ["test run", "production"])
@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"MODES": "RECORD"}, "'MODES'; did you mean 'MODE'"),
        ({"MODE": "maybe"}, "'maybe' is no mode"),
        ({"POLICY": {"sms send": "RECORD"}}, "'sms send' is no effect name"),
        ({"POLICY": {"sms.*": "perhaps"}}, "'perhaps' for 'sms.\\*' is no mode"),
        ({"POLICY": ["sms.*"]}, "must map"),
        ({"FORCE_RUN": 3}, "must be a list"),
        ("RECORD", "must be a dict"),
    ],
)
def test_invalid_settings_raise_at_the_call(request: Any, sms: Any, given: Any, problem: str, where: str) -> None:
    """Invalid settings never fall back to executing: each call raises, and so does `explain`."""
    if where == "production":
        request.getfixturevalue("production")
        sms.send("before")
    with override_settings(SIDE_EFFECTS=given):
        for _ in range(2):
            with pytest.raises(ImproperlyConfigured, match=problem):
                sms.send("inside")
        with pytest.raises(ImproperlyConfigured, match=problem):
            explain("sms.send")
    assert "inside" not in sms.ran


PROGRAM = """
import os, sys
sys.path.insert(0, os.getcwd())
os.environ["DJANGO_SETTINGS_MODULE"] = "shop_settings"
import shop_effects
print(shop_effects.attempt())
"""
EFFECTS = """
from sideeffects import side_effect
ran = []
@side_effect(name="sms.send")
def send():
    ran.append(1)
def attempt():
    try:
        send()
    except Exception as error:
        return f"{type(error).__name__}, executed {len(ran)}"
    return f"executed {len(ran)}"
"""


@pytest.mark.parametrize(
    ("module", "printed"),
    [
        ('SIDE_EFFECTS = {"MODE": "RECORD"}', "executed 0"),
        ("INSTALLED_APPS = []", "executed 1"),
        ('SIDE_EFFECTS = {"MODE": "RECRD"}', "ImproperlyConfigured, executed 0"),
        ('SIDE_EFFECTS = {"TEST_RUN": True}', "executed 0"),
        ("import nothing_like_it", "ModuleNotFoundError, executed 0"),
        ("import shop_effects; print(shop_effects.attempt())", "SettingsNotReady, executed 0\nexecuted 1"),
    ],
    ids=["MODE", "nothing said", "invalid", "TEST_RUN", "cannot be imported", "being imported"],
)
def test_settings_count_without_installed_apps(production: None, tmp_path: Path, module: str, printed: str) -> None:
    """A real process with a settings module that doesn't list the app: read at the first call, and refused in doubt."""
    tmp_path.joinpath("shop_settings.py").write_text(module, encoding="utf-8")
    tmp_path.joinpath("shop_effects.py").write_text(EFFECTS, encoding="utf-8")
    run = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (run.stdout.strip(), run.returncode) == (printed, 0), run.stderr
