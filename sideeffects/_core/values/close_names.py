"""Names that look like one that does not exist: what somebody may have meant."""

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
    """The end of a sentence about an unknown name: `; did you mean 'sms.send'?`, or `. Did you mean ...?`.

    Args:
        name: what was given.
        known: the names that exist.
        otherwise: the end of the sentence when none of them looks like it.
        most: how many to name at most.
        is_sentence: whether to write a sentence of its own.
    """
    return meant(close_to(name, known, most=most), otherwise, is_sentence=is_sentence)


def meant(close: Sequence[str], otherwise: str = "", *, is_sentence: bool = False) -> str:
    """The same, given the names that look like it."""
    start = ". Did" if is_sentence else "; did"
    return f"{start} you mean {' or '.join(map(repr, close))}?" if close else otherwise
