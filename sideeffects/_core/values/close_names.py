"""What somebody may have meant by a name that there is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def close_to(name: object, known: Iterable[object], *, most: int = 3, cutoff: float = 0.6) -> tuple[str, ...]:
    """Those of the known names that look like `name`, best first, whichever case it is in."""
    import difflib  # for error messages alone

    by_case = {str(one).casefold(): str(one) for one in known}
    close = difflib.get_close_matches(str(name).casefold(), by_case, n=most, cutoff=cutoff)
    return tuple(by_case[one] for one in close)


def did_you_mean(
    name: object, known: Iterable[object], otherwise: str = "", *, most: int = 3, is_sentence: bool = False
) -> str:
    """The end of a sentence about a name that there is not: `; did you mean 'sms.send'?`, or `. Did you mean ...?`.

    Args:
        name: what was given.
        known: what there is.
        otherwise: the end of the sentence where nothing looks like it.
        most: how many to name.
        is_sentence: whether it is to be a sentence of its own.
    """
    return meant(close_to(name, known, most=most), otherwise, is_sentence=is_sentence)


def meant(close: Sequence[str], otherwise: str = "", *, is_sentence: bool = False) -> str:
    """The same, where it is known what looks like it."""
    start = ". Did" if is_sentence else "; did"
    return f"{start} you mean {' or '.join(map(repr, close))}?" if close else otherwise
