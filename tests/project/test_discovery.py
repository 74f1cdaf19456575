"""Finding the effects of modules that nothing has imported, and importing no others."""

from pathlib import Path

import pytest

from tests.support.listed_project import write_settings
from tests.support.projects import Project

pytestmark = pytest.mark.processes

SET_UP = """
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()

    import sideeffects
    from sideeffects.project.discovery import finding
"""
#: Prints what is found: the names of the effects, those that are not imported, then what could not be looked at.
LIST = (
    SET_UP
    + """
    found = finding.discover()
    print(*sideeffects.registry)
    print(*[effect.name for effect in finding.not_imported_effects()])
    for failure in found.failures:
        print(failure)
"""
)

HELPERS = """
    import functools

    import sideeffects
    from sideeffects import declare, side_effect

    plain = side_effect
    tagged = side_effect(tags=["tagged"])
    partial = functools.partial(side_effect, owner="team-a")


    def named(name):
        return side_effect(name=name)


    class Maker:
        def __init_subclass__(cls):
            cls.send = side_effect(name=f"made.{cls.__name__}")(cls.send)
"""

#: Modules of the app `shop`, each of which declares one effect of its own name.
DECLARING = {
    "direct": "from sideeffects import side_effect\n@side_effect(name='direct')\ndef f(): ...",
    "bare": "from sideeffects import side_effect as se\n@se\ndef f(): ...",
    "whole": "import sideeffects\n@sideeffects.side_effect(name='whole')\ndef f(): ...",
    "renamed": "import sideeffects as s\n@s.side_effect(name='renamed')\ndef f(): ...",
    "starred": "from sideeffects import *\n@side_effect(name='starred')\ndef f(): ...",
    "called": "from sideeffects import side_effect\ndef f(): ...\nf = side_effect(name='called')(f)",
    "method": "from sideeffects import side_effect\nclass A:\n    @side_effect(name='method')\n    def f(self): ...",
    "inner": "from sideeffects import side_effect\nif True:\n    try:\n        @side_effect(name='inner')\n"
    "        def f(): ...\n    finally:\n        pass",
    "listed": "from sideeffects import side_effect\ndef f(): ...\nfs = [side_effect(name=n)(f) for n in ['listed']]",
    "alias": "from sideeffects import side_effect\nse = side_effect\n@se(name='alias')\ndef f(): ...",
    "declares": "import sideeffects\nsideeffects.declare('string:capwords', name='declares')",
    "reexported": "from shop.helpers import side_effect\n@side_effect(name='reexported')\ndef f(): ...",
    "relative": "from .helpers import plain\n@plain(name='relative')\ndef f(): ...",
    "through": "from shop import helpers as h\n@h.plain(name='through')\ndef f(): ...",
    "dotted": "import shop.helpers\n@shop.helpers.sideeffects.side_effect(name='dotted')\ndef f(): ...",
    "tagged": "from shop.helpers import tagged\n@tagged\ndef f(): ...",
    "partial": "from shop.helpers import partial\n@partial(name='partial')\ndef f(): ...",
    "own": "from shop.helpers import named\n@named('own')\ndef f(): ...",
    "made": "from shop.helpers import Maker\nclass made(Maker):\n    def send(self): ...",
    "chain_b": "from shop.helpers import named as renamed_again",
    "chain": "from shop.chain_b import renamed_again\n@renamed_again('chain')\ndef f(): ...",
    "late_c": "from shop.chain_b import renamed_again as again",
    "late_b": "from sideeffects import registry\nfrom shop.late_c import again as and_again",
    "late": "from shop.late_b import and_again\n@and_again('late')\ndef f(): ...",
    "star_b": "from shop.helpers import *",
    "star": "from shop.star_b import named\n@named('star')\ndef f(): ...",
    "latin": "# coding: latin-1\nfrom sideeffects import side_effect\n@side_effect(name='latin')\ndef f(): 'F\xfcr.'",
}
NAMES = {
    **{name: name for name in DECLARING},
    "bare": "shop.bare.f",
    "tagged": "shop.tagged.f",
    "made": "made.made",
}
NAMES = {module: name for module, name in NAMES.items() if not module.endswith(("_b", "_c"))}

