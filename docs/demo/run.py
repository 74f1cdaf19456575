"""`make demo`: the shop under this folder, tested, in production, and explained.

Everything is real: SQLite, processes, HTTP and SMTP on loopback. What the receivers got is compared with what they
should have got after each step; the first difference ends the demo with exit code 1. Nothing is left behind, also
after Ctrl-C.

    SHOP_FORCE_RUN=sms.send make demo     see it fail: this effect is let out in the shop's own tests
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

from receivers import HOST, Receivers, listening
from shop.tests.orders import ORDER

HERE: Final = Path(__file__).resolve().parent
EFFECTS: Final = ("card.charge", "mail.confirm_order", "sms.send", "warehouse.announce")
SECONDS: Final = 120  # for one command; they take one or two

#: What the outside world gets to see of one order, in this order. Nothing else may arrive.
CHARGE: Final = {"to": "POST /charges", "sent": {"merchant": "shop-1", "cents": 4200, "token": "tok_visa"}}
MAIL: Final = {
    "to": "MAIL ada@example.com",
    "sent": {"subject": "Your order 1", "text": "Thank you for order 1 over 42.00 EUR."},
}
TEXT: Final = {"to": "POST /sms", "sent": {"to": "+44 20 7946 0000", "body": "Thank you for order 1!"}}
ANNOUNCEMENT: Final = {"to": "POST /warehouse", "sent": {"order": 1, "total_cents": 4200}}

#: What follows an order on account, and the reminder.
FOLLOW_UP: Final = (
    {
        "to": "MAIL bob@example.com",
        "sent": {"subject": "Your order 2", "text": "Thank you for order 2 over 9.90 EUR."},
    },
    {"to": "POST /sms", "sent": {"to": "+44 20 7946 0001", "body": "Please pay 9.90 EUR for order 2."}},
    {"to": "POST /sms", "sent": {"to": "+44 20 7946 0001", "body": "Order 2 waits for 9.90 EUR."}},
)


#: What is sent when a plan is applied.
CANCELLED: Final = {"to": "POST /sms", "sent": {"to": "+44 20 7946 0002", "body": "Order 2 is cancelled."}}


#: What is sent during the incident, and what the outbox then holds: two customers, three suppliers, and this.
SHIPPED: Final = {"to": "POST /sms", "sent": {"to": "+44 20 7946 0001", "body": "Your order is on its way."}}
HELD: Final = 6


class Broken(Exception):
    """Something is not as it should be, and the demo ends here."""


# -- the transcript


class Transcript:
    """What is printed, as wide as the terminal (80 columns at least, 120 at most)."""

    def __init__(self) -> None:
        self.width = max(80, min(120, shutil.get_terminal_size().columns))
        self.in_colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self.done: list[tuple[str, str]] = []
        self._title = ""

    def step(self, title: str, text: str) -> None:
        """Begin a step: its title, and what to look for."""
        self._title = title
        print(f"\n{self._styled('1', f'{len(self.done) + 1}. {title}')}\n")
        self.say(text)

    def say(self, text: str) -> None:
        """Print a paragraph."""
        print(textwrap.fill(" ".join(text.split()), self.width))

    def show(self, text: str) -> None:
        """Print what a program said, set off from the rest."""
        for line in text.rstrip("\n").splitlines():
            indent = " " * (4 + len(line) - len(line.lstrip()))
            print(*textwrap.wrap(f"  {line}", self.width, subsequent_indent=indent) or [""], sep="\n")

    def command(self, text: str) -> None:
        """Print a command as one would type it."""
        lines = textwrap.wrap(f"  $ {text}", self.width, subsequent_indent=" " * 6, break_on_hyphens=False)
        print("\n" + self._styled("36", "\n".join(lines)))

    def arrivals(self, arrivals: Sequence[dict[str, Any]]) -> None:
        """Print what the receivers got."""
        print("\n  The receivers got:")
        for arrival in arrivals:
            print(_line(arrival, self.width))
        if not arrivals:
            print("    nothing")

    def conclude(self, text: str) -> None:
        """End a step that went well."""
        self.done.append((self._title, text))
        print()
        self.say(f"=> {text}.")

    def summary(self, failure: str = "") -> None:
        """One screen: each step and what came of it."""
        print(f"\n{self._styled('1', 'Summary')}\n")
        for title, text in self.done:
            print(f"  {self._styled('32', 'ok')}      {title:<30}{text}")
        if failure:
            print(f"  {self._styled('31', 'FAILED')}  {self._title}")
        else:
            print("\n  No test patched anything, and no code asks whether it is being tested.")
            print("  The shop is in docs/demo/shop. Its tests are there to be copied.")

    def _styled(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self.in_colour else text


# -- the stage


class Stage:
    """The shop with its receivers, its database and its environment."""

    def __init__(self, folder: Path, receivers: Receivers, out: Transcript) -> None:
        self.receivers = receivers
        self.out = out
        self.folder = folder
        self.environment = {
            # This demo may itself have been started by a test run. The shop is not to notice.
            **{name: value for name, value in os.environ.items() if not name.startswith(_OF_A_TEST_RUN)},
            "SHOP_HTTP_PORT": str(receivers.http_port),
            "SHOP_SMTP_PORT": str(receivers.smtp_port),
            "SHOP_DATABASE": str(folder / "shop.sqlite3"),
            "COLUMNS": str(out.width - 2),
            "NO_PROXY": HOST,
            "no_proxy": HOST,
            "PYTEST_ADDOPTS": "-p no:cacheprovider -p no:asyncio",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONIOENCODING": "utf-8",
            "PYTHONUNBUFFERED": "1",
        }

    def run(self, *command: str, quietly: bool = False, code: int = 0, **environment: str) -> str:
        """Run a Python command of the shop, show it with its output, and return that.

        Args:
            command: its words.
            quietly: show it only if it fails.
            code: the exit code that it should end with.
            environment: what is different in its environment.

        Raises:
            Broken: it ended with another code.
        """
        variables = [f"{name}={value}" for name, value in environment.items()]
        shown = shlex.join([*variables, "python", *command])
        if not quietly:
            self.out.command(shown)
        process = subprocess.run(
            [sys.executable, *command],
            cwd=HERE,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=SECONDS,
            check=False,
        )
        if not quietly:
            self.out.show(process.stdout)
        if process.returncode != code:
            said = f":\n{process.stdout}" if quietly else "; what it said is above."
            arrived = _listing("Until then the receivers got:", self.receivers.take())
            raise Broken(f"`{shown}` ended with exit code {process.returncode}{said}\n{arrived}")
        return process.stdout

    def expect(self, *expected: dict[str, Any], quietly: bool = False) -> None:
        """Compare what the receivers got since the last time with what they should have got, and show it.

        Args:
            expected: all that should have arrived, in this order.
            quietly: show it only if it is wrong.

        Raises:
            Broken: they got something else.
        """
        arrived = self.receivers.take()
        if not quietly:
            self.out.arrivals(arrived)
        if arrived != list(expected):
            surplus = [arrival for arrival in arrived if arrival not in expected]
            missing = [arrival for arrival in expected if arrival not in arrived]
            raise Broken(
                "the receivers did not get what they should have got.\n"
                + _listing("arrived, and should not have:", surplus)
                + _listing("did not arrive, and should have:", missing)
                + ("" if surplus or missing else _listing("arrived in another order, or more than once:", arrived))
            )

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Run the shop's web server while the block runs, and yield its address.

        Raises:
            Broken: it does not start.
        """
        log = self.folder / "runserver.log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                [sys.executable, "-u", "manage.py", "runserver", "--noreload", f"{HOST}:0"],
                cwd=HERE,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            deadline = time.monotonic() + SECONDS
            while not (address := re.search(rf"http://{HOST}:[1-9]\d*/", log.read_text(encoding="utf-8"))):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise Broken(f"the shop's web server did not start:\n{log.read_text(encoding='utf-8')}")
                time.sleep(0.05)
            yield address[0]
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


