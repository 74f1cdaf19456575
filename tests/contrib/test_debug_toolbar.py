"""Django Debug Toolbar's panel, with the real toolbar around requests of a site in production."""

import json
from pathlib import Path

import pytest

from tests.support.browser import chromium
from tests.support.projects import Project

pytest.importorskip("debug_toolbar")

#: In no source line, so that it shows only where a value does.
SECRET = "tok-5f3759df"

SHOP = """
    import contextlib, json, os, re, time

    import django
    from django.conf import settings
    from django.http import HttpResponse
    from django.urls import include, path

    settings.configure(
        DEBUG=True,
        SECRET_KEY="shop",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="shop",
        INSTALLED_APPS=["django.contrib.staticfiles", "debug_toolbar"],
        STATIC_URL="/static/",
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        MIDDLEWARE=["debug_toolbar.middleware.DebugToolbarMiddleware"],
        DEBUG_TOOLBAR_PANELS=["sideeffects.contrib.debug_toolbar.SideEffectsPanel"],
        DEBUG_TOOLBAR_CONFIG={"SHOW_TOOLBAR_CALLBACK": lambda request: True},
        SIDE_EFFECTS={"POLICY": {"mail.*": "RECORD", "fax.*": "RAISE"}},
    )
    django.setup()
    import debug_toolbar
    from django.test import AsyncClient, Client
    from sideeffects import SideEffectBlocked, side_effect

    SECRET = os.environ["SECRET"]


    @side_effect(name="sms.send")
    def send(to, token=""):
        if to == "ben":
            raise ConnectionError(f"no answer to {token}")


    @side_effect(name="mail.send")
    def mail(to):
        raise AssertionError("it is recorded")


    @side_effect(name="fax.send")
    def fax(to):
        raise AssertionError("it is refused")


    def page(request):
        send("ann", token=SECRET)
        mail("<b>ann</b>" * 30)
        with contextlib.suppress(ConnectionError):
            send("ben", token=SECRET)
        with contextlib.suppress(SideEffectBlocked):
            fax("ann")
        return HttpResponse("<html><body>page</body></html>")


    quiet = path("quiet/", lambda request: HttpResponse("<html><body>quiet</body></html>"))
    urlpatterns = [path("", page), quiet, path("__debug__/", include(debug_toolbar.urls))]


    def shown(response):
        '''What stands in the bar, and the panel as the browser asks for it when somebody opens it.'''
        page = response.content.decode()
        number = re.search(r'data-request-id="([^"]+)"', page)[1]
        asked = {"request_id": number, "panel_id": "SideEffectsPanel"}
        return page, Client().get("/__debug__/render_panel/", asked).json()["content"]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("shop"))
    project.write("shop.py", SHOP)
    return project


@pytest.fixture(scope="module")
def pages(project: Project) -> dict[str, list[str]]:
    """The bar and the panel of some requests."""
    found: dict[str, list[str]] = json.loads(
        project.program(
            """
            import asyncio
            from shop import *

            pages = {"sync": shown(Client().get("/")), "quiet": shown(Client().get("/quiet/"))}
            pages["async"] = shown(asyncio.run(AsyncClient().get("/")))
            print(json.dumps(pages))
            """,
            environment={"SECRET": SECRET},
        )
    )
    return found


def test_the_panel_shows_the_calls_of_its_request(project: Project, pages: dict[str, list[str]]) -> None:
    """Each with mode, reason, arguments, caller and error, without secrets, under WSGI and ASGI; or none."""
    for page, panel in (pages["sync"], pages["async"]):
        assert "4 calls, 2 not executed" in page
        modes = [part.partition('"')[0] for part in panel.split("se-mode se-")[1:]]
        assert modes == ["EXECUTE", "RECORD", "EXECUTE", "RAISE"]
        assert "[settings.SIDE_EFFECTS[&quot;POLICY&quot;][&#x27;mail.*&#x27;]]" in panel
        assert "to=&#x27;&lt;b&gt;ann&lt;/b&gt;&lt;b&gt;" in panel
        assert "ConnectionError: no answer to [redacted]" in panel
        assert "SideEffectBlocked" not in panel  # the reason has said it
        assert str(project.root / "shop.py") in panel
        assert SECRET not in page + panel
    assert "0 calls" in pages["quiet"][0]
    assert "This request called no side effect." in pages["quiet"][1]


@pytest.mark.processes
@pytest.mark.parametrize(("theme", "error"), [("light", "rgb(161, 29, 43)"), ("dark", "rgb(255, 154, 165)")])
def test_modes_have_their_colours_and_nothing_is_cut_off(pages: dict[str, list[str]], theme: str, error: str) -> None:
    """Beside the toolbar's own style, which has rules for each element."""
    import debug_toolbar

    style = Path(debug_toolbar.__file__).parent / "static/debug_toolbar/css/toolbar.css"
    content = f'<div id="djDebug" data-theme="{theme}">{pages["sync"][1]}</div>'
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 900, "height": 600})
        page.set_content(f"<style>{style.read_text(encoding='utf-8')}</style>{content}")

        def colour(of: str, which: str) -> str:
            found: str = page.locator(of).first.evaluate(f"element => getComputedStyle(element).{which}")
            return found

        assert colour(".se-EXECUTE", "backgroundColor") == "rgb(29, 107, 52)"
        assert colour(".se-EXECUTE", "color") == "rgb(255, 255, 255)"
        assert colour(".se-error", "color") == error
        assert page.locator("table").evaluate("table => table.getBoundingClientRect().right") <= 900
