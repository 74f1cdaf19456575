"""The admin's pages in a real browser: what they show, to whom, by which keys, and what they do."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import chromium
from tests.support.pause_project import NIGHT, PauseProject

pytestmark = pytest.mark.processes
SECRET = "tok-5f3759df"


class Site(NamedTuple):
    """The site on a server, and a browser."""

    project: PauseProject
    url: str
    browser: Browser

    @contextmanager
    def page(self, user: str, width: int = 1300, scheme: str = "light") -> Iterator[Page]:
        """A page on which somebody has logged in."""
        context = self.browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        page.set_default_timeout(20_000)
        try:
            page.goto(f"{self.url}admin/login/?next=/admin/")
            page.get_by_label("Username").fill(user)
            page.get_by_label("Password").fill("secret")
            page.get_by_role("button", name="Log in").click()
            yield page
        finally:
            context.close()

    def goto(self, page: Page, name: str) -> None:
        page.goto(f"{self.url}admin/sideeffects_outbox/{name}/")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("admin")
    project = PauseProject(root)
    ledger = {"BACKEND": "file", "PATH": str(root / "ledger")}
    project.environment["RULES"] = json.dumps({"LEDGER": ledger, "POLICY": {"sms.*": "HOLD", "mail.*": "RECORD"}})
    project.manage("migrate", "--verbosity=0")
    project.program(NIGHT, environment=project.environment)
    with chromium() as browser, project.serving() as url:
        yield Site(project, url, browser)


def test_effects_show_what_holds_and_why_and_lead_to_their_calls(site: Site) -> None:
    """The paused first, with who and why; one click to held calls by state, and to the calls of the ledger."""
    with site.page("ann") as page:
        site.goto(page, "effect")
        first = page.locator("#content-main tbody tr").first
        expect(first).to_contain_text("sms.send")
        expect(first.locator(".se-badge").first).to_have_text("HOLD")
        expect(first).to_contain_text(re.compile(r"paused by ann at .* UTC: The loop of ticket 4711"))
        expect(first).to_contain_text("Send a text message.")
        expect(first.get_by_role("button", name="Resume")).to_have_text(
            "Resume sms.*"
        )  # it ends more than one name says
        expect(first.get_by_role("link", name="UNKNOWN 1")).to_be_visible()  # its worker is gone
        first.get_by_role("link", name="FAILED 1").click()
        expect(page.locator("#result_list tbody tr")).to_have_count(1)
        expect(page.locator("#result_list")).to_contain_text("ConnectionError: the gateway did not take broken gateway")
        page.go_back()
        page.locator("#content-main tbody tr", has_text="mail.send").get_by_role(
            "link", name=re.compile("last")
        ).click()
        expect(page.locator("#content-main tbody tr")).to_have_count(1)
        expect(page.locator("#content-main tbody tr")).to_contain_text("GET /orders/<int:pk>/ (shop.views.order)")


def test_pausing_and_resuming(site: Site) -> None:
    """By keyboard; a name that there is not is refused with the nearest; each is in the admin's log."""
    with site.page("ann") as page:
        site.goto(page, "effect")
        page.get_by_role("link", name="Pause mail.send").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_label("Effects")).to_have_value("mail.send")
        page.get_by_label("Effects").fill("mial.send")
        page.get_by_label("Why").fill("they come twice")
        page.get_by_label("For how long").select_option("2 hours")
        page.get_by_label("refuse").check()
        page.get_by_role("button", name="Pause", exact=True).click()
        expect(page.locator(".errorlist")).to_contain_text("Did you mean 'mail.send'")
        page.get_by_label("Effects").fill("mail.send")
        page.keyboard.press("Enter")
        expect(page.locator(".messagelist")).to_contain_text("From now on mail.send is RAISE.")
        row = page.locator("#content-main tbody tr", has_text="mail.send")
        expect(row).to_contain_text(re.compile(r"RAISE\s+paused by ann at .* until .*: they come twice"))
        row.get_by_role("button", name="Resume").click()
        expect(page.locator(".messagelist")).to_contain_text("Resumed: mail.send.")
        again = page.locator("#result_list").get_by_role("button", name="Resume mail.send")
        expect(again).to_have_count(0)
        site.goto(page, "pause/add")
        page.get_by_label("Why").fill("they come thrice")
        page.get_by_label("Effects").fill("mail.*")
        page.keyboard.press("Enter")
        expect(page.locator(".messagelist")).to_contain_text("From now on mail.* is HOLD.")
        site.goto(page, "pause")
        page.get_by_role("button", name="Resume mail.*").click()
        expect(page.locator(".messagelist")).to_contain_text("Resumed: mail.*.")
        page.goto(f"{site.url}admin/")
        expect(page.locator("#recent-actions-module")).to_contain_text("mail.send: raise")
    assert "mail.send: resumed by ann" in site.project.log