#: Modules that speak of effects and declare none when they are imported.
SILENT = {
    "nothing": "import os",
    "comment": "# sideeffects.side_effect",
    "text": "NAME = 'from sideeffects import side_effect'",
    "imports": "from sideeffects import side_effect, declare, registry",
    "overrides": "from sideeffects import record\ndef f():\n    with record('sms.send'): ...",
    "uses": "from shop.sms import send\nHANDLERS = {'sms': send}\ndef f(): send('+44')",
    "later": "from sideeffects import side_effect\ndef make():\n    @side_effect(name='later')\n    def f(): ...\n"
    "    return f",
    "as_program": "from sideeffects import side_effect\nif __name__ == '__main__':\n    @side_effect\n    def f(): ...",
    "decorators": "import functools\nfrom sideeffects import side_effect\nsms = side_effect(tags=['sms'])\n"
    "se = side_effect\npart = functools.partial(side_effect, owner='x')",
    "mocked": "from unittest import mock\nm = mock.Mock()\nm.side_effect = ValueError",
    "circle_a": "from shop.circle_b import x\nfrom sideeffects import registry",
    "circle_b": "from shop.circle_a import x\nfrom sideeffects import registry\nx = x.y\n@x\ndef f(): ...",
    "growing": "import sideeffects\na = b.x\nb = a.x\n@a\ndef f(): ...",
    "broken": "import sideeffects.nothing_of_that_name",
    "raising": "raise RuntimeError('imported')",
}
TRACE = "from effects import note; note('attempted', __name__)\n"


def found_in(project: Project) -> set[str]:
    """The names of the effects that are found besides those that every project of these tests has."""
    return found_and_read_in(project)[0]


def found_and_read_in(project: Project) -> tuple[set[str], set[str]]:
    """The names of the effects that are found by importing, and of those that are only read."""
    names, read, *failures = project.program(LIST).splitlines()
    assert not failures
    return set(names.split()) - {"sms.send", "shop.send", "shop.confirm", "shop.ring"}, set(read.split())


def test_an_effect_is_found_however_it_is_declared(project: Project) -> None:
    """Aliases, re-exports, the project's own decorators and base classes, `declare`: each is seen in the source."""
    project.write("shop/helpers.py", HELPERS)
    for module, source in DECLARING.items():
        (project.root / f"shop/{module}.py").write_text(source, encoding="latin-1")

    assert found_in(project) == set(NAMES.values())


def test_modules_that_declare_nothing_are_not_imported(project: Project) -> None:
    """Speaking of effects, using them, or preparing decorators is no reason to be imported."""
    for module, source in SILENT.items():
        project.write(f"shop/{module}.py", TRACE + source)
    project.write("shop/control.py", TRACE + DECLARING["direct"])

    assert found_in(project) == {"direct"}
    assert project.attempted == {"shop.control": 1}


def test_modules_are_found_wherever_the_project_has_them(project: Project) -> None:
    """In apps, in packages that are no apps, in folders without `__init__.py`, next to them, and by way of links."""
    project.write("effects_too.py", TRACE + DECLARING["direct"].replace("direct", "root"))
    project.write("config/wiring.py", TRACE + DECLARING["direct"].replace("direct", "settings-package"))
    project.write("shop/deep/er/x.py", TRACE + DECLARING["direct"].replace("direct", "deep"))
    project.write("services/__init__.py", "")
    project.write("services/x.py", TRACE + DECLARING["direct"].replace("direct", "no-app"))
    project.write("pack/__init__.py", TRACE + DECLARING["direct"].replace("direct", "package"))
    project.write("loose/x.py", TRACE + DECLARING["direct"].replace("direct", "no-init"))
    project.write("elsewhere/.hidden/linked/x.py", TRACE + DECLARING["direct"].replace("direct", "linked"))
    (project.root / "linked").symlink_to(project.root / "elsewhere/.hidden/linked")
    (project.root / "services/loop").symlink_to(project.root / "services")
    project.write("shop/management/commands/bill.py", TRACE + DECLARING["direct"].replace("direct", "command"))

    imported, read = found_and_read_in(project)

    assert imported == {"deep", "command"}
    assert read == {"root", "settings-package", "no-app", "package", "no-init", "linked"}
    assert set(project.attempted.values()) == {1}