_OF_A_TEST_RUN: Final = ("DJANGO_", "PYTEST_", "SIDE_EFFECTS_")


def _line(arrival: dict[str, Any], width: int = 120) -> str:
    text = f"    {arrival['to']:<22}{_readable(arrival['sent'])}"
    return textwrap.fill(text, width, subsequent_indent=" " * 26, break_on_hyphens=False)


def _readable(fields: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in fields.items())


def _listing(title: str, arrivals: Sequence[dict[str, Any]]) -> str:
    return "\n".join([title, *map(_line, arrivals), ""]) if arrivals else ""


# -- the play


def play(stage: Stage) -> None:
    """All steps, one after the other."""
    stage.run("manage.py", "migrate", "--verbosity=0", quietly=True)
    steps = (
        list_effects,
        run_the_tests,
        place_an_order,
        take_an_order_by_phone,
        run_a_command_dry,
        plan_review_apply,
        probe_the_live_shop,
        name_one_effect,
        let_each_effect_fail,
        explore_every_order,
        find_the_forgotten,
        stop_a_loop,
        explain_decisions,
    )
    for step in steps:
        step(stage)


def list_effects(stage: Stage) -> None:
    """The registry."""
    stage.out.step(
        "What reaches the outside",
        """Each function that leaves the shop is declared once, with @side_effect. This is the whole list, and what
        would happen to a call now, outside a test run.""",
    )
    listing = stage.run("manage.py", "side_effects")
    for name in EFFECTS:
        if name not in listing:
            raise Broken(f"the listing lacks {name}")
    stage.expect(quietly=True)
    stage.out.conclude(f"{len(EFFECTS)} effects are declared")


