"""What came of a fault sweep: a matrix of effect, exception and point."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from sideeffects._core.values.callers import PACKAGE_FOLDER
from sideeffects._core.values.tables import aligned
from sideeffects.testing.faults.cells import POINTS, Cell, name_of

Status: TypeAlias = Literal["passed", "failed", "not reached"]

PASSED: Final = "passed"
FAILED: Final = "failed"
NOT_REACHED: Final = "not reached"

_SHOWN: Final = {PASSED: "passed", FAILED: "FAILED", NOT_REACHED: "not reached"}
#: Of how many cells the details are listed.
_MOST: Final = 20


class CellResult(NamedTuple):
    """What came of one cell.

    Attributes:
        cell: its faults: one, or the two of a pair.
        status: `"passed"`, `"failed"` or `"not reached"`.
        detail: why, in words; empty when it passed.
        error: what made it fail, where that is at hand.

    Example:
        >>> report = fault_sweep(lambda: send_sms("+44", body="Hello"), raises=OSError, points="before")
        >>> report.cells[0].name, report.cells[0].status
        ('sms.send#1:OSError:before', 'passed')
    """

    cell: Cell
    status: Status
    detail: str = ""
    error: BaseException | None = None

    @property
    def name(self) -> str:
        """The name by which you run the cell again: `--fault-cell NAME`."""
        return name_of(self.cell)

    def as_data(self) -> dict[str, Any]:
        """The result as JSON can carry it."""
        return {
            "name": self.name,
            "faults": [
                {"effect": fault.effect, "call": fault.number, "exception": fault.exception, "point": fault.point}
                for fault in self.cell
            ],
            "status": self.status,
            "detail": self.detail,
        }


class FaultReport:
    """What came of a fault sweep; its `str` is the matrix.

    Attributes:
        where: the scenario.
        cells: what came of each cell, in the order of the calls.
        runs: how often the scenario was run, the first time included.

    Example:
        >>> report = fault_sweep(lambda: send_sms("+44", body="Hello"), raises=OSError, points="before")
        >>> len(report.cells), report.failed
        (1, [])
    """

    def __init__(self, where: str, cells: Iterable[CellResult], runs: int, again: str) -> None:
        self.where = where
        self.cells: tuple[CellResult, ...] = tuple(cells)
        self.runs = runs
        self._again = again

    def __reduce__(self) -> Any:
        # It crosses processes, which exceptions and their classes may not.
        cells = [
            CellResult(tuple(fault._replace(raises=BaseException) for fault in cell), status, detail)
            for cell, status, detail, _ in self.cells
        ]
        return type(self), (self.where, cells, self.runs, self._again)

    def _with(self, status: Status) -> list[CellResult]:
        return [result for result in self.cells if result.status == status]

    @property
    def passed(self) -> list[CellResult]:
        """The cells that passed."""
        return self._with(PASSED)

    @property
    def failed(self) -> list[CellResult]:
        """The cells that failed."""
        return self._with(FAILED)

    @property
    def not_reached(self) -> list[CellResult]:
        """The cells whose call was not made, or waits for a commit that does not come."""
        return self._with(NOT_REACHED)

    def __repr__(self) -> str:
        return f"<FaultReport of {self.where}: {self._counts()}>"

    def __str__(self) -> str:
        lines = [f"fault sweep of {self.where}: {self._counts()}; {_many(self.runs, 'run')}", "", *self._matrix()]
        pairs = [result for result in self.cells if len(result.cell) > 1]
        if pairs:
            lines += ["", *_pairs(pairs)]
        # That one call keeps another from being made is what most pairs come to: those are only counted.
        missed = [result for result in self.not_reached if len(result.cell) == 1 or len(pairs) == len(self.cells)]
        for title, results in (("failed", self.failed), ("not reached", missed)):
            if results:
                lines += ["", f"{title}:"]
                for result in results[:_MOST]:
                    lines += [f"  {result.name}", *(f"    {line}".rstrip() for line in result.detail.splitlines())]
                if len(results) > _MOST:
                    lines.append(f"  … and {len(results) - _MOST} more")
        if self.failed:
            lines += ["", f"run one of them again: {self._again.replace('{cell}', self.failed[0].name)}"]
        return "\n".join(lines)

    def as_data(self) -> dict[str, Any]:
        """The report as JSON can carry it."""
        return {"scenario": self.where, "runs": self.runs, "cells": [result.as_data() for result in self.cells]}

    def _counts(self) -> str:
        parts = [_many(len(self.cells), "cell"), f"{len(self.passed)} passed"]
        parts += [f"{len(results)} {title}" for title, results in self._troubles() if results]
        return ", ".join(parts)

    def _troubles(self) -> Sequence[tuple[str, Sequence[CellResult]]]:
        return (("failed", self.failed), ("not reached", self.not_reached))

    def _matrix(self) -> list[str]:
        rows: dict[tuple[str, str], dict[str, str]] = {}
        for result in self.cells:
            if len(result.cell) == 1:
                fault = result.cell[0]
                rows.setdefault((fault.label, fault.exception), {})[fault.point] = _SHOWN[result.status]
        points = [point for point in POINTS if any(point in row for row in rows.values())]
        table = [("effect", "exception", *points)]
        table += [(*heads, *(row.get(point, "") for point in points)) for heads, row in rows.items()]
        return aligned(table)


class FaultSweepFailed(AssertionError):
    """The code does not survive every fault. The message is the report.

    Args:
        report: what came of each cell.
    """

    def __init__(self, report: FaultReport) -> None:
        super().__init__(report)
        self.report = report

    def __str__(self) -> str:
        return str(self.report)


def _pairs(pairs: Sequence[CellResult]) -> list[str]:
    """Pairs have two calls, two exceptions and two points each: they are counted by the call that fails first."""
    counts: dict[str, dict[str, int]] = {}
    for result in pairs:
        row = counts.setdefault(result.cell[0].name, dict.fromkeys(_SHOWN, 0))
        row[result.status] += 1
    table = [("pairs that begin with", *_SHOWN)]
    table += [(name, *map(str, row.values())) for name, row in counts.items()]
    return aligned(table)


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def words(error: BaseException) -> str:
    """An exception as reports tell of it: what it is, its notes, and where it was raised."""
    lines = [told(error), *getattr(error, "__notes__", ())]
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(PACKAGE_FOLDER)
    ]
    if frames:
        lines.append(f"at {frames[-1].filename}:{frames[-1].lineno}")
    return "\n".join(lines)


def told(error: BaseException) -> str:
    """What an exception is, in a line or as many as it has itself."""
    return f"{type(error).__name__}: {error}".rstrip(": ")
