"""`manage.py side_effects`: run as a program, in a project whose effects lie in modules that nothing imports."""

import json
import os
import pty
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.listed_project import listed_project, write_settings
from tests.support.projects import Project, clean_environment

pytestmark = pytest.mark.processes

COMMAND = ("manage.py", "side_effects")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
MORE = '''
    from sideeffects import side_effect


    class CardDeclined(Exception):
        """The bank said no."""


    @side_effect(name="card.charge", raises=[CardDeclined], sensitive=["number"], tags=["money"], owner="team-b")
    def charge(cents, number="4111", options={"password": "hunter3"}):
        """Charge a card, | however *long* a description of that may get, since this one goes on and on and on."""


    @side_effect(name="hook.post", async_ok=True, on_commit=True)
    def post(url): ...
'''


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project with six effects. Whatever is done to it, none of them executes."""
    project = listed_project(tmp_path)
    project.write("shop/money.py", MORE)
    yield project
    assert not project.executed, "listing executed an effect"


def listing(project: Project, *arguments: str, code: int = 0, **environment: str) -> str:
    """What the command prints."""
    return project.run(*COMMAND, *arguments, code=code, environment={"COLUMNS": ""} | environment).stdout


def refusal(project: Project, *arguments: str, code: int = 2) -> str:
    """What the command prints to the standard error when it fails; it prints no listing."""
    run = project.run(*COMMAND, *arguments, code=code)
    assert not run.stdout
    return run.stderr


def names_of(project: Project, *arguments: str) -> list[str]:
    """The names in the JSON listing."""
    return [row["name"] for row in json.loads(listing(project, "--format", "json", *arguments))]


# -- the table


def test_the_table_is_complete_and_aligned(project: Project) -> None:
    """Each effect has a line, although nothing has imported its module; plain and uncut where it is piped."""
    lines = listing(project).splitlines()

    assert lines[0].split() == ["NAME", "MODE", "ASYNC_OK", "READS", "WHERE", "DESCRIPTION"]
    assert [line.split()[0] for line in lines[1:]] == [
        "card.charge",
        "hook.post",
        "shop.confirm",
        "shop.ring",
        "shop.send",
        "sms.send",
    ]
    starts = [lines[0].index(heading) for heading in lines[0].split()]
    cells = [[line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)] for line in lines[1:]]
    assert cells[0] == [
        "card.charge",
        "EXECUTE",
        "no",
        "no",
        "shop/money.py:8",
        "Charge a card, | however *long* a description of that may get, since this one goes on and on and on.",
    ]
    assert cells[1] == ["hook.post", "EXECUTE", "yes", "no", "shop/money.py:13", ""]
    assert cells[5] == ["sms.send", "EXECUTE", "no", "no", "shop/sms.py:5", "Send a text message."]


def test_the_mode_is_the_one_now_in_force(project: Project) -> None:
    """Modes are those of production with the project's settings; rules on arguments decide per call."""
    write_settings(
        project,
        'SIDE_EFFECTS = {"MODE": "RECORD", "POLICY": {"card.*": "RAISE", "sms.send": lambda effect, arguments: None}}',
    )
    modes = {line.split("  ")[0]: line for line in listing(project).splitlines()}
    data = {row["name"]: row for row in json.loads(listing(project, "--format", "json"))}

    assert "  RAISE  " in modes["card.charge"]
    assert "  RECORD  " in modes["hook.post"]
    assert "  per call  " in modes["sms.send"]
    assert [data[name]["mode"] for name in ("card.charge", "hook.post", "sms.send")] == ["raise", "record", "raise"]
    assert [data[name]["per_call"] for name in ("card.charge", "sms.send")] == [False, True]


def test_descriptions_are_cut_to_the_width_of_the_terminal(project: Project) -> None:
    """No line is longer than `COLUMNS`; what is cut is marked; JSON is never cut."""
    lines = listing(project, COLUMNS="90").splitlines()

    assert max(map(len, lines)) <= 90
    assert lines[1].endswith("...")
    assert lines[6].endswith("Send a text message.")
    assert "on and on and on." in listing(project, "--format", "json", COLUMNS="90")


