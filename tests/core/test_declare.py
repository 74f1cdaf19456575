"""`declare`: making effects of functions that somebody else wrote, whenever their module is imported."""

import array
import email.message
import importlib
import os
import pathlib
import smtplib
import subprocess
import sys
import textwrap
import types
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from sideeffects import (
    DuplicateSideEffect,
    Mode,
    SideEffectBlocked,
    capture,
    declare,
    forbid,
    force_run,
    registry,
    side_effect,
)
from sideeffects._core.verbs import declare as _declare, decorator
from sideeffects.errors import DeclarationError
from sideeffects.testing import isolated_registry

pytestmark = pytest.mark.usefixtures("own_registry")

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def own_declarations(monkeypatch: pytest.MonkeyPatch) -> None:
    """What these tests declare is undone: their hooks, and the functions that they replaced."""
    from sideeffects._core.state.import_hooks import _finder

    monkeypatch.setattr(_declare, "_waiting", dict(_declare._waiting))
    monkeypatch.setattr(_finder, "hooks", {name: list(hooks) for name, hooks in _finder.hooks.items()})
    for owner, name in (
        (smtplib.SMTP, "send_message"),
        (urllib.request, "urlopen"),
        (pathlib.Path, "write_text"),
    ):
        monkeypatch.setattr(owner, name, vars(owner)[name])


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Writes a module that can be imported, and forgets it afterwards."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, source: str = GATEWAY) -> str:
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        if path.parent != tmp_path:
            (path.parent / "__init__.py").touch()
        path.write_text(textwrap.dedent(source))
        importlib.invalidate_caches()
        for part in (name, name.partition(".")[0]):
            monkeypatch.setitem(sys.modules, part, types.ModuleType(part))
            del sys.modules[part]
        return name

    return write


GATEWAY = '''
    """A gateway that somebody else wrote."""

    RAN = []

    def send(to, body="hi"):
        """Send it."""
        RAN.append(to)
        return f"sent to {to}"

    class Client:
        def charge(self, cents):
            RAN.append(cents)

        @classmethod
        def refund(cls, cents):
            RAN.append(cents)

        @staticmethod
        def ping(host):
            RAN.append(host)

        class Inner:
            async def post(self, url):
                RAN.append(url)

    class Special(Client): ...

    client = Client()
    number = 3
'''


# -- the three that the docs show


def test_smtplib_is_declared() -> None:
    """A method is recorded with its instance and its arguments by name."""
    declare("smtplib:SMTP.send_message", name="smtp.send", tags=["mail"])
    client, message = smtplib.SMTP(), email.message.EmailMessage()
    with capture() as calls:
        client.send_message(message, to_addrs=["ann@example.com"])
    call = calls.one("smtp.send")
    assert call.instance is client
    assert call.arguments["to_addrs"] == ["ann@example.com"]
    assert registry["smtp.send"].tags == ("mail",)
    assert registry["smtp.send"].file == smtplib.__file__


