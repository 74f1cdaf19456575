"""The idea: a call is decided, and then executed, held, recorded or refused."""

from drawings.shapes import arrow, box, caption, picture


def draw() -> str:
    """From the call down to what may become of it."""
    modes = (
        ("EXECUTE", "it happens"),
        ("HOLD", "kept for later"),
        ("RECORD", "written down"),
        ("RAISE", "refused"),
    )
    parts = [
        box(110, 8, 300, 40, 'send_sms("+44 20 7946 0000", "Hello")'),
        arrow(260, 48, 260, 84),
        box(150, 84, 220, 56, "the decision", "one place, for each call", kind="accent"),
        caption(72, "called normally, from anywhere", x=270, anchor="start"),
    ]
    for number, (mode, meaning) in enumerate(modes):
        left = 8 + number * 128
        parts += [arrow(200 + number * 40, 140, left + 60, 190), box(left, 190, 120, 56, mode, meaning)]
    parts += [
        caption(268, "in production, unless a rule says otherwise", x=8, anchor="start"),
        caption(268, "in a test, unless it names the effect", x=512, anchor="end"),
        arrow(68, 258, 68, 248),
        arrow(324, 258, 324, 248),
    ]
    return picture("A call is decided in one place, and then executed, held, recorded or refused", 284, *parts)