def test_what_an_app_imports_is_imported_too(project: Project) -> None:
    """Also inside functions, and by way of other modules; nothing else is, and no script ever."""
    declaring = TRACE + DECLARING["direct"]
    for path in ("services/__init__.py", "chain/__init__.py", "never/__init__.py"):
        project.write(path, "")
    project.write("services/x.py", declaring.replace("direct", "by-function"))
    project.write("chain/a.py", "from .b import *")
    project.write("chain/b.py", "def go():\n    import chain.c")
    project.write("chain/c.py", declaring.replace("direct", "by-chain"))
    project.write("top.py", DECLARING["direct"].replace("direct", "at-top"))
    project.write("acting.py", declaring.replace("direct", "acting") + "\nfor number in range(2): print('done')")
    project.write("scripts/x.py", declaring.replace("direct", "in-scripts") + "\nimport never.y")
    project.write("shop/scripts/x.py", declaring.replace("direct", "in-scripts-of-app"))
    project.write("never/x.py", declaring.replace("direct", "by-nobody"))
    project.write("never/y.py", declaring.replace("direct", "by-script"))
    project.write(
        "shop/views.py",
        """
        import chain.a


        def view():
            import acting
            import scripts.x
            from services.x import f
            from top import f
        """,
    )

    imported, read = found_and_read_in(project)

    assert imported == {"by-function", "by-chain", "at-top"}
    assert read == {"acting", "in-scripts", "in-scripts-of-app", "by-nobody", "by-script"}


def test_only_commands_and_the_start_of_test_runs_import(project: Project) -> None:
    """A name that the source shows is known elsewhere; another one is not, and the message says what may be missing."""
    project.write("shop/loop.py", TRACE + "import sideeffects\nfor n in 'ab': sideeffects.side_effect(name=n)(print)")

    printed = project.program(
        SET_UP
        + """
    with sideeffects.record("sms.*"):
        print(sideeffects.explain("sms.send").mode.name, "sms.send" in sideeffects.registry)
    try:
        sideeffects.explain("a")
    except KeyError as error:
        print(*error.__notes__)
"""
    )

    decided, notes = printed.splitlines()
    assert decided == "RECORD False"
    assert "shop.loop declares effects under names that its source does not show" in notes
    assert not project.attempted


@pytest.mark.parametrize(
    "source",
    [
        {"shop/views.py": "from django.contrib import messages\ndef f(): messages.success(1)"},
        {"shop/models/__init__.py": "".join(f"from .m{n} import *\n" for n in range(9))}
        | {f"shop/models/m{n}.py": f"from django.db.models import *\nclass M{n}: ..." for n in range(9)},
        {f"shop/m{n}.py": f"from .m{(n + 1) % 9} import *\nfrom .m{(n + 2) % 9} import *\n" for n in range(9)},
    ],
    ids=["messages", "models", "circles"],
)
def test_star_imports_are_followed_in_linear_time(project: Project, source: dict[str, str]) -> None:
    """Names that come through many stars, or through none, are looked for once in each module."""
    for path, text in source.items():
        project.write(path, text)
    imported = ".".join(next(iter(source)).removesuffix("/__init__.py").removesuffix(".py").split("/"))
    project.write(
        "shop/last.py",
        f"from {imported} import *\nimport {imported} as all\n" + DECLARING["direct"] + "\n"
        "def g(): return Order.objects.get(pk=1), all.Customer.objects.filter(x=1).y.z, messages.success.x.y(1)\n"
        "def h(): return unknown.decorator(Order.a.b.side_effect.c)",
    )
    write_settings(project, 'INSTALLED_APPS += ["django.contrib.messages"]')

    assert found_in(project) == {"direct"}