def test_urlopen_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function of a module; without a name it is named `module.path`, and a stub may be given."""
    for holder in _declare.holders(urllib.request.urlopen):
        module = holder.rpartition(".")[0]
        if module != "urllib.request":  # libraries that other tests use have imported it under their own names
            monkeypatch.delitem(sys.modules, module)
    declare("urllib.request:urlopen", returns=lambda *args, **kwargs: "stubbed")
    with capture() as calls:
        assert urllib.request.urlopen("http://127.0.0.1:9/", timeout=1) == "stubbed"
    assert calls.one("urllib.request.urlopen").arguments["url"] == "http://127.0.0.1:9/"


# -- before and after the import


def test_a_module_that_is_not_imported_is_declared_when_it_is(module: Callable[..., str]) -> None:
    """Nothing is imported for it; on import, functions, methods and nested classes are declared."""
    name = module("declared_before")
    declare(f"{name}:send", sensitive=["body"])
    declare(f"{name}:Client.charge", name="client.charge")
    declare(f"{name}:Client.refund", name="client.refund")
    declare(f"{name}:Client.ping", name="client.ping")
    declare(f"{name}:Client.Inner.post", name="client.post")
    assert name not in sys.modules
    assert list(registry) == []

    gateway = importlib.import_module(name)
    assert list(registry) == ["client.charge", "client.ping", "client.post", "client.refund", f"{name}.send"]
    with capture() as calls:
        assert gateway.send("ann") is None
        gateway.Client().charge(1)
        gateway.Client.refund(2)
        gateway.Client().ping("host")
        gateway.Client.Inner().post("url").close()
    assert [call.name for call in calls] == [f"{name}.send", "client.charge", "client.refund", "client.ping"]
    assert calls[0].arguments["body"] == "[redacted]"
    assert calls[2].instance is gateway.Client
    assert gateway.RAN == []
    with force_run("*"):
        assert gateway.send("ann") == "sent to ann"
        gateway.Client.refund(2)
        gateway.Client.ping("host")
    assert gateway.RAN == ["ann", 2, "host"]
    assert gateway.__loader__ is gateway.__spec__.loader
    assert type(gateway.__loader__).__name__ == "SourceFileLoader"


def test_a_module_in_a_package_is_declared_when_it_is_imported(module: Callable[..., str]) -> None:
    """By its full name, whatever way it is imported."""
    name = module("declared_package.gateway")
    declare(f"{name}:send", name="send")
    importlib.import_module("declared_package")
    assert list(registry) == []
    from declared_package.gateway import send  # type: ignore[import-not-found]

    with capture() as calls:
        send("ann")
    assert calls.count("send") == 1


def test_an_inherited_method_is_declared_for_the_subclass_only(module: Callable[..., str]) -> None:
    """The parent's stays as it was."""
    gateway = importlib.import_module(module("declared_subclass"))
    declare("declared_subclass:Special.charge", name="charge")
    with capture() as calls:
        gateway.Special().charge(1)
        gateway.Client().charge(2)
    assert len(calls) == 1
    assert gateway.RAN == [2]


def test_a_method_of_one_object_is_declared_bound(module: Callable[..., str]) -> None:
    """`module:client.charge` keeps its instance and its arguments."""
    gateway = importlib.import_module(module("declared_object"))
    declare("declared_object:client.charge", name="charge")
    with capture() as calls:
        gateway.client.charge(5)
    assert calls.one("charge").instance is gateway.client
    assert dict(calls.one("charge").arguments) == {"cents": 5}
    with force_run("charge"):
        gateway.client.charge(6)
    assert gateway.RAN == [6]


def test_functions_in_c_are_declared() -> None:
    """`os.remove` and its like."""
    original = os.remove
    try:
        with pytest.raises(DeclarationError, match=r"is os:remove, imported before it was declared"):
            declare("os:remove", name="remove")
        assert os.remove is original
    finally:
        os.remove = original


def test_declaring_the_same_again_changes_nothing(module: Callable[..., str]) -> None:
    """Settings and code may both say it; another name is an error."""
    gateway = importlib.import_module(module("declared_twice"))
    declare("declared_twice:send", name="send")
    before = gateway.send
    declare("declared_twice:send", name="send")
    declare("declared_twice:send")
    assert gateway.send is before
    with pytest.raises(DeclarationError, match="declared_twice:send is a side effect already, named 'send'"):
        declare("declared_twice:send", name="other")


# -- modules that come again


def test_a_declaration_counts_in_each_registry(module: Callable[..., str]) -> None:
    """What an isolated registry saw declared can be declared in the next one."""
    gateway = importlib.import_module(module("declared_isolated"))
    for _ in range(2):
        with isolated_registry():
            declare("declared_isolated:send", name="send")
            assert list(registry) == ["send"]
            with force_run("send"):
                gateway.send("ann")
    assert gateway.RAN == ["ann", "ann"]


def test_a_reloaded_module_is_declared_again(module: Callable[..., str]) -> None:
    """A reload makes new functions, which must not escape."""
    declare(f"{module('declared_reload')}:send", name="send")
    declare("declared_reload:Client.charge", name="charge")
    gateway = importlib.import_module("declared_reload")
    held = gateway.send
    for _ in range(2):
        importlib.reload(gateway)
        with capture() as calls:
            gateway.send("ann")
            gateway.Client().charge(1)
            held("ben")
        assert [call.name for call in calls] == ["send", "charge", "send"]
        assert gateway.RAN == []


