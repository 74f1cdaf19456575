"""`manage.py check`: wrong settings, names that mean nothing, modules that cannot be looked at."""

import re
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from sideeffects import redirect, side_effect
from sideeffects.project.checks import check_settings, misspelt_settings
from sideeffects.testing import isolated_registry
from tests.support.listed_project import write_settings
from tests.support.projects import Project

pytestmark = pytest.mark.processes

WRONG = [
    ("E001", ["MODE"], "SIDE_EFFECTS must be a dict, not ['MODE']"),
    ("E001", {"MODES": "RECORD"}, "SIDE_EFFECTS has no key 'MODES'; did you mean 'MODE'?"),
    ("E001", {"policy": {}}, "did you mean 'POLICY'?"),
    ("E001", {7: 7}, "SIDE_EFFECTS has no key 7; the keys are MODE, POLICY"),
    ("E002", {"MODE": "RECRD"}, "'RECRD' is no mode; the modes are EXECUTE, HOLD, RECORD, RAISE"),
    ("E002", {"MODE": []}, "[] is no mode"),
    ("E003", {"POLICY": "RECORD"}, "must map effect names"),
    ("E003", {"POLICY": {"sms send": "RECORD"}}, "'sms send' is no effect name, no glob and no 'tag:x'"),
    ("E003", {"POLICY": {"tag:": "RECORD"}}, "'tag:' is no effect name"),
    ("E003", {"POLICY": {"sms.send.": "RAISE"}}, "'sms.send.' is no effect name"),
    ("E003", {"POLICY": {".sms": "RAISE"}}, "'.sms' is no effect name"),
    ("E003", {"POLICY": {"sms..*": "RAISE"}}, "'sms..*' is no effect name"),
    ("E003", {"POLICY": {"*.": "RAISE"}}, "'*.' is no effect name"),
    ("E003", {"POLICY": {"sms.*.": "RAISE"}}, "'sms.*.' is no effect name"),
    ("E003", {"POLICY": {"sms.[a": "RAISE"}}, "'sms.[a' is no effect name"),
    ("E003", {"POLICY": {"tag:*": "RAISE"}}, "'tag:*' is no effect name"),
    ("E003", {"POLICY": {"tag:a b": "RAISE"}}, "'tag:a b' is no effect name"),
    ("E003", {"POLICY": {3: "RECORD"}}, "3 is no effect name"),
    ("E003", {"POLICY": {"sms.*": "RECRD"}}, "'RECRD' for 'sms.*' is no mode"),
    ("E003", {"POLICY": {"sms.*": None}}, "None for 'sms.*' is no mode"),
    ("E004", {"TEST_RUN": "yes"}, "must be True or False, not 'yes'"),
    ("E005", {"FORCE_RUN": {"sms.send": True}}, "must be a list of effect names and globs"),
    ("E005", {"FORCE_RUN": [None]}, "None is no effect name and no glob"),
    ("E006", {"DECLARE": "smtplib:SMTP.send_message"}, "must be a list of targets"),
    ("E006", {"DECLARE": [7]}, "7 is no target"),
    ("E006", {"DECLARE": {7: "x"}}, "7 is no target"),
    ("E006", {"DECLARE": ["smtplib.SMTP.send_message"]}, "write 'package.module:function'"),
    ("E006", {"DECLARE": {"smtplib:SMTP": 7}}, "takes the effect's name, or a dict of options, not 7"),
    ("E006", {"DECLARE": {"smtplib:SMTP.sendmail": "mail send"}}, "'mail send' is no side effect name"),
    ("E006", {"DECLARE": {"smtplib:SMTP.sendmail": {"asyncok": True}}}, "there is no option 'asyncok'"),
    ("E007", {"LEDGER": "redis"}, "must be 'memory'"),
    ("E007", {"LEDGER": {"MAX_CALLS": 0}}, "MAX_CALLS must be a whole number above 0, not 0"),
    ("E007", {"LEDGER": {"MAX": 1}}, "has no key 'MAX'"),
    ("E008", {"ENGINE": "cellery"}, "did you mean 'celery'?"),
    ("E009", {"USE_SENTRY": "yes"}, "must be True or False, not 'yes'"),
    ("E010", {"SENSITIVE": "pin"}, "must be a list of names, not 'pin'"),
    ("E010", {"SENSITIVE": [""]}, "'' is no name"),
    ("E011", {"PROBES": []}, "must be a dict, not []"),
    ("E011", {"PROBES": {"TOKENS": "x"}}, "has no key 'TOKENS'; did you mean 'TOKEN'?"),
    ("E011", {"PROBES": {"SKIP_APPS": []}}, "has no key 'SKIP_APPS'"),
    ("E011", {"PROBES": {"TOKEN": ""}}, "TOKEN must consist of printable ASCII characters"),
    ("E011", {"PROBES": {"TOKEN": ["ok", 7]}}, "TOKEN must be a string, or a list of strings"),
    ("E011", {"PROBES": {"ALLOWED_IPS": "127.0.0.1"}}, "ALLOWED_IPS must be a list of addresses"),
    ("E011", {"PROBES": {"ALLOWED_IPS": ["10.0.0.0/64"]}}, "has '10.0.0.0/64', which is no address and no network"),
    ("E011", {"PROBES": {"PUBLIC": "yes"}}, "PUBLIC must be True or False, not 'yes'"),
    ("E011", {"PROBES": {"CACHE_SECONDS": -1}}, "CACHE_SECONDS must be a number of seconds, not -1"),
    ("E011", {"PROBES": {"TIMEOUT": 0}}, "TIMEOUT must be above 0, not 0"),
    ("E011", {"PROBES": {"PARALLEL": 1.5}}, "PARALLEL must be a whole number above 0, not 1.5"),
    ("E011", {"PROBES": {"TRUST_X_FORWARDED_FOR": -1}}, "or how many proxies append to it, not -1"),
    ("E017", {"OUTBOX": []}, "must be a dict with any of DATABASE, CACHE, REFRESH, not []"),
    ("E017", {"OUTBOX": {"DATABASE": 1}}, "DATABASE must be a key of DATABASES, not 1"),
    ("E017", {"OUTBOX": {"DATABSE": "x"}}, "has no key 'DATABSE'; did you mean 'DATABASE'?"),
    ("E017", {"OUTBOX": {"REFRESH": 0}}, "REFRESH must be a number of seconds above 0, not 0"),
    ("E012", {"GUARD": "rais"}, "'rais' is no level; the levels are off, warn, raise; did you mean 'raise'?"),
    ("E012", {"GUARD": 1}, "must be 'off', 'warn' or 'raise', or a dict"),
    ("E012", {"GUARD": {"LEVEL": True}}, "True is no level"),
    ("E012", {"GUARD": {"ALLOW": []}}, "has no key 'ALLOW'"),
    ("E012", {"GUARD": {"BASELINE": True}}, "BASELINE must be the path of a file, not True"),
    ("E012", {"GUARD": {"BASELINE": ""}}, "BASELINE must be the path of a file, not ''"),
    ("E012", {"GUARD": {"ALLOW_HOSTS": "db"}}, "ALLOW_HOSTS must be a list, not 'db'"),
    ("E012", {"GUARD": {"ALLOW_HOSTS": ["http://db/"]}}, "'http://db/' is a URL"),
    ("E012", {"GUARD": {"ALLOW_HOSTS": ["10.0.0.0/99"]}}, "ALLOW_HOSTS: '10.0.0.0/99' is no network"),
    ("E012", {"GUARD": {"IGNORE": [1]}}, "IGNORE: 1 must be a non-empty string"),
    ("E013", {"TRANSACTIONS": "forbid"}, "must be one of 'off', 'warn', 'raise', not 'forbid'"),
    ("E013", {"TRANSACTIONS": ["warn"]}, "must be one of"),
]


