"""What differs from run to run and from machine to machine: held still, so that only what has changed looks changed."""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
#: What varies in the text of a page, as expressions that JavaScript reads as well, and what stands there instead.
IN_PAGES: Final = (
    (r"\b[A-Z][a-z]+\.? \d+, \d{4}, (\d+(:\d+)?.[ap]\.m\.|noon|midnight)", "Nov. 2, 2026, 3:07 a.m."),
    (r"\b\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "2026-11-02 03:07:00"),
    (r"\b\d+(\.\d+)?\s?ms\b", "12 ms"),
    (r"\b\d+\.\d{3} s\b", "0.012 s"),
    (r"\b\d+ seconds? ago\b", "just now"),
    (r"/\S+/tmp\w+/", ""),
    (r"[\w.-]+, process \d+", "web-1, process 4711"),
    (r"\b\d+-[0-9a-f]{16}-\d+", "4711-b1734af9a8fc440c-7"),
)
#: For the page: replace in all its texts. Chromium has it from Playwright, with the pairs above.
IN_THE_BROWSER: Final = """pairs => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode())
        for (const [pattern, instead] of pairs)
            texts.currentNode.data = texts.currentNode.data.replace(new RegExp(pattern, "g"), instead);
}"""


def terminal(printed: str) -> str:
    """The output of a command without durations, and without the folder that this repository is in."""
    printed = re.sub(r" in \d+\.\d+s\b", "", printed)
    return printed.replace(f"{ROOT}/docs/demo/", "")