def test_in_a_narrow_terminal_descriptions_get_a_line_of_their_own(project: Project) -> None:
    """Names and places are never cut."""
    lines = listing(project, COLUMNS="60").splitlines()

    assert lines[0].split() == ["NAME", "MODE", "ASYNC_OK", "READS", "WHERE"]
    assert lines[1].split() == ["card.charge", "EXECUTE", "no", "no", "shop/money.py:8"]
    assert lines[2].startswith("  Charge a card,")
    assert max(map(len, lines)) <= 60


def test_wide_and_hostile_letters_keep_the_table_in_shape(project: Project) -> None:
    """East Asian letters take two columns; escape sequences of a docstring do not reach the terminal."""
    project.write(
        "shop/odd.py",
        """
        from sideeffects import side_effect


        @side_effect(name="odd.wide")
        def wide():
            "\N{CJK UNIFIED IDEOGRAPH-77ED}\N{CJK UNIFIED IDEOGRAPH-4FE1}" * 1


        wide.__doc__


        @side_effect(name="odd.hostile")
        def hostile():
            "Clear \\x1b[2J the \\x07 screen."


        @side_effect(name="odd.kanji")
        def kanji():
            "KANJI"
        """.replace("KANJI", "\N{CJK UNIFIED IDEOGRAPH-77ED}" * 100),
    )

    lines = listing(project, "odd.*", COLUMNS="80", PYTHONIOENCODING="utf-8").splitlines()

    assert "Clear  [2J the   screen." in lines[1]
    widths = [sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in line) for line in lines]
    assert 76 <= max(widths) <= 80
    assert "???" in listing(project, "odd.kanji", PYTHONIOENCODING="ascii")


def test_files_of_other_packages_are_shown_without_their_folder(project: Project) -> None:
    """Where Python is installed would push the descriptions out of the terminal; `--verbose` tells it."""
    write_settings(project, 'SIDE_EFFECTS = {"DECLARE": {"smtplib:SMTP.send_message": "smtp.send"}}')

    import smtplib

    assert re.search(r"  smtplib\.py:\d+  ", listing(project, "smtp.send"))
    assert f"{smtplib.__file__}:" in listing(project, "smtp.send", "--verbose")