def test_looking_ends_after_its_bound_and_says_what_is_left(project: Project) -> None:
    """A module that never ends is stopped, and those after it are named."""
    project.write("shop/a.py", "import time\ntime.sleep(600)\n" + DECLARING["direct"])
    project.write("shop/b.py", TRACE + DECLARING["direct"].replace("direct", "b"))

    printed = project.program(
        SET_UP
        + """
    import effects

    found = finding.discover(seconds=1)
    print(*found.notes(), sep="\\n")
    print(*[effect.name for effect in finding.not_imported_effects()])
"""
    )

    stopped, unread, names = printed.splitlines()
    assert "shop.a could not be imported: TookTooLong" in stopped
    assert "not looked at: shop.b" in unread
    assert {"direct", "b"} <= set(names.split())
    assert not project.attempted


def test_tests_scripts_environments_and_other_projects_are_left_out(project: Project) -> None:
    """What is no part of the running project is not imported, whatever it declares."""
    for path in (
        "shop/tests/test_x.py",
        "shop/tests/factories.py",
        "shop/tests.py",
        "shop/test_x.py",
        "shop/x_test.py",
        "shop/conftest.py",
        "shop/migrations/x.py",
        "shop/__main__.py",
        "shop/.hidden/x.py",
        "shop/not-a-name.py",
        "setup.py",
        "venv/lib/x.py",
        "node_modules/x.py",
        "build/lib/x.py",
        "docs/x.py",
        "other/x.py",
        "json/x.py",
        "config/settings_production.py",
    ):
        project.write(path, TRACE + DECLARING["direct"].replace("direct", "left-out"))
    project.write("venv/pyvenv.cfg", "")
    project.write("other/pyproject.toml", "")

    assert found_in(project) == set()
    assert not project.attempted


def test_settings_of_other_environments_are_left_out(project: Project) -> None:
    """Importing the modules next to the settings in force would mix two environments."""
    project.write("config/settings.py", "")
    (project.root / "config/settings.py").unlink()
    project.write("config/settings/__init__.py", "")
    project.write("config/settings/local.py", "from config.settings.base import *\nINSTALLED_APPS = []")
    project.write("config/settings/base.py", "")
    project.write("config/settings/production.py", TRACE + DECLARING["direct"])

    source = LIST.replace("config.settings", "config.settings.local")

    imported, read = project.program(source).splitlines()
    assert not imported
    assert read.split() == ["shop.confirm", "shop.ring", "shop.send", "sms.send"]
    assert not project.attempted


def test_a_module_in_two_folders_of_the_path_is_imported_once(project: Project) -> None:
    """An app by its own name, other modules by the shorter one: twice would declare and run everything twice."""
    project.write("apps/basket/__init__.py", "")
    project.write("apps/basket/x.py", TRACE + DECLARING["direct"])
    project.write("apps/loose/x.py", TRACE + DECLARING["direct"].replace("direct", "loose"))
    write_settings(project, 'import sys\nsys.path.insert(0, str(BASE_DIR / "apps"))\nINSTALLED_APPS += ["apps.basket"]')

    project.write("apps/basket/uses.py", "import loose.x")

    assert found_in(project) == {"direct", "loose"}
    assert project.attempted == {"apps.basket.x": 1, "loose.x": 1}


