"""The page for people, in a real browser: what it shows, to whom, and how it is operated."""

import datetime
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from sideeffects.probes import ProbeOutcome, ProbeResult, Results
from sideeffects.probes.reports import FORMATS
from tests.support.browser import chromium
from tests.support.probe_project import ProbeProject
from tests.support.web_servers import Server, served

pytestmark = pytest.mark.processes

PROBES = """
    import time

    import effects
    from sideeffects.probes import SmokeTest


    class Checkout(SmokeTest):
        tags = ["money"]

        def test_charges_a_card(self):
            effects.attempt("<i>an order</i>")

        def test_ledger_agrees(self):
            self.assertEqual(12, 13, "the ledger <b>lacks</b> an order")

        def test_prices_of_all_the_products_that_a_customer_with_a_discount_and_a_very_long_name_sees(self):
            pass


    class Search(SmokeTest):
        timeout = 0.3

        def test_index(self):
            time.sleep(0.6)

        def test_partner(self):
            self.skipTest("moving until Monday")


    class Audit(SmokeTest):
        force_run = ["shop.send"]

        def test_log(self):
            effects.attempt("the log")
"""
TOKEN = "t0ken-of-the-tests"
THEMES = ("light", "dark")
WIDTHS = {"wide": 1280, "narrow": 360}