def test_a_module_imported_again_is_declared_again(module: Callable[..., str]) -> None:
    """Tests take modules out of `sys.modules`; what is imported then must not escape."""
    declare(f"{module('declared_again')}:send", name="send")
    importlib.import_module("declared_again")
    del sys.modules["declared_again"]
    gateway = importlib.import_module("declared_again")
    with capture() as calls:
        gateway.send("ann")
    assert calls.count("send") == 1


def test_a_module_that_replaces_itself_is_declared_where_it_is_found(module: Callable[..., str]) -> None:
    """Some modules put another object into `sys.modules` while they are imported."""
    name = module(
        "declared_replaced",
        """
        import sys, types

        def send(to):
            raise AssertionError

        real = types.ModuleType(__name__)
        real.send = send
        sys.modules[__name__] = real
        """,
    )
    declare(f"{name}:send", name="send")
    with capture() as calls:
        importlib.import_module(name).send("ann")
    assert calls.count("send") == 1


def test_a_module_that_was_refused_is_refused_each_time(module: Callable[..., str]) -> None:
    """The second import does not give the module undeclared."""
    declare(f"{module('declared_refused')}:sent", name="send")
    for _ in range(2):
        with pytest.raises(DeclarationError, match="no 'sent' in it; the nearest is declared_refused:send"):
            importlib.import_module("declared_refused")
        assert "declared_refused" not in sys.modules


def test_finders_of_others_do_not_get_in_between(module: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was put in front, one that asks all others, and one that finds nothing: each module is declared once."""
    import importlib.util

    applied = []

    class Asking:
        """As wrapt's hooks and those of tracers do."""

        is_asking = False

        def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
            if self.is_asking or not fullname.startswith("declared_found"):
                return None
            self.is_asking = True
            try:
                return importlib.util.find_spec(fullname)
            finally:
                self.is_asking = False

    monkeypatch.setattr(sys, "meta_path", [Asking(), *sys.meta_path])
    declare(f"{module('declared_found')}:send", name="send")
    from sideeffects._core.state.import_hooks import after_import

    after_import("declared_found", applied.append)
    gateway = importlib.import_module("declared_found")
    with capture() as calls:
        gateway.send("ann")
    assert calls.count("send") == 1
    assert applied == [gateway]
    spec = importlib.util.find_spec("declared_found")
    assert spec is not None
    with pytest.raises(ModuleNotFoundError):
        after_import("declared_nowhere", applied.append)
        importlib.import_module("declared_nowhere")


def test_a_hook_that_is_given_twice_is_called_once(module: Callable[..., str]) -> None:
    """What hooks into a package does so again when the package is reloaded."""
    from sideeffects._core.state.import_hooks import after_import

    applied: list[Any] = []
    name = module("declared_hooked")
    after_import(name, applied.append)
    after_import(name, applied.append)
    gateway = importlib.import_module(name)
    assert applied == [gateway]
    importlib.reload(gateway)
    assert applied == [gateway, gateway]


def test_a_found_module_can_still_be_looked_into(module: Callable[..., str]) -> None:
    """What looks for a module without importing it gets a loader with everything that the real one has."""
    import importlib.util

    declare(f"{module('declared_inspected')}:send", name="send")
    spec = importlib.util.find_spec("declared_inspected")
    assert spec is not None
    assert "somebody else wrote" in spec.loader.get_source("declared_inspected")  # type: ignore[union-attr]
    module("declared_namespace.inner")
    (Path(sys.path[0]) / "declared_namespace" / "__init__.py").unlink()
    from sideeffects._core.state.import_hooks import after_import

    seen: list[Any] = []
    after_import("declared_namespace", seen.append)
    assert importlib.import_module("declared_namespace.inner").send("ann") == "sent to ann"


def test_a_module_whose_spec_is_unknown_is_executed_all_the_same() -> None:
    """Some programs execute modules that they made themselves."""
    from sideeffects._core.state.import_hooks import _Loader

    class Loader:
        def exec_module(self, module: Any) -> None:
            module.value = 3

    made, seen = types.ModuleType("declared_made"), []
    assert made.__spec__ is None
    _Loader(Loader(), [seen.append]).exec_module(made)
    assert seen == [made]
    assert made.value == 3  # type: ignore[attr-defined]


# -- what cannot be declared


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            "declared_bad:sned",
            "there is no declared_bad:sned to declare: no 'sned' in it; the nearest is declared_bad:send",
        ),
        ("declared_bad:Client.chrage", "no 'chrage' in it; the nearest is declared_bad:Client.charge"),
        ("declared_bad:Cleint.charge", "no 'Cleint' in it; the nearest is declared_bad:Client"),
        ("declared_bad:zzz", "there is no declared_bad:zzz to declare: no 'zzz' in it"),
    ],
)
def test_a_missing_target_names_the_nearest(target: str, message: str, module: Callable[..., str]) -> None:
    """At once for an imported module, and nothing is declared."""
    importlib.import_module(module("declared_bad"))
    with pytest.raises(DeclarationError) as refused:
        declare(target)
    assert message in str(refused.value)
    assert list(registry) == []


