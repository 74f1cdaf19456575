"""Pictures of README.md and the pages: those that `make pictures` makes, and the drawings of the docs' build."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PICTURES = sorted((ROOT / "docs" / "pictures").iterdir())
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BYTES = {".svg": 30_000, ".png": 60_000}


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_picture_is_small_and_loads_nothing(picture: Path) -> None:
    """An SVG that needs a font from the web shows another one without a network, and none on PyPI."""
    assert picture.stat().st_size < BYTES[picture.suffix]
    if picture.suffix == ".svg":
        drawing = picture.read_text(encoding="utf-8")
        ET.fromstring(drawing)
        assert re.findall(r"https?://[^\"]+", drawing) == ["http://www.w3.org/2000/svg"]
        assert "@import" not in drawing
        assert set(re.findall(r"url\((.)", drawing)) == {"#"}


def test_pages_show_the_pictures_that_there_are_and_no_others() -> None:
    """A picture that no page shows is left over; one that is not there is a hole. Each has words in its place."""
    shown: set[Path] = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for words, target in re.findall(r"!\[([^]]*)\]\(([^)]*pictures/[^)]*)\)", text):
            assert len(words) > 20, f"{page}: {target}"
            shown.add((page.parent / re.sub(r"^https://\S+/main/", "", target)).resolve())
    assert shown == set(PICTURES)


def test_drawings_take_the_colours_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else they could not be read in dark mode. They have a title for screen readers, and each is on a page."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import drawings

    drawings.draw(tmp_path)

    written = {file.name: file.read_text(encoding="utf-8") for file in tmp_path.iterdir()}
    embedded = {
        Path(name).name
        for page in PAGES
        for name in re.findall(r":file: \S*_build/drawings/(\S+)", page.read_text(encoding="utf-8"))
    }
    assert written.keys() == embedded
    assert len(written) == 6
    for name, drawing in written.items():
        assert ET.fromstring(drawing).findtext("title"), name
        colours = set(re.findall(r"(?:fill|stroke)=\"([^\"]+)\"", drawing))
        assert colours <= {"none", "currentColor", "var(--color-brand-primary, currentColor)"}, name
