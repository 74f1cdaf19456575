"""What runs where: the processes of a test run, and what each of them does with a call."""

from drawings.shapes import arrow, box, caption, picture, text


def draw() -> str:
    """A test process with its children on the left, what was there before on the right."""
    return picture(
        "Processes that a test run starts belong to it and execute nothing; those that were there before do not belong",
        330,
        box(8, 8, 340, 280, kind="dashed"),
        text(178, 28, "the test run", style="font-weight: bold"),
        box(24, 44, 308, 60, "pytest, unittest, manage.py test", "executes nothing that no test names", kind="accent"),
        arrow(96, 104, 96, 150),
        arrow(250, 104, 250, 150),
        box(24, 150, 146, 76, "test workers", "xdist, --parallel:", "a ledger of their own"),
        box(182, 150, 150, 76, "children", "subprocess, fork,", "spawn, pools, racers"),
        caption(252, "They inherit SIDE_EFFECTS_TEST_RUN=1.", x=178),
        caption(272, "Calls of children are read by the test.", x=178),
        box(372, 8, 140, 280, kind="dashed"),
        text(442, 28, "outside it", style="font-weight: bold"),
        box(384, 44, 116, 76, "servers", "and workers that", "ran before"),
        box(384, 150, 116, 76, "children", "with a cleaned", "environment"),
        caption(252, "They execute,", x=442),
        caption(272, "as in production.", x=442),
        caption(310, "Start them with SIDE_EFFECTS_TEST_RUN=1, and they belong to it."),
    )
