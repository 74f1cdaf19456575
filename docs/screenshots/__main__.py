"""`make pictures`: what README.md and the pages show, made from what really is printed and served.

python -m docs.screenshots     from the root of the repository; writes docs/pictures/
"""

from pathlib import Path

from docs.screenshots import admin, shop
from tests.support.browser import chromium


def main() -> None:
    """Write all pictures."""
    folder = Path(__file__).resolve().parents[1] / "pictures"
    folder.mkdir(exist_ok=True)
    # The shop first: Playwright has an event loop running in this thread for as long as there is a browser.
    with shop.opened() as stage, chromium() as browser:
        shop.draw(folder, browser, stage)
        admin.draw(folder, browser)


if __name__ == "__main__":
    main()