@pytest.mark.parametrize(
    "target", ["", "smtplib", "smtplib:", ":send", "smtplib.SMTP", "a b:c", "a:b.", "a:b-c", "a::b"]
)
def test_a_malformed_target_is_refused(target: str) -> None:
    """The error shows how to write one."""
    with pytest.raises(ValueError, match=r"is no target: write 'package.module:function'"):
        declare(target)


def test_bad_names_and_options_are_refused_at_once(module: Callable[..., str]) -> None:
    """Not only when the module is imported."""
    name = module("declared_options")
    with pytest.raises(ValueError, match="is no side effect name"):
        declare(f"{name}:send", name="a b")
    with pytest.raises(TypeError, match=r"declare\(\) has no option 'retries'"):
        declare(f"{name}:send", retries=3)
    importlib.import_module(name)
    with pytest.raises(TypeError, match="cannot decorate the class Client"):
        declare(f"{name}:Client")
    with pytest.raises(TypeError, match="decorates functions and methods, not 3"):
        declare(f"{name}:number", name="number")
    side_effect(name="taken")(lambda: None)
    with pytest.raises(DuplicateSideEffect):
        declare(f"{name}:send", name="taken")
    assert sys.modules[name].send("ann") == "sent to ann"


def test_what_was_refused_at_once_does_not_break_a_later_import(module: Callable[..., str]) -> None:
    """Whoever declared has been told: importing the module again declares what is right, and raises nothing."""
    name = module("declared_again")
    found = importlib.import_module(name)
    with pytest.raises(DeclarationError):
        declare(f"{name}:sennd", name="send.typo")
    declare(f"{name}:send", name="send")
    importlib.reload(found)
    assert found.send.effect.name == "send"


def test_what_python_does_not_let_replace_is_refused() -> None:
    """Methods of types written in C cannot be declared; the error says what to do, and nothing is entered."""
    with pytest.raises(DeclarationError, match=r"array:array.append cannot be declared: .* Wrap it in a function"):
        declare("array:array.append")
    assert list(registry) == []
    assert array.array("b").append(1) is None