def run_the_tests(stage: Stage) -> None:
    """Recorded, not executed."""
    stage.out.step(
        "The shop's own tests",
        """They place orders through the view, with receivers listening. In a test run effects are recorded. One test
        names the mail effect, to see its text; Django keeps that mail in mail.outbox.""",
    )
    stage.run("-m", "pytest", "-q")
    stage.run("manage.py", "test")
    stage.expect()
    stage.out.conclude("nothing arrived")


def place_an_order(stage: Stage) -> None:
    """The same, executed."""
    stage.out.step(
        "The same order in production",
        """The same code and the same settings, outside a test run: a web server, and one order.""",
    )
    stage.out.command("python manage.py runserver")
    with stage.serving() as address:
        stage.out.show(f"\nPOST /orders/  {_readable(ORDER)}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{address}orders/", urllib.parse.urlencode(ORDER).encode(), timeout=SECONDS) as response:
            stage.out.show(f"{response.status}  {response.read().decode()}")
    stage.expect(CHARGE, MAIL, TEXT, ANNOUNCEMENT)
    stage.out.conclude("a charge, a mail, a text, a webhook")


def take_an_order_by_phone(stage: Stage) -> None:
    """A run list, and the background."""
    stage.out.step(
        "A run list",
        """Somebody takes an order by phone. A signal (shop/signals.py) follows it up with a run list: a mail, and a
        text in the background, which is out before the program ends. Then all who have not paid are reminded.""",
    )
    order = 'Order.objects.create(email="bob@example.com", phone="+44 20 7946 0001", total_cents=990)'
    stage.run("manage.py", "shell", "-v0", "-c", order)
    stage.run("manage.py", "remind_unpaid")
    stage.expect(*FOLLOW_UP)
    stage.out.conclude("a mail, and texts from the background")


def run_a_command_dry(stage: Stage) -> None:
    """What would happen, and nothing of it."""
    stage.out.step(
        "A dry run",
        """Should Bob's order be cancelled? The command runs for real, on the shop's database: it deletes the order,
        and where it would have committed, its callbacks send texts. Then everything is rolled back.""",
    )
    said = stage.run("manage.py", "dry_run", "cancel_unpaid")
    if "default  shop_order  1 deleted" not in said or "1. sms.send(to='+44 20 7946 0001'" not in said:
        raise Broken("the plan lacks what the command would have done")
    if "in another thread" in said:
        raise Broken("the plan speaks of a thread that the command does not have")
    stage.expect()
    still = stage.run("manage.py", "shell", "-v0", "-c", "print(Order.objects.unpaid().count(), 'unpaid')")
    if "1 unpaid" not in still:
        raise Broken("the dry run has kept something")
    stage.out.conclude("a plan, and Bob still has his order")