def test_finding_effects_executes_none(project: Project) -> None:
    """Modules that call effects while they are imported do not reach them: not by force, in threads, or later on."""
    project.write(
        "shop/eager.py",
        """
        import threading
        from concurrent.futures import ThreadPoolExecutor

        from effects import attempt, attempt_all_shapes, note, send
        from sideeffects import force_run, side_effect

        side_effect(name="eager")(lambda: None)
        first = threading.Thread(target=attempt, args=["first thread"])
        first.start()
        first.join()
        attempt_all_shapes("import")
        with force_run("__all__"):
            attempt_all_shapes("forced")
            thread = threading.Thread(target=attempt, args=["thread"])
            thread.start()
            thread.join()
            with ThreadPoolExecutor() as pool:
                pool.submit(attempt, "pool").result()
        go = threading.Event()
        late = threading.Thread(target=lambda: (go.wait(60), attempt("late")))
        late.start()
        """,
    )
    after = LIST + "    import shop.eager\n    shop.eager.go.set()\n    shop.eager.late.join()\n"

    for environment in ({}, {"SIDE_EFFECTS_TEST_RUN": "1"}):
        project.program(after, environment=environment)

        assert {"import", "first thread", "forced: background", "thread", "pool", "late"} <= set(project.attempted)
        assert not project.executed


def test_a_module_that_calls_an_effect_while_it_is_found_is_named(project: Project) -> None:
    """It has got what a recorded call returns, which somebody should know."""
    project.write("shop/eager.py", DECLARING["direct"] + "\nf()\n")
    project.write("program.py", LIST)

    run = project.run("program.py")

    assert "shop.eager called the side effect direct while it was imported" in run.stderr
    assert "shop/eager.py:4" in run.stderr


def test_after_discovery_effects_execute_again(project: Project) -> None:
    """What holds while modules are imported ends with it."""
    project.program(LIST + "    import effects\n    effects.attempt('afterwards')\n")

    assert project.executed == {"afterwards": 1}


def test_an_override_finds_the_effect_that_it_names(project: Project) -> None:
    """Names are checked after finding, with `sideeffects` missing from INSTALLED_APPS too."""
    write_settings(project, 'INSTALLED_APPS = ["shop"]')

    printed = project.program(
        SET_UP
        + """
    import sys

    assert "shop.sms" not in sys.modules
    with sideeffects.record("sms.*"), sideeffects.capture() as calls:
        import shop.sms

        shop.sms.send("+44")
    print(calls.count("sms.send"))
"""
    )

    assert printed.split() == ["1"]
    assert not project.executed


def test_an_unknown_name_says_what_could_not_be_looked_at(project: Project) -> None:
    """The name may be declared in a module that fails to import; apps that are not loaded yet are a reason too."""
    project.write("shop/failing.py", DECLARING["listed"] + "\n1 / 0\n")
    project.write("shop/unparsed.py", "import sideeffects\ndef (")
    project.write(
        "shop/apps.py",
        """
        import traceback

        import sideeffects
        from django.apps import AppConfig


        class Shop(AppConfig):
            name = "shop"

            def ready(self):
                try:
                    sideeffects.explain("sms.sent")
                except KeyError:
                    print("ready:", traceback.format_exc())
        """,
    )

    printed = project.program(
        SET_UP
        + """
    import traceback

    try:
        sideeffects.explain("sms.sent")
    except KeyError:
        print("afterwards:", traceback.format_exc())
"""
    )

    before, _, afterwards = printed.partition("afterwards:")
    assert "Django's apps are not loaded yet" in before
    assert "shop.failing declares effects under names that its source does not show" in afterwards
    assert "shop.unparsed could not be imported: SyntaxError" in afterwards
    assert "Did you mean 'sms.send'" in afterwards
    assert "not loaded" not in afterwards


def test_a_failing_module_hides_no_others_and_is_tried_again(project: Project) -> None:
    """Whatever it raises, the others are found; when the reason is gone, so is the failure."""
    project.write("shop/failing.py", "import flags\nif not flags.fixed: raise SystemExit(3)\n" + DECLARING["direct"])
    project.write("flags.py", "fixed = False")

    printed = project.program(
        LIST
        + """
    import flags

    flags.fixed = True
    print(finding.discover().failures, "direct" in sideeffects.registry)
"""
    )

    names, read, failure, again = printed.splitlines()
    assert "sms.send" in names
    assert read == "direct"
    assert failure == f"shop.failing could not be imported: SystemExit: 3 ({project.root}/shop/failing.py:2)"
    assert again == "() True"


