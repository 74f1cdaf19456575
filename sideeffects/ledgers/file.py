"""A shared ledger in a file: lines that are appended under its lock, and a second file for what is about to expire."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Generator
from importlib.util import find_spec
from typing import Any, Final, NoReturn

from sideeffects._core.records.lines import locked, write_lines
from sideeffects._core.values import clock
from sideeffects.errors import LedgerError
from sideeffects.ledgers.shared import Loss

#: Bytes that hold the first line.
_HEAD: Final = 200


class FileLog:
    """Lines in a file, which the processes of one machine append to and read.

    Each append is one write under the file's lock, on a descriptor opened with `O_APPEND`. The first line says when the
    file was begun. Once that is longer ago than the timeout, the file becomes `PATH.1`, in place of the one before, of
    which everything has expired by then: the two never hold more than what twice the timeout brings.

    Args:
        path: absolute path of the file; its folder must be there.
        timeout: seconds for which lines are kept.
    """

    may_be_late = True

    def __init__(self, path: str, timeout: float) -> None:
        self.path = self.where = path
        self.timeout = timeout
        self._before = f"{path}.1"

    def append(self, lines: list[str]) -> None:
        """Write lines, by one write."""
        with self._told("written"):
            while not self._append(lines):
                pass  # somebody has put another file in its place; that one is next

    def _append(self, lines: list[str]) -> bool:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        descriptor = os.open(self.path, flags, 0o600)
        try:
            with locked(descriptor):
                status = os.fstat(descriptor)
                if not self._is_in_place(status):
                    return False
                now = clock.now()
                if not status.st_size:
                    lines = [json.dumps({"ledger": secrets.token_hex(8), "began": now}), *lines]
                elif now - _head_of(_first_bytes(descriptor))[1] > self.timeout:
                    self._check_before()
                    os.replace(self.path, self._before)
                    return False
                write_lines(descriptor, lines)
                return True
        finally:
            os.close(descriptor)

    def _check_before(self) -> None:
        """What stands in the way of this file must be a ledger, too."""
        with contextlib.suppress(FileNotFoundError), open(self._before, "rb") as file:
            _head_of(file.read(_HEAD))

    def _is_in_place(self, status: os.stat_result) -> bool:
        try:
            return os.path.samestat(status, os.stat(self.path))
        except FileNotFoundError:
            return False

    def read(self, cursor: dict[str, Any]) -> tuple[list[str], Loss]:
        """The lines written since `cursor`, an offset for each file by the token in its first line."""
        with self._told("read"):
            # The newer one first: if it moves meanwhile it is met again, and known. What is lost then had expired.
            newer = self._read(self.path, cursor)
            return [*self._read(self._before, cursor), *newer], Loss()

    def _read(self, path: str, cursor: dict[str, Any]) -> list[str]:
        try:
            file = open(path, "rb")  # noqa: SIM115 - closed below; what is not there is none of our errors
        except FileNotFoundError:
            return []
        # Locked, so that nobody is writing: a line without an end is one that will never get it.
        with file, locked(file.fileno()):
            first = file.read(_HEAD)
            if not first:
                return []
            token = _head_of(first)[0]
            file.seek(cursor.get(token, 0))
            data = file.read()
            is_begun = token in cursor
            cursor[token] = file.tell()
        lines = [line for line in data.decode("utf-8", "replace").split("\n") if line]
        return lines if is_begun else lines[1:]

    def clear(self) -> None:
        """Remove the files. A process that is about to write notices it, and begins a new one."""
        with self._told("cleared"):
            for path in (self._before, self.path):
                try:
                    descriptor = os.open(path, os.O_RDWR)
                except FileNotFoundError:
                    continue
                try:
                    with locked(descriptor), contextlib.suppress(FileNotFoundError):
                        first = _first_bytes(descriptor)
                        if first:
                            _head_of(first)  # what is no ledger is not removed
                        os.unlink(path)
                finally:
                    os.close(descriptor)

    def trouble(self) -> str:
        """Why this file cannot be written."""
        if find_spec("fcntl") is None:
            return "this platform has no advisory locks; use a cache"
        folder = os.path.dirname(self.path)
        if not os.path.isdir(folder):
            return f"there is no folder {folder}: create it, writable for all processes that share the ledger"
        if os.path.isdir(self.path):
            return "PATH is a folder; it must be a file in a folder"
        if not os.access(folder, os.W_OK | os.X_OK):
            return f"the folder {folder} is not writable for this process"
        if os.path.exists(self.path) and not os.access(self.path, os.R_OK | os.W_OK):
            return "the file is not readable and writable for this process"
        return ""

    def caution(self) -> str:
        """Nothing."""
        return ""

    @contextlib.contextmanager
    def _told(self, what: str) -> Generator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            self._fail(what, error)

    def _fail(self, what: str, error: Exception) -> NoReturn:
        reason = self.trouble() or f"{type(error).__name__}: {error}"
        raise LedgerError(self.path, f"could not be {what}: {reason}") from error


def _first_bytes(descriptor: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)  # what is appended goes to the end all the same
    return os.read(descriptor, _HEAD)


def _head_of(data: bytes) -> tuple[str, float]:
    """The token of a file and when it was begun, from its first bytes.

    Raises:
        ValueError: it is no ledger.
    """
    line = data.lstrip(b"\n").partition(b"\n")[0]
    try:
        head = json.loads(line)
        return str(head["ledger"]), float(head["began"])
    except (ValueError, KeyError, TypeError):
        raise ValueError("the file does not begin as a ledger does; name another, or remove it") from None
