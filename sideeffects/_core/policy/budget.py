"""`budget`: so many executing calls in a minute, an hour or a day, over all processes."""

from __future__ import annotations

from typing import Final

from sideeffects._core.calls.decision import Mode

#: Seconds in what a budget may be given for.
PERIODS: Final = {"minute": 60, "hour": 60 * 60, "day": 24 * 60 * 60}


class Budget:
    """What `budget` makes.

    Attributes:
        limit: how many calls execute in one period.
        per: the period: `minute`, `hour` or `day`.
        then: what happens to those past the limit.
    """

    __slots__ = ("limit", "per", "then")

    def __init__(self, limit: int, per: str, then: Mode) -> None:
        self.limit = limit
        self.per = per
        self.then = then

    @property
    def seconds(self) -> int:
        """How long one period is."""
        return PERIODS[self.per]

    def __repr__(self) -> str:
        return f"budget({self.limit}, per={self.per!r}, then={self.then.name!r})"


def budget(limit: int, *, per: str, then: Mode | str = "HOLD") -> Budget:
    """A value for `POLICY`: at most `limit` calls execute per period, over all processes.

    They are counted in Django's cache (`SIDE_EFFECTS["OUTBOX"]["CACHE"]`), in periods that begin with the minute, hour
    or day of the clock (UTC). If the cache cannot count, each call gets `then`. In a test run a budget has no effect.

    Args:
        limit: how many, from 0 on.
        per: `"minute"`, `"hour"` or `"day"`.
        then: what happens to a call past the limit: `"HOLD"`, `"RECORD"` or `"RAISE"`.

    Returns:
        the value.

    Raises:
        TypeError: `limit` is no whole number.
        ValueError: an argument has an impossible value.

    Example:
        >>> SIDE_EFFECTS = {"POLICY": {"sms.*": budget(1000, per="hour", then="RAISE")}}
    """
    if type(limit) is not int:
        raise TypeError(f"limit must be a whole number of calls, not {limit!r}")
    if limit < 0:
        raise ValueError(f"limit must be 0 or more calls, not {limit}")
    if per not in PERIODS:
        raise ValueError(f"per must be one of {', '.join(map(repr, PERIODS))}, not {per!r}")
    mode = Mode(then)
    if mode is Mode.EXECUTE:
        raise ValueError("then, for calls past the limit, must be HOLD, RECORD or RAISE, not EXECUTE")
    return Budget(limit, per, mode)
