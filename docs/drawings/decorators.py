"""The order of decorators above a function."""

from drawings.shapes import box, picture, text


def draw() -> str:
    """Each decorator around what stands below it, as Python applies them."""
    layers = (
        ("@receiver(order_paid)", "hands on what is below: decided", ""),
        ("@transaction.atomic", "runs around the decision", ""),
        ('@side_effect(name="receipt.send")', "the decision", "accent"),
        ("def send_receipt(...)", "what is decided about", ""),
    )
    parts = []
    for number, (code, words, kind) in enumerate(layers):
        left, top = 8 + number * 18, 8 + number * 44
        parts += [
            box(left, top, 504 - number * 36, 204 - number * 56, kind=kind),
            text(left + 12, top + 18, code, anchor="start", style="font-family: monospace; font-size: 13px"),
            text(512 - number * 18 - 12, top + 18, words, anchor="end", style="font-size: 13px"),
        ]
    return picture("@side_effect stands right above the function, below all decorators that hand it on", 220, *parts)
