"""Who sees an override."""

from drawings.shapes import box, caption, picture, text

SEES = "sees it"
NOT = "does not"


def draw() -> str:
    """A process in a test run, and one outside."""
    parts = [
        box(8, 8, 504, 148, kind="dashed"),
        text(260, 28, "in a test run", style="font-weight: bold"),
        box(24, 48, 112, 92, "the test", "with stub(...):", kind="accent"),
        *(
            box(148 + number * 120, 48, 112, 92, who, "of this process", SEES)
            for number, who in enumerate(("threads", "live server", "tasks"))
        ),
        box(8, 172, 504, 148, kind="dashed"),
        text(260, 192, "in production", style="font-weight: bold"),
        box(24, 212, 112, 92, "request A", "with record(...):", kind="accent"),
        box(148, 212, 112, 92, "its threads", "and its tasks", SEES),
        box(268, 212, 112, 92, "request B", "another thread", NOT),
        box(388, 212, 112, 92, "a worker", "another process", NOT),
        caption(340, "Work that outlives the block keeps HOLD, RECORD and RAISE,"),
        caption(360, "and loses EXECUTE and stubs."),
    ]
    return picture(
        "In a test run a whole process sees an override, in production only its own context",
        372,
        *parts,
    )