def in_a_terminal(project: Project, *arguments: str, program: tuple[str, ...] = COMMAND, **environment: str) -> str:
    """What the command, or another program, writes to a terminal of 100 columns."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, *program, *arguments],
        cwd=project.root,
        env=clean_environment() | {"TERM": "xterm", "COLUMNS": "100"} | environment,
        stdin=follower,
        stdout=follower,
        stderr=subprocess.STDOUT,
    )
    os.close(follower)
    written = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:  # Linux says so at the end
            break
        if not part:
            break
        written += part
    os.close(leader)
    assert process.wait(60) == 0
    return written.decode().replace("\r\n", "\n")


def test_a_terminal_gets_colours_as_from_other_commands(project: Project) -> None:
    """Coloured on a terminal unless that is switched off; the letters and their places are the same."""
    coloured = in_a_terminal(project)

    assert COLOUR.search(coloured)
    assert in_a_terminal(project, "--no-color") == COLOUR.sub("", coloured) == listing(project, COLUMNS="100")
    assert not COLOUR.search(in_a_terminal(project, DJANGO_COLORS="nocolor"))
    assert not COLOUR.search(in_a_terminal(project, "--format", "json"))
    assert listing(project, "--force-color", COLUMNS="100") == coloured


def test_modes_differ_in_colour(project: Project) -> None:
    """Each of the three has its own."""
    write_settings(project, 'SIDE_EFFECTS = {"POLICY": {"card.*": "RAISE", "sms.send": "RECORD"}}')
    coloured = in_a_terminal(project)

    found = {mode: re.search(rf"(\x1b\[[0-9;]*m){mode}\b", coloured) for mode in ("EXECUTE", "RECORD", "RAISE")}

    assert len({match and match.group(1) for match in found.values()}) == 3


# -- which effects


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["sms.send"], ["sms.send"]),
        (["*.send"], ["shop.send", "sms.send"]),
        (["sms.*", "card.charge"], ["card.charge", "sms.send"]),
        (["--app", "shop"], ["card.charge", "hook.post", "sms.send"]),
        (["--tag", "money"], ["card.charge"]),
        (["--tag", "money", "--tag", "sms"], ["card.charge", "sms.send"]),
        (["--owner", "team-a"], ["sms.send"]),
        (["--module", "shop.money"], ["card.charge", "hook.post"]),
        (["--module", "shop"], ["card.charge", "hook.post", "sms.send"]),
        (["--module", "shop", "*.send"], ["sms.send"]),
        (["--owner", "team-a", "--tag", "money"], []),
    ],
)
def test_effects_are_selected_by_name_app_tag_owner_and_module(
    project: Project, arguments: list[str], names: list[str]
) -> None:
    """Values of one option add up; different options must all agree."""
    assert names_of(project, *arguments) == names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sms.sent"], "no side effect is named 'sms.sent'. Did you mean 'sms.send'"),
        (["sns.*"], "no declared side effect matches 'sns.*'"),
        (["--app", "shp"], "no installed app has the label 'shp'. Did you mean 'shop'?"),
        (["--tag", "mony"], "no side effect has the tag 'mony'. Did you mean 'money'?"),
        (["--owner", "team"], "no side effect has the owner 'team'. Did you mean"),
        (
            ["--module", "shop.mony"],
            "no side effect is declared in 'shop.mony' or below it. Did you mean 'shop.money'",
        ),
        (["--module", "sho"], "no side effect is declared in 'sho' or below it"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--format", "xml"], "invalid choice: 'xml'"),
        (["--check", "--format", "json"], "--check prints problems"),
        (["--check", "--explain"], "--check prints problems"),
    ],
)
def test_what_means_nothing_exits_with_2(project: Project, arguments: list[str], message: str) -> None:
    """A misspelt name is no empty listing, and the message names what was probably meant."""
    assert message in refusal(project, *arguments)


def test_a_project_without_effects_is_told_how_to_declare_one(tmp_path: Path) -> None:
    """That is no error."""
    project = listed_project(tmp_path)
    for module in ("effects.py", "shop/sms.py"):
        (project.root / module).unlink()

    run = project.run(*COMMAND)

    assert not run.stdout
    assert "@side_effect" in run.stderr
    assert json.loads(listing(project, "--format", "json")) == []
    assert names_of(project, "*") == []


# -- the other forms


def test_json_holds_everything_under_stable_keys(project: Project) -> None:
    """Whatever the options; what modules print while they are imported stands elsewhere."""
    project.write("shop/loud.py", "import sideeffects\nsideeffects.side_effect(name='loud')(lambda: None)\nprint('!')")

    rows = json.loads(listing(project, "--format", "json"))

    assert {tuple(row) for row in rows} == {tuple(rows[0])}
    assert next(row for row in rows if row["name"] == "sms.send") == {
        "name": "sms.send",
        "mode": "execute",
        "per_call": False,
        "reason": "outside a test run effects execute",
        "origin": "default",
        "async_ok": False,
        "reads": False,
        "on_commit": False,
        "in_transaction": None,
        "kind": "function",
        "app": "shop",
        "module": "shop.sms",
        "path": "shop.sms:send",
        "file": "shop/sms.py",
        "line": 5,
        "signature": "(to: str, body: str = [redacted], *, token: str = [redacted])",
        "doc": "Send a text message.",
        "docstring": "Send a text message.\n\nThe gateway | charges for each.",
        "raises": ["ValueError"],
        "sensitive": ["body"],
        "tags": ["sms"],
        "owner": "team-a",
    }
    assert next(row for row in rows if row["name"] == "card.charge")["raises"] == ["shop.money.CardDeclined"]
    ascii_only = listing(project, "--format", "json", PYTHONIOENCODING="ascii")
    assert json.loads(ascii_only) == rows


def test_markdown_is_one_table(project: Project) -> None:
    """What Markdown would read as markup is escaped, so that every row has as many cells as the first."""
    table = listing(project, "--format", "markdown", "--verbose", "--explain").splitlines()

    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table]
    assert {len(row) for row in cells} == {10}
    assert [cell.strip() for cell in cells[0]][:6] == ["name", "mode", "async_ok", "reads", "where", "description"]
    assert set("".join(cells[1])) == {"-", " "}
    charge = next(line for line in table if "card.charge" in line)
    assert "Charge a card, \\| however \\*long\\*" in charge
    assert "`shop.money.CardDeclined`" in charge
    sms = next(line for line in table if "sms.send" in line)
    assert "Send a text message.<br><br>The gateway" in sms


def test_verbose_shows_everything(project: Project) -> None:
    """The whole docstring, the signature, what it raises, which parameters are sensitive."""
    shown = listing(project, "sms.send", "--verbose")

    assert shown.splitlines()[0] == "sms.send  EXECUTE"
    for fact in (
        "shop/sms.py:5",
        "function shop.sms:send",
        "send(to: str, body: str = [redacted], *, token: str = [redacted])",
        "raises     ValueError",
        "sensitive  body",
        "tags       sms",
        "owner      team-a",
        "    Send a text message.\n\n    The gateway | charges for each.",
    ):
        assert fact in shown
    assert "async_ok, on_commit" in listing(project, "hook.post", "--verbose")


def test_no_form_shows_a_sensitive_default(project: Project) -> None:
    """Defaults of sensitive parameters are hidden, and so are secrets inside other defaults."""
    write_settings(project, 'SIDE_EFFECTS = {"SENSITIVE": ["to", "url"]}')
    for form in (["--verbose"], ["--format", "json"], ["--format", "markdown", "--verbose"]):
        shown = listing(project, *form)

        assert "[redacted]" in shown
        for secret in ("dear customer", "hunter2", "hunter3", "4111"):
            assert secret not in shown


def test_explain_names_the_rule_and_where_it_stands(project: Project) -> None:
    """For each row of the precedence table outside a test run, and for a test run."""
    write_settings(project, 'SIDE_EFFECTS = {"POLICY": {"card.*": "RAISE", "tag:sms": "RECORD"}}')

    shown = listing(project, "--explain")
    assert "RAISE: POLICY['card.*'] is RAISE [settings.SIDE_EFFECTS[\"POLICY\"]['card.*']]" in shown
    assert "RECORD: POLICY['tag:sms'] is RECORD [settings.SIDE_EFFECTS[\"POLICY\"]['tag:sms']]" in shown
    assert "EXECUTE: outside a test run effects execute [default]" in shown
    in_test_run = project.run(*COMMAND, "--explain", "hook.post", environment={"SIDE_EFFECTS_TEST_RUN": "1"})
    assert "RECORD: a test run executes nothing that no test names" in in_test_run.stdout
    assert in_test_run.stderr == "This is a test run: SIDE_EFFECTS_TEST_RUN is set in the environment.\n"
    assert not project.run(*COMMAND, "--explain", "hook.post").stderr
    write_settings(project, 'SIDE_EFFECTS = {"MODE": "RECORD"}')
    assert 'MODE is RECORD [settings.SIDE_EFFECTS["MODE"]]' in listing(project, "hook.post", "--explain", "--verbose")


# -- --check


def test_check_prints_each_problem_on_a_line_and_exits_with_1(project: Project) -> None:
    """No docstring, names and globs that mean nothing, two effects of one function."""
    write_settings(
        project,
        'SIDE_EFFECTS = {"POLICY": {"sns.*": "RECORD", "tag:mony": "RECORD", "sms.*": "RECORD", "*": "RECORD"},'
        ' "FORCE_RUN": ["sms.sent", "__all__"]}\n'
        'FORCE_RUN_SIDE_EFFECTS = ["charge", "charges"]',
    )
    project.write(
        "shop/shared.py",
        """
        import functools

        from sideeffects import side_effect


        def send():
            "Send."


        @functools.wraps(send)
        def retried():
            return send()


        one = side_effect(name="shared.one")(send)
        two = side_effect(name="shared.two")(retried)
        three = side_effect(name="shared.three")(functools.partial(print, 3))
        four = side_effect(name="shared.four")(functools.partial(print, 4))
        """,
    )

    run = project.run(*COMMAND, "--check", code=1)

    assert [line for line in run.stdout.splitlines() if "docstring" not in line] == [
        "shop/shared.py:6: shared.one and shared.two are two effects of one function",
        "SIDE_EFFECTS['POLICY']: 'sns.*' matches no side effect",
        "SIDE_EFFECTS['POLICY']: no side effect has the tag 'mony'",
        "SIDE_EFFECTS['FORCE_RUN']: 'sms.sent' names no side effect; did you mean 'sms.send'?",
        "FORCE_RUN_SIDE_EFFECTS: 'charges' names no side effect; did you mean 'card.charge'?",
    ]
    assert "shop/money.py:13: hook.post has no docstring" in run.stdout.splitlines()
    assert "problems" in run.stderr


def test_check_finds_what_calls_functions_of_effects_without_a_decision(project: Project) -> None:
    """Signals and routes that hold the function below an effect, and none that hold the effect."""
    project.write(
        "shop/handed_on.py",
        """
        from django.dispatch import Signal

        from sideeffects import side_effect

        ordered = Signal()


        def ship(sender, **kwargs):
            "Ship."


        @side_effect(name="order.pack")
        def pack(sender, **kwargs):
            "Pack."


        shipped = side_effect(name="order.ship")(ship)
        ordered.connect(ship)
        ordered.connect(pack)
        """,
    )
    run = project.run(*COMMAND, "--check", "order.*", code=1)

    assert run.stdout == (
        "shop/handed_on.py:8: a Signal of django calls the function of order.ship without a decision: put @side_effect "
        "right above the function, below the decorator that hands it on\n"
    )


def test_check_finds_effects_that_queues_hand_over_which_are_not_adapted(project: Project) -> None:
    """Tasks that hold an effect, however deep, and are not accepted; publishing them is decided by nobody."""
    project.write(
        "shop/queue.py",
        """
        import functools

        from sideeffects import side_effect


        class Task:
            def __init__(self, function):
                self.function = function
                functools.update_wrapper(self, function)

            def defer(self, **options):
                "Publish."


        class Slotted:
            __slots__ = ("function",)

            def __init__(self, function):
                self.function = function

            def kiq(self):
                "Publish."


        @Task
        @side_effect(name="queue.one")
        def one(to):
            "Send."


        @Slotted
        @side_effect(name="queue.two")
        def two(to):
            "Send."


        @Task
        @side_effect(name="queue.three")
        def three(to):  # sideeffects: accepted
            "Send."


        @side_effect(name="queue.four")
        def four(to):
            "Send: nobody holds it."


        def holding(effect):
            yield effect


        HELD = [four]
        SUSPENDED = holding(four)  # it has a `send`, too
        next(SUSPENDED)
        MADE = Task(side_effect(name="queue.five")(len))
        """,
    )
    run = project.run(*COMMAND, "--check", "queue.*", code=1)

    told = [line.partition(" without ")[0] for line in run.stdout.splitlines() if "docstring" not in line]
    assert sorted(line.partition(": ")[2] for line in told) == [
        "a shop.queue.Slotted hands queue.two to a queue by .kiq()",
        "a shop.queue.Task hands queue.five to a queue by .defer()",
        "a shop.queue.Task hands queue.one to a queue by .defer()",
    ]
    assert "accept this finding by a comment '# sideeffects: accepted' at the def of queue." in run.stdout


def test_check_finds_effects_that_are_handed_over_by_their_name(project: Project) -> None:
    """To queues that are not adapted; unless the function that does so is an effect itself, or the call is accepted."""
    project.write(
        "shop/publishing.py",
        """
        from sideeffects import side_effect
        from shop import sms
        from shop.sms import send


        def with_django_q(to):
            from django_q import tasks
            from django_q.models import Schedule
            from django_q.tasks import async_task

            async_task("shop.sms.send", to)
            tasks.async_task(send, to)
            async_task(print, to, hook=sms.send)
            Schedule.objects.create(func="shop.sms.send")
            async_task("shop.sms.other", to)


        async def with_arq(pool, app, queue, broker):
            await pool.enqueue_job("send", "ann")
            await queue.enqueue("send", to="ann")
            app.configure_task("shop.sms.send").defer(to="ann")
            AsyncKicker(task_name="shop.sms:send", broker=broker)


        def with_rq(queue, job):
            queue.enqueue("shop.sms.send")
            queue.enqueue_job(job)


        def accepted(pool):
            pool.enqueue_job("send")  # sideeffects: accepted


        @side_effect(name="shop.publish")
        def publish(pool):
            "Publish."
            pool.enqueue_job("send")
        """,
    )
    run = project.run(*COMMAND, "--check", "sms.*", code=1)

    found = [line.partition(" hands ") for line in run.stdout.splitlines()]
    assert [where.partition(": ")[2] for where, _, _ in found] == [
        "async_task()",
        "tasks.async_task()",
        "async_task()",
        "Schedule.objects.create()",
        "pool.enqueue_job()",
        "queue.enqueue()",
        "app.configure_task()",
        "AsyncKicker()",
    ]
    assert found[0][0].startswith("shop/publishing.py:11: ")
    assert {rest.partition(" ")[0] for _, _, rest in found} == {"sms.send"}
    assert "'# sideeffects: accepted' on its line" in run.stdout


def test_check_is_silent_and_exits_with_0_when_all_is_well(project: Project) -> None:
    """The standard output is for problems; the selection narrows what is checked."""
    run = project.run(*COMMAND, "--check", "sms.*")

    assert not run.stdout
    assert "No problems among 1 side effect." in run.stderr
    assert not project.run(*COMMAND, "--check", "sms.*", "-v0").stderr


# -- what cannot be looked at


def test_a_module_that_fails_exits_with_2_after_what_was_found(project: Project) -> None:
    """The listing says that it may be incomplete, and why; so does --check."""
    project.write("shop/failing.py", "import sideeffects\n@sideeffects.side_effect\ndef f(): ...\n1 / 0")

    run = project.run(*COMMAND, code=2)
    assert "sms.send" in run.stdout
    assert "shop.failing could not be imported: ZeroDivisionError: division by zero" in run.stderr
    assert "shop/failing.py:4" in run.stderr

    run = project.run(*COMMAND, "--check", code=2)
    assert "hook.post has no docstring" in run.stdout
    assert "shop.failing could not be imported" in run.stderr
    assert "shop.failing could not be imported" in refusal(project, "nothing.like.it")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('SIDE_EFFECTS = {"MODUS": "RECORD"}', "SIDE_EFFECTS has no key 'MODUS'"),
        ('SIDE_EFFECTS = {"DECLARE": ["django.conf:LazySetings.configure"]}', "there is no django.conf:LazySetings"),
    ],
)
def test_invalid_settings_exit_with_2(project: Project, settings: str, message: str) -> None:
    """Without them no mode is known; there is no traceback."""
    write_settings(project, settings)

    shown = refusal(project)

    assert message in shown
    assert "Traceback" not in shown


def test_captured_output_is_plain(project: Project) -> None:
    """`call_command` with a `stdout` of its own gets no colours, whatever the process writes to."""
    project.write(
        "program.py",
        """
        import io
        import os

        import django
        from django.core.management import call_command

        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
        django.setup()
        out = io.StringIO()
        call_command("side_effects", "sms.*", stdout=out)
        assert "sms.send" in out.getvalue()
        assert "\\x1b" not in out.getvalue()
        call_command("side_effects", "sms.*", stdout=out, force_color=True)
        assert "\\x1b" in out.getvalue()
        print("done")
        """,
    )
    assert in_a_terminal(project, program=("program.py",)) == "done\n"


def test_the_help_shows_examples(project: Project) -> None:
    """And the exit codes."""
    shown = listing(project, "--help")

    assert "side_effects 'sms.*' --explain" in shown
    assert "exit codes:\n  0 " in shown


def test_ten_thousand_effects_are_listed_in_seconds(project: Project) -> None:
    """The cost of a listing grows with the number of effects, not with its square."""
    project.write(
        "shop/many.py",
        """
        from sideeffects import side_effect

        for number in range(10_000):

            @side_effect(name=f"many.n{number}", tags=["many"])
            def send(to):
                "Send."
        """,
    )
    write_settings(project, 'SIDE_EFFECTS = {"POLICY": {f"many.n{n}*": "RECORD" for n in range(10)}}')

    shown = listing(project, "--tag", "many", "--explain")

    assert len(shown.splitlines()) == 20_001