@pytest.mark.parametrize(("number", "settings", "sentence"), WRONG)
def test_each_wrong_setting_has_its_number_and_refuses_calls(number: str, settings: Any, sentence: str) -> None:
    """The check says what is wrong; until it is put right a call raises the same, and executes nothing."""
    executed = []
    with isolated_registry(), override_settings(SIDE_EFFECTS=settings):
        send = side_effect(name="sms.send")(executed.append)

        messages = check_settings()

        assert [message.id for message in messages] == [f"sideeffects.{number}"]
        assert sentence in messages[0].msg
        assert messages[0].is_serious()
        with pytest.raises(ImproperlyConfigured) as raised:
            send(1)
        assert str(raised.value) == messages[0].msg
    assert not executed


@pytest.mark.parametrize("value", [7, ["sms.send", 7], {"sms.send": True}])
def test_a_wrong_list_of_the_former_package_has_its_number(value: object) -> None:
    """`FORCE_RUN_SIDE_EFFECTS` is checked as strictly as our own settings."""
    with override_settings(FORCE_RUN_SIDE_EFFECTS=value):
        messages = check_settings()

    assert [message.id for message in messages] == ["sideeffects.E014"]


def test_all_problems_are_shown_at_once() -> None:
    """Nobody should have to put them right one by one."""
    with override_settings(SIDE_EFFECTS={"MODE": "x", "ENGINE": "y", "z": 1}, FORCE_RUN_SIDE_EFFECTS=1):
        messages = check_settings()

    assert [message.id for message in messages] == [f"sideeffects.E0{number}" for number in ("01", "02", "08", "14")]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        None,
        {"MODE": None, "POLICY": None},
        {"MODE": "record", "POLICY": {"*": "RAISE", "__all__": "execute"}, "TEST_RUN": False, "FORCE_RUN": ""},
        {"LEDGER": {"MAX_CALLS": 5}, "ENGINE": "threads", "SENSITIVE": ["pin"], "USE_SENTRY": False},
        {"PROBES": {}, "GUARD": "off", "TRANSACTIONS": "off", "DECLARE": []},
        {"TRANSACTIONS": "warn"},
        {"PROBES": {"TOKEN": ["a", "b"], "ALLOWED_IPS": ["::1", "10.0.0.0/8"], "PUBLIC": False, "READ_ONLY": True}},
        {"PROBES": {"CACHE_SECONDS": 0, "TIMEOUT": 2.5, "PARALLEL": 4, "TRUST_X_FORWARDED_FOR": 2, "TOKEN": None}},
    ],
)
def test_right_settings_are_not_complained_about(settings: object) -> None:
    """Neither are defaults spelt out, nor patterns that mean all effects while there is none."""
    with isolated_registry(), override_settings(SIDE_EFFECTS=settings):
        assert check_settings() == []