def test_releasing_rejecting_and_retrying(site: Site) -> None:
    """One by its page, several after they were asked; nothing twice, and what cannot be is said."""
    with site.page("ann") as page:
        site.goto(page, "heldcall")
        page.locator("#result_list").get_by_role("link", name="sms.send").last.click()  # the oldest is done
        expect(page.locator(".se-headline .se-badge")).to_have_text("DONE")
        expect(page.get_by_role("button", name="Release")).to_have_count(0)
        expect(page.locator(".se-facts")).to_contain_text("command remind_unpaid")

        site.goto(page, "heldcall")
        # Whoever retries one that is UNKNOWN has read on its page what that means.
        expect(page.locator("#result_list").get_by_role("button", name="Retry sms.send")).to_have_count(1)
        page.goto(f"{site.url}admin/sideeffects_outbox/heldcall/?state__exact=failed")
        page.locator("#result_list").get_by_role("link", name="sms.send").click()
        expect(page.locator("pre.se-error")).to_contain_text(
            "ConnectionError: the gateway did not take broken gateway with [redacted]"
        )
        page.get_by_role("button", name="Retry").click()
        expect(page.locator(".messagelist")).to_contain_text("Retried: 1. Failed: 1; each shows its error.")
        expect(page.locator(".se-facts")).to_contain_text("Attempts")

        # Two people release one call: the page of the second one still has the button.
        page.evaluate("document.querySelector('.se-buttons form').action = '../../1/do/release/'")
        page.locator(".se-buttons button").first.click()
        expect(page.locator(".messagelist")).to_contain_text(
            "Released: 0. Somebody was faster, or it is in another state: 1."
        )

        page.goto(f"{site.url}admin/sideeffects_outbox/heldcall/?state__exact=held")
        count = page.locator("#result_list tbody tr").count()
        page.locator("#action-toggle").check()
        page.locator("select[name=action]").select_option("release_selected")
        page.get_by_role("button", name="Go").click()
        expect(page.locator(".se-headline")).to_have_text("Release, and so execute now:")
        expect(page.locator("#content")).to_contain_text(f"{count} \N{MULTIPLICATION SIGN} sms.send")
        page.keyboard.press("Enter")  # the button has the focus
        expect(page.locator(".messagelist")).to_contain_text(f"Released: {count}. Done: {count}.")
        page.goto(f"{site.url}admin/sideeffects_outbox/heldcall/?state__exact=unknown")
        page.locator("#result_list").get_by_role("link", name="sms.send").click()
        expect(page.locator(".se-note")).to_contain_text("Look at the receiver first.")
        page.get_by_role("button", name="Reject").click()
        expect(page.locator(".se-headline .se-badge")).to_have_text("REJECTED")
        page.get_by_role("link", name="History").last.click()
        expect(page.locator("#change-history")).to_contain_text("Rejected sms.send")
        assert SECRET not in page.content()
    sent = (site.project.root / "executed").read_text().splitlines()
    assert len(sent) == len(set(sent))


def test_permissions_are_those_of_django(site: Site) -> None:
    """Who may only look sees no button and can do nothing; who may nothing sees no page."""
    with site.page("ben") as page:
        site.goto(page, "effect")
        expect(page.locator("#content-main tbody tr").first).to_be_visible()
        expect(page.locator("#content-main").get_by_role("link", name=re.compile("Pause"))).to_have_count(0)
        site.goto(page, "heldcall")
        expect(page.locator("select[name=action]")).to_have_count(0)
        page.locator("#result_list").get_by_role("link", name="sms.send").first.click()
        expect(page.get_by_role("button", name=re.compile("Release|Reject|Retry"))).to_have_count(0)
        token = next(cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "csrftoken")
        for path in ("heldcall/1/do/release/", "heldcall/1/do/retry/", "pause/1/resume/", "pause/add/"):
            address = f"{site.url}admin/sideeffects_outbox/{path}"
            answer = page.request.post(address, form={"csrfmiddlewaretoken": token}, max_redirects=0)
            assert answer.status == 403, path
        assert page.request.get(f"{site.url}admin/sideeffects_outbox/ledgercall/").status == 403
        # Whoever may view effects sees no pause by the address of an effect: the model is a proxy.
        assert page.request.get(f"{site.url}admin/sideeffects_outbox/effect/1/change/").url == f"{site.url}admin/"
    with site.page("ann") as page:
        assert page.request.post(f"{site.url}admin/sideeffects_outbox/heldcall/1/do/release/").status == 403  # no token
        for path in ("heldcall/1/do/release/", "pause/1/resume/"):
            assert page.request.get(f"{site.url}admin/sideeffects_outbox/{path}").status == 405, path
        asks = "admin/sideeffects_outbox/heldcall/?payload__startswith=x"
        assert page.request.get(f"{site.url}{asks}").status == 400
    with site.page("eve") as page:
        for name in ("effect", "heldcall", "pause", "ledgercall"):
            assert page.request.get(f"{site.url}admin/sideeffects_outbox/{name}/").status == 403
        assert "Side effects" not in page.content()


@pytest.mark.once
@pytest.mark.parametrize(("width", "scheme"), [(1300, "light"), (390, "dark")])
def test_they_are_readable(site: Site, width: int, scheme: str) -> None:
    """Nothing has to be moved sideways, and axe finds nothing serious: contrasts, names of controls, and the rest."""
    with site.page("ann", width, scheme) as page:
        for name in ("effect", "heldcall", "ledgercall", "pause", "heldcall/7/change", "pause/add", "pause/1/change"):
            site.goto(page, name)
            expect(page.locator("#content")).to_be_visible()
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 1, name
            found: Any = Axe().run(page, context="#content")
            impacts = {violation["id"]: violation["impact"] for violation in found.response["violations"]}
            assert not {"serious", "critical"} & set(impacts.values()), f"{name}\n{found.generate_report()}"
