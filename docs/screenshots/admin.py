"""The outbox in Django's admin: a small site, a night's calls, and Chromium."""

import json
import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page

from docs.screenshots import small, still
from tests.support.pause_project import NIGHT, PauseProject

#: What is shown: the picture's name, the page, its width and height, and light or dark.
PICTURES: Final = (
    ("effects", "effect/", 1000, 380, "light"),
    ("held-call", "heldcall/?state__exact=failed", 1000, 640, "light"),
    ("phone", "heldcall/?state__exact=held", 390, 760, "dark"),
)


def site(root: Path) -> PauseProject:
    """The site after a night."""
    project = PauseProject(root)
    ledger = {"BACKEND": "file", "PATH": str(root / "ledger")}
    project.environment["RULES"] = json.dumps({"LEDGER": ledger, "POLICY": {"sms.*": "HOLD", "mail.*": "RECORD"}})
    project.manage("migrate", "--verbosity=0")
    project.program(NIGHT, environment=project.environment)
    return project


def log_in(browser: Browser, url: str, width: int, height: int, scheme: str) -> Page:
    """A page of that size, on which Ann has logged in, without what stands beside ours."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
    context.add_init_script("localStorage.setItem('django.admin.navSidebarIsOpen', 'false')")
    page = context.new_page()
    page.goto(f"{url}admin/login/?next=/admin/")
    page.get_by_label("Username").fill("ann")
    page.get_by_label("Password").fill("secret")
    page.get_by_role("button", name="Log in").click()
    return page


def draw(folder: Path, browser: Browser) -> None:
    """Write the pictures of the admin into a folder."""
    with tempfile.TemporaryDirectory() as root, site(Path(root)).serving() as url:
        for name, where, width, height, scheme in PICTURES:
            page = log_in(browser, url, width, height, scheme)
            page.goto(f"{url}admin/sideeffects_outbox/{where}")
            if name == "held-call":
                page.locator("#result_list").get_by_role("link", name="sms.send").click()
            page.add_style_tag(content="#nav-sidebar, #toggle-nav-sidebar, #user-tools { display: none !important }")
            page.evaluate(still.IN_THE_BROWSER, still.IN_PAGES)
            small.screenshot(page, folder / f"admin-{name}.png")
            page.context.close()