@override_settings(INSTALLED_APPS=["django.contrib.humanize"])
def test_an_app_to_be_skipped_that_is_not_there_is_a_warning() -> None:
    """Its probes run all the same. Labels, dotted names and paths of configurations mean an app."""
    known = ["humanize", "django.contrib.humanize", "django.contrib.humanize.apps.HumanizeConfig"]
    with override_settings(SMOKETEST_SKIP_APPS=[*known, "humanise", 7]):
        typo, number = check_settings()
    assert [typo.id, number.id] == ["sideeffects.W004"] * 2
    assert not typo.is_serious()
    assert typo.msg == "SMOKETEST_SKIP_APPS: no installed app is called 'humanise'; did you mean 'humanize'?"
    assert number.msg == "SMOKETEST_SKIP_APPS: no installed app is called 7"
    for value in ("nope", 7):
        with override_settings(SMOKETEST_SKIP_APPS=value):
            assert [message.id for message in check_settings()] == ["sideeffects.W004"]


# -- in a project


def ids(output: str) -> list[str]:
    """The numbers of our messages, in order."""
    return re.findall(r"\(sideeffects\.([EW]\d+)\)", output)


def test_a_sound_project_passes(project: Project) -> None:
    """Names in modules that nothing has imported are known names."""
    write_settings(
        project,
        'SIDE_EFFECTS = {"POLICY": {"sms.*": "config.rules.allow", "tag:sms": "RECORD"}, "FORCE_RUN": ["sms.send"]}\n'
        'FORCE_RUN_SIDE_EFFECTS = ["send", "shop.sms.send"]',
    )
    project.write("config/rules.py", 'def allow(effect, arguments):\n    return "RECORD"')

    assert "no issues" in project.run("manage.py", "check", "--deploy", "--tag", "sideeffects").stdout


