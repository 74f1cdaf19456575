"""A page as a small PNG."""

import io
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Page

COLOURS: Final = 64


def screenshot(page: Page, path: Path, *, full_page: bool = False) -> None:
    """Write a picture of what the page shows, or of all of it, with as few colours as one does not miss."""
    shown = Image.open(io.BytesIO(page.screenshot(full_page=full_page))).convert("RGB")
    shown.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