class Site(NamedTuple):
    """The project on a server, and a browser."""

    server: Server
    browser: Browser

    @contextmanager
    def page(self, path: str = "probe/", *, token: bool = True, width: str = "wide", **more: Any) -> Iterator[Page]:
        """The page, opened. Neither may it load anything, nor may the browser complain."""
        complaints: list[str] = []
        requests: list[str] = []

        def said(message: ConsoleMessage) -> None:
            # That the status is 500 is no news.
            if "status of 500" not in message.text:
                complaints.append(message.text)

        def sent(request: Request) -> None:
            if not request.url.startswith("data:"):
                requests.append(request.url)

        context = self.browser.new_context(
            viewport={"width": WIDTHS[width], "height": 800},
            extra_http_headers={"Authorization": f"Bearer {TOKEN}"} if token else {},
            **more,
        )
        try:
            page = context.new_page()
            page.set_default_timeout(10_000)
            page.on("console", said)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("request", sent)
            page.goto(self.server.url + path)
            yield page
            assert not complaints
            assert requests == [self.server.url + path]
        finally:
            context.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A project whose probes pass, fail, hang and are skipped, on a WSGI server."""
    project = ProbeProject(tmp_path_factory.mktemp("site"))
    project.write("shop/probes.py", PROBES)
    rules = {"TOKEN": TOKEN, "PUBLIC": True, "CACHE_SECONDS": 600}
    with chromium() as browser, served(project, "wsgi", PROBES=json.dumps(rules)) as server:
        yield Site(server, browser)


def probe(page: Page, name: str) -> Any:
    return page.get_by_role("listitem").filter(has=page.get_by_role("heading", level=2, name=re.compile(f"{name}$")))


def shown(page: Page) -> list[str]:
    return [name.rpartition(".")[2] for name in page.get_by_role("heading", level=2).all_text_contents()]


def visible(page: Page) -> list[str]:
    return [
        heading.inner_text().rpartition(".")[2]
        for heading in page.get_by_role("heading", level=2).all()
        if heading.is_visible()
    ]


def test_the_state_is_seen_at_a_glance(site: Site) -> None:
    """In the title, the heading and the totals."""
    with site.page() as page:
        assert page.title() == "FAIL: probes"
        expect(page.get_by_role("heading", level=1)).to_have_text("1 probe failed and 1 probe errored")
        expect(page.get_by_role("banner")).to_contain_text("FAIL")
        totals = dict(zip(page.locator("dt").all_text_contents(), page.locator("dd").all_text_contents(), strict=True))
        assert totals == {
            "failed": "1",
            "errored": "1",
            "passed": "3",
            "skipped": "1",
            "run in all": "5",
            "classes": "3",
            "effect held back": "1",
        }
    with site.page("probe/?label=shop.Checkout.test_charges_a_card") as page:
        assert page.title() == "PASS: probes"
        expect(page.get_by_role("heading", level=1)).to_have_text("1 probe passed")


def test_each_probe_has_a_row(site: Site) -> None:
    """What is wrong comes first; with its message, tags, effects, and its duration beside a bar of that length."""
    with site.page() as page:
        assert shown(page)[:2] == ["test_ledger_agrees", "test_index"]
        assert len(shown(page)) == 6
        failed = probe(page, "test_ledger_agrees")
        expect(failed).to_contain_text("the ledger <b>lacks</b> an order")
        expect(failed.get_by_role("list", name="Tags")).to_have_text("money")
        expect(failed.get_by_role("heading", level=2)).to_have_text("shop.probes.Checkout.test_ledger_agrees")
        charges = probe(page, "test_charges_a_card")
        expect(charges).to_contain_text("Held back: would have executed")
        expect(charges.locator("code")).to_have_text("shop.send(place='<i>an order</i>')")
        expect(probe(page, "test_log")).to_contain_text("Executed, since the probe forces it")
        expect(probe(page, "test_partner")).to_contain_text("moving until Monday")
        rows = {name: probe(page, name) for name in shown(page)}
        widths = {name: row.locator(".share").evaluate(WIDTH) for name, row in rows.items()}
        times = {name: in_seconds(row.locator(".time").inner_text()) for name, row in rows.items()}
        assert times["test_index"] >= 0.3
        track, longest = rows["test_index"].locator(".bar svg").evaluate(WIDTH), max(times.values())
        for name, width in widths.items():
            assert width == pytest.approx(max(0.005, times[name] / longest) * track, abs=1)


WIDTH = "element => element.getBoundingClientRect().width"


def in_seconds(text: str) -> float:
    number, unit = text.split()
    return float(number) * {"s": 1, "ms": 0.001}[unit]


def test_tracebacks_are_folded(site: Site) -> None:
    """And open from the keyboard."""
    with site.page() as page:
        failed = probe(page, "test_ledger_agrees")
        trace = failed.get_by_role("region", name=re.compile("Traceback of shop.probes"))
        expect(trace).to_be_hidden()
        failed.locator("summary").focus()
        page.keyboard.press("Enter")
        expect(trace).to_be_visible()
        expect(trace).to_contain_text("AssertionError: the ledger <b>lacks</b> an order")
        page.keyboard.press("Tab")
        expect(trace).to_be_focused()


def test_the_place_where_a_probe_hangs_is_shown(site: Site) -> None:
    """From the probe on, without what led to it."""
    with site.page() as page:
        trace = probe(page, "test_index").locator("pre").text_content().splitlines()
        assert trace[0] == "It hangs here:"
        assert trace[1].endswith("in test_index")
        assert trace[2].strip() == "time.sleep(0.6)"


def test_probes_are_searched_and_filtered_without_reloading(site: Site) -> None:
    """By words of their names, tags, messages and effects, and by what came of them; a live region counts them."""
    with site.page() as page:
        search = page.get_by_role("search").get_by_role("searchbox", name="Search")
        count = page.get_by_role("status")
        expect(count).to_have_text("6 of 6 shown")
        for words, names in (
            ("LEDGER", ["test_ledger_agrees"]),
            ("checkout card", ["test_charges_a_card"]),
            ("shop.send order", ["test_charges_a_card"]),
            ("monday", ["test_partner"]),
            ("nothing like that", []),
        ):
            search.fill(words)
            expect(count).to_have_text(f"{len(names)} of 6 shown")
            assert visible(page) == names
        expect(page.get_by_text("No probe fits.")).to_be_visible()
        search.press("Enter")
        search.fill("")
        page.get_by_role("checkbox", name="passed").uncheck()
        expect(count).to_have_text("3 of 6 shown")
        page.get_by_role("checkbox", name="skipped").focus()
        page.keyboard.press("Space")
        assert visible(page) == ["test_ledger_agrees", "test_index"]


def test_without_javascript_all_of_it_is_there(site: Site) -> None:
    """But for the filters, which would do nothing."""
    with site.page(java_script_enabled=False) as page:
        assert len(visible(page)) == 6
        expect(page.locator("form")).to_be_hidden()
        probe(page, "test_ledger_agrees").locator("summary").click()
        expect(probe(page, "test_ledger_agrees").locator("pre")).to_be_visible()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_keeps_nobody_out(site: Site, theme: Any, width: str) -> None:
    """axe-core finds nothing: roles, names, contrast, order of headings; and nothing has to be scrolled sideways."""
    with site.page(width=width, color_scheme=theme) as page:
        for summary in page.locator("summary").all():
            summary.click()
        found = Axe().run(page, options={"resultTypes": ["violations", "passes"]})
        assert not found.response["violations"], found.generate_report()
        assert "color-contrast" in [rule["id"] for rule in found.response["passes"]]
        assert page.evaluate("document.documentElement.scrollWidth") == WIDTHS[width]
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
        assert dark is (theme == "dark")


def test_the_public_page_has_outcomes_only(site: Site) -> None:
    """Names, outcomes and durations; and it is as accessible."""
    with site.page(token=False) as page:
        assert len(visible(page)) == 6
        text = page.content()
        for secret in ("lacks", "Monday", "Traceback", "shop.send", "timeout"):
            assert secret not in text
        assert not Axe().run(page).response["violations"]


FILTERING = """
    () => {
        const search = document.getElementById("search");
        const took = (text) => {
            const started = performance.now();
            search.value = text;
            search.dispatchEvent(new Event("input", { bubbles: true }));
            document.body.getBoundingClientRect();
            return performance.now() - started;
        };
        return [took("test_7"), took("")];
    }
"""


def test_thousands_of_probes_are_filtered_as_fast_as_they_are_shown(site: Site) -> None:
    """Typing a letter into the search does not stop the browser for seconds."""
    module, case = "shop.probes", "Case"
    probes = tuple(
        ProbeResult(f"{module}.{case}.test_{number}", "shop", module, case, f"test_{number}", ProbeOutcome.PASSED)
        for number in range(2000)
    )
    results = Results(probes, datetime.datetime.now(datetime.UTC), 1.0)
    page = site.browser.new_page()
    try:
        page.set_content(FORMATS["html"].render(results))
        filtering, showing = page.evaluate(FILTERING)
        expect(page.get_by_role("status")).to_have_text("2000 of 2000 shown")
    finally:
        page.close()
    assert filtering < 3 * showing