def test_known_names_need_no_search(project: Project) -> None:
    """Starting any command does not import modules for the sake of the checks, unless there is a name to look for."""
    project.write(
        "shop/sms.py",
        "from effects import note\nnote('attempted', 'import')\nimport sideeffects\n"
        "sideeffects.side_effect(name='sms.send')(print)",
    )

    project.run("manage.py", "check")
    assert not project.attempted

    write_settings(project, 'SIDE_EFFECTS = {"FORCE_RUN": ["sms.send"]}')
    project.run("manage.py", "check")
    assert not project.attempted  # its name is in the source

    write_settings(project, 'SIDE_EFFECTS = {"FORCE_RUN": ["sms.sent"]}')
    project.run("manage.py", "check", code=1)
    assert project.attempted == {"import": 1}


def test_unknown_names_are_errors(project: Project) -> None:
    """A policy that means no effect protects none: that is no matter of taste."""
    write_settings(
        project,
        'SIDE_EFFECTS = {"POLICY": {"smss.*": "RECORD", "tag:smss": "RAISE"}, "FORCE_RUN": ["sms.sent"]}\n'
        'FORCE_RUN_SIDE_EFFECTS = "sent"',
    )

    shown = project.run("manage.py", "check", code=1).stderr

    assert ids(shown) == ["E020", "E020", "E021", "E022"]
    assert "SIDE_EFFECTS['POLICY']: 'smss.*' matches no side effect" in shown
    assert "'sms.sent' names no side effect; did you mean 'sms.send'" in shown


def test_a_module_that_cannot_be_looked_at_is_the_hint_of_an_unknown_name(project: Project) -> None:
    """The name may be declared there."""
    write_settings(project, 'SIDE_EFFECTS = {"POLICY": {"telefax.*": "RECORD"}}')
    project.write("shop/fax.py", "import sideeffects\n1 / 0\n@sideeffects.side_effect(name='fax.send')\ndef f(): ...")

    shown = project.run("manage.py", "check", code=1).stderr

    assert ids(shown) == ["E020"]
    assert "HINT: It may be declared in a module that could not be looked at:" in shown
    assert "shop.fax could not be imported: ZeroDivisionError" in shown


def test_modules_that_cannot_be_looked_at_are_warnings_before_a_deployment(project: Project) -> None:
    """One each, with where it failed."""
    project.write("shop/failing.py", "import sideeffects\n1 / 0\n@sideeffects.side_effect\ndef f(): ...")
    project.write("shop/unparsed.py", "import sideeffects\ndef (")

    shown = project.run("manage.py", "check", "--deploy", "--tag", "sideeffects").stderr

    assert ids(shown) == ["W001", "W001"]
    assert "shop/failing.py:2" in shown
    assert "shop/unparsed.py:2" in shown


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("", "cannot be imported (ImportError"),
        ("allow = 3", "is no function but 3"),
        ("1 / 0", "cannot be imported (ZeroDivisionError"),
        ("from effects import attempt; attempt('policy')\ndef allow(*_): ...", ""),
    ],
)
def test_a_policy_path_must_lead_to_a_function(project: Project, rules: str, said: str) -> None:
    """It is imported to see, and executes no effect by that."""
    write_settings(project, 'SIDE_EFFECTS = {"POLICY": {"sms.*": "config.rules.allow"}}')
    project.write("config/rules.py", rules)

    run = project.run("manage.py", "check", code=1 if said else 0)

    assert ids(run.stderr) == (["E023"] if said else [])
    assert said in run.stderr
    assert not project.executed
    assert bool(project.attempted) is (not said)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nowhere:send", "No module named 'nowhere'"),
        ("vendor:sned", "the nearest is vendor:send"),
        ("vendor:Client.send", "there is no vendor:Client.send to declare"),
        ("django.conf:sned", "there is no django.conf:sned to declare"),
    ],
)
def test_declared_targets_must_exist(project: Project, target: str, said: str) -> None:
    """Whether their module has been imported or not."""
    write_settings(project, f'SIDE_EFFECTS = {{"DECLARE": ["{target}"]}}')
    project.write("vendor.py", "def send(): ...")

    shown = project.run("manage.py", "check", code=1).stderr

    assert ids(shown) == ["E024"]
    assert said in shown


