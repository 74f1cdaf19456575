"""A server that all workers of one run of pytest share: the first that needs it starts it, the last one stops it."""

import fcntl
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def shared(folder: Path, start: Callable[[Path], None], stop: Callable[[Path], None]) -> Iterator[None]:
    """The server with its files in this folder, which is removed when nobody uses it any more.

    Args:
        folder: where its files are, and a file for each process that uses it.
        start: starts the server. It is called by the first who comes.
        stop: stops it. It is called by the last who leaves.
    """
    user = folder / f"{os.getpid()}-{uuid.uuid4().hex}"
    with _locked(folder):
        if not any(map(_is_alive, folder.glob("*-*"))):
            start(folder)
        user.touch()
    try:
        yield
    finally:
        with _locked(folder):
            user.unlink()
            if not any(map(_is_alive, folder.glob("*-*"))):
                stop(folder)
                shutil.rmtree(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Alone in a folder, which is made when it is not there."""
    while True:
        folder.mkdir(mode=0o755, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if folder.exists() and os.path.samestat(os.fstat(handle), folder.stat()):
                yield
                return
        finally:
            os.close(handle)


def _is_alive(user: Path) -> bool:
    """Whether the process that wrote this file still runs: one that was killed has not taken its file away."""
    try:
        os.kill(int(user.name.partition("-")[0]), 0)
    except ProcessLookupError:
        return False
    return True