def test_imported_modules_are_not_imported_again(project: Project) -> None:
    """Neither those imported by name nor the one that runs as the program."""
    project.write("shop/known.py", TRACE + DECLARING["direct"].replace("direct", "known"))

    printed = project.program(
        "from effects import note\nnote('attempted', 'program')\nimport sideeffects\n"
        "@sideeffects.side_effect(name='in.program')\ndef f(): ...\nimport shop.known\n"
        + LIST.replace("\n    ", "\n")
        + "finding.discover()\n"
    )

    assert "in.program" in printed
    assert project.attempted == {"shop.known": 1, "program": 1}


def test_threads_may_look_at_once(project: Project) -> None:
    """Each module is imported once, all see its effects, and none waits for ever."""
    for number in range(10):
        project.write(f"shop/m{number}.py", TRACE + DECLARING["direct"].replace("direct", f"m{number}"))

    printed = project.program(
        SET_UP
        + """
    import threading

    barrier = threading.Barrier(4)
    seen = []


    def look(number):
        barrier.wait()
        finding.discover()
        with sideeffects.record(f"m{number}"):
            seen.append(number)


    threads = [threading.Thread(target=look, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(sorted(seen))
"""
    )

    assert printed.strip() == "[0, 1, 2, 3]"
    assert set(project.attempted.values()) == {1}
    assert len(project.attempted) == 10


def test_an_isolated_registry_takes_no_effects_of_the_project(project: Project) -> None:
    """They would be lost with it, while their modules stay imported."""
    printed = project.program(
        SET_UP
        + """
    from sideeffects.testing import isolated_registry

    with isolated_registry():
        try:
            sideeffects.explain("sms.send")
        except KeyError as error:
            print(type(error).__name__)
    print(sideeffects.explain("sms.send").mode.name)
"""
    )

    assert printed.split() == ["UnknownSideEffect", "EXECUTE"]


def test_declared_targets_are_found_in_modules_that_nothing_imports(project: Project) -> None:
    """Those of the settings and those of `declare`."""
    write_settings(project, 'SIDE_EFFECTS = {"DECLARE": {"vendor.sdk:Client.send": "vendor.send"}}')
    project.write("shop/wiring.py", 'import sideeffects\nsideeffects.declare("vendor.api:post", name="vendor.post")')
    project.write("vendor/sdk.py", "class Client:\n    def send(self): ...")
    project.write("vendor/api.py", "def post(): ...")

    assert found_in(project) == {"vendor.send", "vendor.post"}


def test_declared_targets_that_do_not_exist_are_named_each_time(project: Project) -> None:
    """A second look does not take the failure for gone because the module has been imported meanwhile."""
    write_settings(project, 'SIDE_EFFECTS = {"DECLARE": ["vendor:sned", "vendored:send"]}')
    project.write("vendor.py", "def send(): ...")

    printed = project.program(LIST + "    print(*finding.discover().failures, sep='\\n')\n")

    _, _, *failures = printed.splitlines()
    assert len(failures) == 4
    assert failures[:2] == failures[2:]
    assert "vendor:sned is declared and cannot be found: DeclarationError" in failures[0]
    assert "the nearest is vendor:send" in failures[0]
    assert "ModuleNotFoundError: No module named 'vendored'" in failures[1]


def test_without_django_nothing_is_looked_for(tmp_path: Path) -> None:
    """Unknown names are refused at once, without importing Django."""
    printed = Project(tmp_path).program(
        """
        import sys

        import sideeffects

        try:
            with sideeffects.record("sms.send"):
                pass
        except sideeffects.UnknownSideEffect as error:
            print(getattr(error, "__notes__", []), "django" in sys.modules)
        """
    )

    assert printed.strip() == "[] False"