def test_an_alias_that_was_imported_before_is_an_error(
    module: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls through it would escape, so the error names module and attribute."""
    name = module("declared_alias")
    monkeypatch.setitem(sys.modules, "declared_oddly", types.SimpleNamespace(send="this is no module"))
    user = importlib.import_module(module("declared_alias_user", "from declared_alias import send as deliver"))
    with pytest.raises(DeclarationError) as refused:
        declare(f"{name}:send", name="send")
    assert str(refused.value) == (
        "declared_alias_user.deliver is declared_alias:send, imported before it was declared as 'send': "
        "calls through it would escape. Declare it before that import (in SIDE_EFFECTS['DECLARE'], or at the top "
        "of the settings), or declare 'declared_alias_user:deliver' instead"
    )
    assert list(registry) == []
    assert user.deliver("ann") == "sent to ann"
    assert sorted(_declare.holders(user.deliver)) == ["declared_alias.send", "declared_alias_user.deliver"]
    assert _declare.is_imported(f"{name}:send")
    assert not _declare.is_imported("declared_nowhere:send")


def test_an_alias_that_is_imported_afterwards_is_decided(module: Callable[..., str]) -> None:
    """It is the declared function."""
    declare(f"{module('declared_early')}:send", name="send")
    user = importlib.import_module(module("declared_early_user", "from declared_early import send as deliver"))
    with capture() as calls:
        user.deliver("ann")
    assert calls.count("send") == 1
    with forbid("send"), pytest.raises(SideEffectBlocked):
        user.deliver("ann")


# -- by settings


SETTINGS = """
    import sys
    sys.path.insert(0, {path!r})
    from django.conf import settings
    settings.configure(SIDE_EFFECTS={{"DECLARE": {declared!r}}})
    import sideeffects
    from sideeffects import capture, registry
    sideeffects.explain("by.name") if "--first" in sys.argv else None
    import declared_by_settings as gateway
    import sideeffects.project.live_settings
    sideeffects.project.live_settings.current_rules()
    with capture() as calls:
        gateway.send("ann")
        gateway.Client().charge(1)
    print(sorted(registry), [call.name for call in calls], gateway.RAN)
"""


@pytest.mark.parametrize(
    ("declared", "names"),
    [
        (
            ["declared_by_settings:send", "declared_by_settings:Client.charge"],
            ["declared_by_settings.Client.charge", "declared_by_settings.send"],
        ),
        (
            {"declared_by_settings:send": "by.name", "declared_by_settings:Client.charge": {"name": "c"}},
            ["by.name", "c"],
        ),
        ({"declared_by_settings:send": {"sensitive": ["to"]}}, ["declared_by_settings.send"]),
    ],
)
def test_the_setting_declares(declared: Any, names: list[str], module: Callable[..., str], tmp_path: Path) -> None:
    """`SIDE_EFFECTS["DECLARE"]` takes targets, names for them, or options; without `INSTALLED_APPS`."""
    module("declared_by_settings")
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SETTINGS.format(path=str(tmp_path), declared=declared))],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(f"{names} ")
    assert "'ann'" not in ran.stdout


def test_a_bad_setting_is_told_at_the_first_decision() -> None:
    """A target that is none never means that nothing is declared."""
    from django.test import override_settings

    declared = side_effect(name="send")(lambda: None)
    with (
        override_settings(SIDE_EFFECTS={"DECLARE": ["smtplib"]}),
        pytest.raises(ImproperlyConfigured, match="'smtplib' is no target"),
    ):
        declared()


def test_declared_effects_execute_in_production(module: Callable[..., str], production: None) -> None:
    """Outside a test run a declared function does what it did."""
    gateway = importlib.import_module(module("declared_production"))
    declare("declared_production:send", name="send")
    assert gateway.send("ann") == "sent to ann"
    with capture() as calls:
        gateway.send("ben")
    assert calls[0].mode is Mode.EXECUTE
    assert gateway.RAN == ["ann", "ben"]


# -- declarations that wait


def test_declarations_wait_until_their_module_is_imported(module: Callable[..., str]) -> None:
    """Discovery asks which ones do, and imports their modules."""
    name = module("declared_waiting")
    before = set(_declare.waiting())
    declare(f"{name}:send", name="send")
    declare(f"{name}:sned", name="misspelt")
    assert set(_declare.waiting()) - before == {f"{name}:send", f"{name}:sned"}
    for _ in range(2):
        with pytest.raises(DeclarationError, match="no 'sned' in it"):
            _declare.find(f"{name}:sned")
    assert set(_declare.waiting()) - before == {f"{name}:sned"}


def test_a_waiting_declaration_is_found(module: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """By importing its module; one that somebody made by hand is declared as well."""
    name = module("declared_found_later")
    declare(f"{name}:send", name="send")
    _declare.find(f"{name}:send")
    with capture() as calls:
        sys.modules[name].send("ann")
    assert calls.count("send") == 1

    declare("declared_by_hand:send", name="by.hand")
    made = types.ModuleType("declared_by_hand")
    made.send = lambda to: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "declared_by_hand", made)
    _declare.find("declared_by_hand:send")
    with capture() as calls:
        made.send("ann")  # type: ignore[attr-defined]
    assert calls.count("by.hand") == 1
    assert "declared_by_hand:send" not in _declare.waiting()


def test_what_an_adapter_makes_takes_the_place_of_the_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Things that are no functions, such as tasks, are declared by their adapter, and replaced by what it gives."""
    module = types.ModuleType("adapted_module")
    kind = type("Thing", (), {"__module__": "adapted_module"})
    module.thing = kind()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "adapted_module", module)
    monkeypatch.setitem(decorator._adapters, "adapted_module.Thing", lambda *told: ("adapted", told[1]))
    declare("adapted_module:thing", name="x.thing")
    assert module.thing == ("adapted", "x.thing")
