"""The names of the package: each is imported when it is first asked for, and none is missed."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import sideeffects
from tests.support.projects import clean_environment

PACKAGE = Path(sideeffects.__file__).parent


def run(source: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env={**clean_environment(), **environment},
    )


def test_the_names_are_those_of_the_contract_and_all_there() -> None:
    """Also before any was asked for."""
    ran = run(
        "import sideeffects as s; print(set(s.__all__) <= set(dir(s)), [n for n in s.__all__ if not getattr(s, n)])"
    )
    assert ran.stdout.strip() == "True ['registry']"  # which is empty
    assert sorted(sideeffects.__all__) == sideeffects.__all__


@pytest.mark.parametrize("door", ["sideeffects", "sideeffects.testing"])
def test_checkers_see_the_names_where_they_live(door: str) -> None:
    """What a door has for type checkers alone is what it imports when a name is asked for."""
    module = importlib.import_module(door)
    source = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    [block] = [node for node in source.body if isinstance(node, ast.If)]
    seen = {
        alias.asname: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert seen == module._MODULES


#: What users import and what is stored in task rows, messages and settings: these paths stay.
PUBLIC = {
    "sideeffects": ["side_effect", "declare", "registry", "dry_run", "run_side_effects", "Calls"],
    "sideeffects.dryrun": ["dry_run", "Plan", "DryRunRefused"],
    "sideeffects.engines.celery": ["CeleryEngine"],
    "sideeffects.engines.django_tasks": ["DjangoTasksEngine"],
    "sideeffects.engines.dramatiq": ["DramatiqEngine"],
    "sideeffects.engines.huey": ["HueyEngine"],
    "sideeffects.engines.rq": ["RQEngine"],
    "sideeffects.engines.threads": ["ThreadEngine"],
    "sideeffects.errors": ["SideEffectError", "SideEffectBlocked", "UnknownSideEffect", "LedgerError"],
    "sideeffects.ledgers": ["shared_calls"],
    "sideeffects.probes": ["SmokeTest", "Probe", "ProbeRunner"],
    "sideeffects.probes.access": ["Access"],
    "sideeffects.probes.urls": ["urlpatterns"],
    "sideeffects.probes.views": ["IndexView"],
    "sideeffects.pytest_plugin": ["pytest_configure"],
    "sideeffects.saferunner": ["safely_run_processes"],
    "sideeffects.testing": ["SideEffectsMixin", "Race", "fault_sweep", "guard", "isolated_registry"],
}
FOLDERS = [
    ".".join(path.relative_to(PACKAGE.parent).parent.parts)
    for path in sorted(PACKAGE.rglob("__init__.py"))
    if "_core" not in path.parts
]


@pytest.mark.parametrize("module", PUBLIC)
def test_public_paths_stay(module: str) -> None:
    """Each is imported by somebody's code, or written in somebody's settings."""
    there = importlib.import_module(module)
    assert not [name for name in PUBLIC[module] if not hasattr(there, name)]


def test_what_is_stored_names_homes_that_never_move() -> None:
    """Rows of Django's tasks and the messages of queues outlive a release."""
    from sideeffects.engines import celery, django_tasks, dramatiq, huey, rq

    assert f"{django_tasks.__name__}.run_effect" == "sideeffects.engines.django_tasks.run_effect"
    assert celery.TASK == dramatiq.ACTOR == "sideeffects.run"
    assert f"{huey.task_class().__module__}.{huey.task_class().__name__}" == huey.TASK
    assert (huey.TASK, rq.TASK) == ("sideeffects.engines.huey.run_effect", "sideeffects.engines.rq.run_effect")


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_folder_lists_what_is_public_in_it(folder: str) -> None:
    """Sorted (constants, classes, functions), and all of it is there; nothing is an answer too."""
    there = importlib.import_module(folder)
    assert sorted(there.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name)) == there.__all__
    assert not [name for name in there.__all__ if not hasattr(there, name)]


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """As with any module."""
    with pytest.raises(AttributeError, match="module 'sideeffects' has no attribute 'side_efect'"):
        getattr(sideeffects, "side_efect")  # noqa: B009 - the checkers would see it


@pytest.mark.parametrize(
    "first",
    [
        "import sideeffects.project.live_settings",
        "import sideeffects.project.wiring",
        "import sideeffects.saferunner",
        "import sideeffects._core.runtime.perform, sideeffects._core.verbs.declare",
        "from sideeffects.testing import isolated_registry, SideEffectsMixin",
        "import celery, celery.app.task",
        "import django.conf",
        "from sideeffects import *",
    ],
)
def test_whatever_is_imported_first_the_settings_decide(first: str) -> None:
    """The lower floors have the upper ones plugged in before an effect can be called, by whatever door it came."""
    ran = run(f"""
{first}
from django.conf import settings
settings.configure(SIDE_EFFECTS={{"MODE": "raise"}})
from sideeffects import SideEffectBlocked, side_effect

@side_effect(name="send", async_ok=True)
def send(): print("executed")

for call in (send, send.enqueue):
    try:
        call()
    except SideEffectBlocked as error:
        print("refused")
""")
    assert ran.stdout.split() == ["refused", "refused"], ran.stderr


def test_settings_that_declare_are_obeyed_although_nobody_imports_a_verb() -> None:
    """The package is imported, by the plugin say, and Django comes later."""
    ran = run("""
import sideeffects
from django.conf import settings
settings.configure(SIDE_EFFECTS={"DECLARE": ["smtplib:SMTP.send_message"]}, INSTALLED_APPS=[])
import django
django.setup()
import smtplib
from sideeffects import registry
print(*registry)
""")
    assert ran.stdout.split() == ["smtplib.SMTP.send_message"], ran.stderr


def test_wrong_settings_stop_a_test_run_again_and_again() -> None:
    """Who catches the first error and goes on gets no effect that ignores the settings."""
    ran = run(
        """
from django.conf import settings
settings.configure(SIDE_EFFECTS={"MOOD": "record"})
for _ in range(2):
    try:
        from sideeffects import side_effect
    except Exception as error:
        print(type(error).__name__)
    else:
        @side_effect(name="send")
        def send(): print("executed")
        try:
            send()
        except Exception as error:
            print(type(error).__name__)
""",
        SIDE_EFFECTS_TEST_RUN="1",
    )
    assert ran.stdout.split() == ["ImproperlyConfigured"] * 2, ran.stderr