def plan_review_apply(stage: Stage) -> None:
    """That, and nothing else."""
    stage.out.step(
        "Plan, review, apply",
        """The plan is saved, so that somebody can review it, in a pull request for instance. Meanwhile Bob changes his
        phone number. Applying the plan stops before a text is sent that nobody has agreed to, and the rows are rolled
        back. A new plan is applied as it is.""",
    )
    plan = str(stage.folder / "plan.json")
    new_phone = "Order.objects.unpaid().update(phone='+44 20 7946 0002')"
    stage.run("manage.py", "dry_run", "--save", plan, "cancel_unpaid", quietly=True)
    review = stage.run("manage.py", "dry_run", "--format", "markdown", plan)
    if "| 1 | sms.send |" not in review:
        raise Broken("the saved plan cannot be read")
    stage.run("manage.py", "shell", "-v0", "-c", new_phone)
    refused = stage.run("manage.py", "dry_run", "--apply", plan, code=2)
    if "its argument 'to' is '+44 20 7946 0002', and in the plan it is '+44 20 7946 0001'" not in refused:
        raise Broken("the plan is not refused, or does not say why")
    stage.expect()
    stage.run("manage.py", "dry_run", "--save", plan, "cancel_unpaid", quietly=True)
    stage.run("manage.py", "dry_run", "--apply", plan)
    stage.expect(CANCELLED)
    stage.out.conclude("what was agreed to, and nothing else")


def probe_the_live_shop(stage: Stage) -> None:
    """Smoke tests in production."""
    stage.out.step(
        "Probes on the live shop",
        """Smoke tests (shop/probes.py) run in production, on the shop's own database. One of them places an order with
        a card. Its row is rolled back, and what would have left the shop is held back and shown.""",
    )
    count = ("manage.py", "shell", "-v0", "-c", "print(Order.objects.count())")
    before = stage.run(*count, quietly=True)
    said = stage.run("manage.py", "probe")
    if "would have executed: card.charge(" not in said or stage.run(*count, quietly=True) != before:
        raise Broken("a probe does not show what it held back, or its order is still there")
    stage.expect()
    stage.out.conclude("nobody was charged, no order stays")


def name_one_effect(stage: Stage) -> None:
    """One name, and no other."""
    stage.out.step(
        "One name in a test",
        """The test in shop/tests/test_live.py places an order too, and names one effect:
        @pytest.mark.side_effects(force_run=["sms.send"]).""",
    )
    stage.run("-m", "pytest", "-q", "-m", "live")
    stage.expect(TEXT)
    stage.out.conclude("the text, and nothing else")


def let_each_effect_fail(stage: Stage) -> None:
    """The same order, run again for each way in which an effect may fail."""
    stage.out.step(
        "If one of them fails",
        """An order that is all in one transaction is run again for each of its effects, which fails this time. When
        the text cannot be sent, the order is taken back and the charge stays. Below it, the shop's own way. At its end
        the test run names the effects that it has seen inside a transaction.""",
    )
    said = stage.run("-m", "pytest", "-q", "-rP", "--no-header", "shop/tests/test_when_one_fails.py")
    if "the transaction was opened at shop/tests/careless.py" not in said:
        raise Broken("effects inside a transaction are not found")
    if not re.search(r"^sms\.send#1 +OSError +FAILED$", said, flags=re.MULTILINE) or "6 cells, 6 passed" not in said:
        raise Broken("the sweeps do not find what they should find")
    stage.expect()
    stage.out.conclude("a paid order that gets lost is found")


def explore_every_order(stage: Stage) -> None:
    """Not luck: all of them."""
    stage.out.step(
        "Every order of two payments",
        """Two requests pay one order at once. They are run in every order of their steps: a step is a statement, a
        commit, or the call of an effect. First the view that looks whether the order is paid, and then charges: this is
        the simplest order in which it charges twice. Below it, the shop's own way.""",
    )
    said = stage.run(
        "-m", "pytest", "-q", "-rP", "--no-header", "--show-capture=stdout", "shop/tests/test_every_order.py"
    )
    if not re.search(r"^[1-9]\d* of \d+ orders fail$", said, flags=re.MULTILINE):
        raise Broken("no order charges twice, although the careless view is explored")
    if not re.search(r"^2 racers, \d+ orders, and none fails$", said, flags=re.MULTILINE):
        raise Broken("the cure does not hold in all orders")
    stage.expect()
    stage.out.conclude("found in some orders, cured in all")


