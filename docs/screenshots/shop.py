"""Commands in the demo's shop, and its page of probes."""

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from playwright.sync_api import Browser

from docs.screenshots import small, still, terminal

DEMO: Final = Path(__file__).resolve().parents[1] / "demo"
sys.path.insert(0, str(DEMO))

import receivers  # noqa: E402 - the demo's modules are found only now
import run  # noqa: E402

COLUMNS: Final = 96
_PYTEST: Final = ("-m", "pytest", "-q", "--no-header", "--color=yes")
_BOB: Final = 'Order.objects.create(email="bob@example.com", phone="+44 20 7946 0001", total_cents=990{more})'


class Shot(NamedTuple):
    """A command, and what is shown of it.

    Attributes:
        name: of the picture.
        typed: the command as a reader types it.
        words: the words after `python` that are run for it.
        code: the exit code that it ends with.
        first: an expression; the line that it is found in is the first one shown.
        last: the same for the last one.
        stage: the shop's `SHOP_STAGE`.
    """

    name: str
    typed: str
    words: tuple[str, ...]
    code: int = 0
    first: str = ""
    last: str = ""
    stage: str = "production"


SHOTS: Final = (
    Shot(
        "failing-assertion",
        "pytest shop/tests/failing.py",
        (*_PYTEST, "--tb=short", "shop/tests/failing.py"),
        code=1,
        first="failing.py:.* in ",
        last="warehouse.announce",
    ),
    Shot("listing", "python manage.py side_effects", ("manage.py", "side_effects"), stage="staging"),
    Shot(
        "fault-sweep",
        "pytest -rP shop/tests/test_when_one_fails.py",
        (*_PYTEST, "-rP", "shop/tests/test_when_one_fails.py"),
        first="fault sweep of an_order",
        last="run one of them again",
    ),
    Shot(
        "explored-race",
        "pytest -rP shop/tests/test_every_order.py",
        (*_PYTEST, "-rP", "--show-capture=stdout", "shop/tests/test_every_order.py"),
        first="racer 1 +racer 2",
        last="rerun: ",
    ),
    Shot(
        "plan", "python manage.py dry_run cancel_unpaid", ("manage.py", "dry_run", "cancel_unpaid"), last="shop_order"
    ),
)


def draw(folder: Path, browser: Browser, stage: run.Stage) -> None:
    """Write the pictures of the shop into a folder."""
    stage.run("manage.py", "shell", "-v0", "-c", _BOB.format(more=""), quietly=True)
    for shot in SHOTS:
        printed = stage.run(*shot.words, code=shot.code, quietly=True, SHOP_STAGE=shot.stage)
        shown = excerpt(still.terminal(printed), shot.first, shot.last)
        svg = terminal.picture(shot.name, shot.typed, shown)
        (folder / f"{shot.name}.svg").write_text(svg, encoding="utf-8")
    stage.run("manage.py", "shell", "-v0", "-c", _BOB.format(more=', receipt="being paid"'), quietly=True)
    with stage.serving() as address:
        # The page's own policy lets no style in that is not its own.
        page = browser.new_page(viewport={"width": 1000, "height": 480}, bypass_csp=True)
        page.goto(f"{address}probes/")
        page.evaluate(still.IN_THE_BROWSER, still.IN_PAGES)
        page.add_style_tag(content=".share { width: 100% }")  # as long as each of them takes
        small.screenshot(page, folder / "probes.png", full_page=True)
        page.close()


@contextmanager
def opened() -> Iterator[run.Stage]:
    """The shop with an empty database, and receivers."""
    with tempfile.TemporaryDirectory() as folder, receivers.listening() as listening:
        out = run.Transcript()
        out.width = COLUMNS
        stage = run.Stage(Path(folder), listening, out)
        stage.run("manage.py", "migrate", "--verbosity=0", quietly=True)
        yield stage


def excerpt(printed: str, first: str, last: str) -> str:
    """The lines from the one to the other.

    Raises:
        ValueError: one of them was not printed.
    """
    lines = printed.splitlines()
    plain = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in lines]
    begin = _index(plain, first, 0) if first else 0
    end = _index(plain, last, begin) if last else len(lines) - 1
    return "\n".join(lines[begin : end + 1])


def _index(lines: list[str], pattern: str, begin: int) -> int:
    found = next((number for number, line in enumerate(lines) if number >= begin and re.search(pattern, line)), None)
    if found is None:
        raise ValueError(f"no line has {pattern!r}:\n" + "\n".join(lines))
    return found
