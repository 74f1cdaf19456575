"""A call's way: from whoever makes it to whoever hears of it."""

from drawings.shapes import arrow, box, caption, picture


def draw() -> str:
    """One column; the answers stand at its end."""
    stations = (
        ("the call", "plain, awaited, .enqueue(), a task's delay()", ""),
        ("the decision", "overrides, then settings: a mode and a reason", "accent"),
        ("written down", "a Call in the ledger, with copies of its arguments", ""),
    )
    parts = []
    for number, (title, words, kind) in enumerate(stations):
        top = 8 + number * 88
        parts += [box(80, top, 360, 56, title, words, kind=kind), arrow(260, top + 56, 260, top + 88)]
    ends = (
        ("executed", "the function runs"),
        ("held, recorded", "stub, returns, None"),
        ("refused", "SideEffectBlocked"),
    )
    parts.append('<path d="M90 284V272H430V284" fill="none" stroke="currentColor" stroke-width="1.5"/>')
    for number, (title, words) in enumerate(ends):
        left = 8 + number * 172
        parts += [arrow(left + 80, 278, left + 80, 296), box(left, 296, 160, 56, title, words)]
        parts.append(arrow(left + 80, 352, 220 + number * 40, 388))
    parts += [
        box(80, 388, 360, 56, "the outcome", "result or error, added once; observers hear of it"),
        caption(462, "No other way leads to the function, but for .__wrapped__."),
    ]
    return picture("The way of a call: decided, written down, acted on, and its outcome added", 474, *parts)