def find_the_forgotten(stage: Stage) -> None:
    """What is not declared."""
    stage.out.step(
        "What was forgotten",
        """Somebody has added a call to a service for exchange rates, and declared nothing. In tests the guard refuses
        it before a name is looked up, and says which line to write.""",
    )
    said = stage.run("-m", "pytest", "-q", "-rP", "--no-header", "shop/tests/test_forgotten.py")
    if "rates.shop.invalid" not in said or '@side_effect(name="shop.tests.careless.in_euros")' not in said:
        raise Broken("the guard does not find what was forgotten")
    stage.expect()
    stage.out.conclude("the undeclared call is refused")


def stop_a_loop(stage: Stage) -> None:
    """Held, paused, looked at, rejected and released."""
    stage.out.step(
        "An incident",
        """A loop texts the winter sale to the customers, and by mistake to the suppliers. A budget lets three texts out
        and holds the others. Somebody pauses all texts, so that an order's text is held as well; looks; rejects those
        to the suppliers, and releases the rest.""",
    )
    stage.run("manage.py", "winter_sale", SHOP_SMS_BUDGET="3")
    stage.expect(*(_sale(number) for number in range(3)))
    stage.run("manage.py", "side_effects", "--pause", "sms.*", "--why", "The sale goes to suppliers.")
    stage.run("manage.py", "shell", "-v0", "-c", _SHIP)
    stage.expect(quietly=True)
    listing = stage.run("manage.py", "outbox", "list")
    if listing.count("sms.send") != HELD:
        raise Broken("the outbox does not hold what it should hold")
    stage.run("manage.py", "outbox", "reject", "--where", "to=+1*")
    stage.run("manage.py", "side_effects", "--resume", "sms.*")
    stage.run("manage.py", "outbox", "release", "--effect", "sms.*")
    stage.expect(_sale(3), _sale(4), SHIPPED)
    stage.out.conclude("each customer once, no supplier")


#: An order's text, while texts are paused.
_SHIP: Final = f"from shop.effects import send_sms; send_sms({', '.join(map(json.dumps, SHIPPED['sent'].values()))})"


def _sale(number: int) -> dict[str, Any]:
    return {"to": "POST /sms", "sent": {"to": f"+44 20 7946 010{number}", "body": "Winter sale: 20 % off."}}


def explain_decisions(stage: Stage) -> None:
    """The reason, and where it stands."""
    stage.out.step(
        "Why?",
        """Every decision can say why. In production the card is charged; on the staging system, where the settings have
        a POLICY, it is not, and a text is sent only to phones of our own.""",
    )
    here = stage.run("manage.py", "side_effects", "card.charge", "--explain")
    staging = stage.run("manage.py", "side_effects", "--explain", SHOP_STAGE="staging")
    if "EXECUTE" not in here.upper() or "POLICY" not in staging:
        raise Broken("the explanation does not say why")
    stage.expect(quietly=True)
    stage.out.conclude("each decision names its rule")


def main() -> int:
    """Play it. Exit code 0 when all was as it should be, 1 when not, 130 after Ctrl-C."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have us ignore it, in the background
    out = Transcript()
    out.say(
        """A small shop charges cards, mails, texts and calls a webhook. Its gateway, its card processor, its warehouse
        and its mail server listen on this machine and write down what really arrives."""
    )
    try:
        with tempfile.TemporaryDirectory(prefix="sideeffects-demo-") as folder, listening() as receivers:
            play(Stage(Path(folder), receivers, out))
    except Broken as error:
        out.summary(failure=str(error))
        sys.stdout.flush()
        print(f"\nThe demo FAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; nothing is left behind.", file=sys.stderr)
        return 130
    out.summary()
    return 0


def _stop(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