def test_wrong_settings_do_not_keep_a_project_from_starting(project: Project) -> None:
    """`ready()` leaves it to the checks to say what is wrong."""
    write_settings(project, 'SIDE_EFFECTS = {"MODE": "RECRD"}')

    shown = project.run("manage.py", "check", code=1).stderr

    assert ids(shown) == ["E002"]
    assert "Traceback" not in shown
    assert project.run("manage.py", "check", "--deploy", "--tag", "models").stdout


def test_an_installed_app_declares_what_the_settings_list(project: Project) -> None:
    """In `ready()`, before the first call of any effect."""
    write_settings(project, 'SIDE_EFFECTS = {"DECLARE": {"string:capwords": "text.caps"}}')

    printed = project.program(
        """
        import os

        import django

        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
        django.setup()

        import string

        print(string.capwords.effect.name)
        """
    )

    assert printed.strip() == "text.caps"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SIDE_EFFECT", "SIDE_EFFECTS"),
        ("SIDEEFFECTS", "SIDE_EFFECTS"),
        ("SIDE_AFFECTS", "SIDE_EFFECTS"),
        ("SIDE_EFFECTS_CONFIG", "SIDE_EFFECTS"),
        ("SIDE_EFFECTS_MODE", "SIDE_EFFECTS['MODE']"),
        ("SIDE_EFFECTS_POLICY", "SIDE_EFFECTS['POLICY']"),
        ("FORCE_RUN_SIDE_EFFECT", "FORCE_RUN_SIDE_EFFECTS"),
        ("SAFERUNNER_USE_SENTY", "SAFERUNNER_USE_SENTRY"),
        ("SMOKETEST_SKIP_APP", "SMOKETEST_SKIP_APPS"),
        ("SIDE_EFFECTS_OF_DRUGS", ""),
    ],
)
def test_settings_of_nearly_that_name(settings: Any, name: str, meant: str) -> None:
    """Another spelling, a key that was written as a setting of its own, and what is somebody else's."""
    setattr(settings, name, {"MODE": "RECORD"})
    found = [problem.sentence for problem in misspelt_settings()]
    assert found == ([f"there is no setting {name}; did you mean {meant}?"] if meant else [])


def test_a_misspelt_setting_is_an_error(project: Project) -> None:
    """Nothing reads it, so that what it holds back would be executed."""
    write_settings(project, 'SIDE_EFECTS = {"MODE": "RECORD"}')

    shown = project.run("manage.py", "check", code=1).stderr

    assert ids(shown) == ["E016"]
    assert "there is no setting SIDE_EFECTS; did you mean SIDE_EFFECTS?" in shown


def test_a_redirect_must_change_what_an_effect_has(own_registry: None) -> None:
    """Of the effects that the entry decides: not where a closer one stands, and tags as well."""

    @side_effect(name="sms.send", tags=["paid"])
    def send(to: str) -> None:
        raise AssertionError("executed")

    wrong, right = redirect(too="QA"), redirect(to="QA")
    for said, policy in (
        (True, {"sms.*": wrong}),
        (True, {"tag:paid": wrong}),
        (False, {"sms.send": right, "sms.*": wrong}),
    ):
        with override_settings(SIDE_EFFECTS={"POLICY": policy}):
            messages = check_settings()
        assert [message.id for message in messages] == ["sideeffects.E029"] * said
        assert all("sms.send has no argument 'too'; it has to" in message.msg for message in messages)
