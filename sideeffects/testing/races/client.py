"""The test process's side of the fork server: starts it at the first race, asks it for races, and ends it."""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator
from typing import Any, Final

from sideeffects._core.calls.process import RACER_VARIABLE
from sideeffects._core.state.children import JOURNAL_VARIABLE
from sideeffects._core.state.latch import TEST_RUN_VARIABLE
from sideeffects.errors import RaceError
from sideeffects.guard import programs
from sideeffects.testing.races import in_force, settings as _settings
from sideeffects.testing.races.errors import CannotTravel, WrappedError
from sideeffects.testing.races.exceptions import from_data
from sideeffects.testing.races.messages import packed, receive, send

_PROGRAM: Final = (
    "import sys; sys.path[:] = {path!r}; from sideeffects.testing.races.server import main; main({descriptor})"
)

programs.ours.add(__name__)

#: How long an ended fork server may take to be gone, in seconds: it sees to its racers first.
_SECONDS: Final = 15.0


class GoneBefore(RaceError):
    """The fork server was gone before it had heard what to do: another one may be asked."""


class Server:
    """A running fork server.

    Args:
        start: what it loads (see `_server.py`).
        key: what it was started for; a race that needs another one starts another server.

    Raises:
        RaceError: it could not load the project.
    """

    def __init__(self, start: dict[str, Any], key: object, configured: _settings.Configured | None) -> None:
        self.key = key
        self.configured = configured
        self._stream, theirs = socket.socketpair()
        dropped = (JOURNAL_VARIABLE, RACER_VARIABLE)
        environment = {name: value for name, value in os.environ.items() if name not in dropped}
        environment[TEST_RUN_VARIABLE] = "1"
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the server
        try:
            # Its own session: Ctrl-C is for the test process, which then ends the race in an orderly way.
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [
                    sys.executable,
                    *_interpreter_flags(),
                    "-c",
                    _PROGRAM.format(path=sys.path, descriptor=theirs.fileno()),
                ],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
                start_new_session=True,
            )
        except BaseException:
            self._stream.close()
            self._errors.close()
            raise
        finally:
            theirs.close()
        try:
            answer = self._ask(start)
        except BaseException:
            self.end()
            raise
        if answer["error"] is not None:
            self.end()
            raise _raised("the fork server of the races could not load the project", answer["error"])

    def hold(self, race: dict[str, Any]) -> dict[str, Any]:
        """Hold a race. Returns what is known of each racer, and who was held with others.

        Raises:
            RaceError: it could not be held.
            GoneBefore: the server had died since the last race.
        """
        try:
            with self._ended_before_us():
                answer = self._ask(race)
        except BaseException:  # Ctrl-C, too
            self.end()
            raise
        if "crashed" in answer:
            raise RaceError(
                f"the process that ran the race was ended by {described(answer['crashed'])}; its racers were ended"
            )
        if "error" in answer:
            raise _raised("the race could not run", answer["error"])
        return answer

    @contextlib.contextmanager
    def _ended_before_us(self) -> Generator[None]:
        """Let SIGTERM end the race before this process: who stops a test worker by it drops the database next."""
        is_ours = threading.current_thread() is threading.main_thread()
        if not is_ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            yield
            return

        def end(*_: object) -> None:
            self.end()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)

        signal.signal(signal.SIGTERM, end)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        answer, is_heard = None, False
        with contextlib.suppress(ConnectionError):
            send(self._stream, pickle.dumps(question))
            is_heard = receive(self._stream) is not None
            answer = receive(self._stream)
        if answer is None:
            code, said = self.end()
            raise (RaceError if is_heard else GoneBefore)(
                f"the fork server of the races is gone ({described(code)})" + (f":\n{said}" if said else "")
            )
        found: dict[str, Any] = pickle.loads(answer)  # noqa: S301 - from our own fork server
        return found

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def forget(self) -> None:
        """In a fork of the test process: close what connects it, and leave the rest to the parent."""
        self._stream.close()
        self._errors.close()
        self._process.returncode = 0

    def end(self) -> tuple[int, str]:
        """End it, and with it whatever race it holds. Returns its exit code, and what it has printed."""
        self._stream.close()
        try:
            code = self._process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self._errors.closed:
            return code, ""
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").strip()
        self._errors.close()
        return code, said


def _interpreter_flags() -> list[str]:
    """The options that this interpreter was started with, as multiprocessing hands them on."""
    flags: list[str] = vars(subprocess)["_args_from_interpreter_flags"]()
    return flags


def _raised(what: str, data: dict[str, Any]) -> RaceError:
    cause = from_data(data)
    if isinstance(cause, RaceError):
        return cause
    error = RaceError(f"{what}: {WrappedError(cause)}")
    error.__cause__ = cause
    return error


def described(code: int) -> str:
    """An exit code as words: negative ones are signals."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"


class _Held:
    """This process's fork server, if it has one."""

    def __init__(self) -> None:
        self.server: Server | None = None
        self.lock = threading.Lock()

    def after_fork(self) -> None:
        """A fork of the test process has no server: that of its parent must not hear from two."""
        self.lock = threading.Lock()
        if self.server is not None:
            self.server.forget()
            self.server = None


_held: Final = _Held()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_held.after_fork)


def alone() -> threading.Lock:
    """One race at a time: races of several threads would disturb each other."""
    return _held.lock


def server(settings: Any) -> Server:
    """The fork server that fits this process as it is now; started if need be.

    Args:
        settings: Django's; `None` without Django.

    Raises:
        RaceError: it could not load the project.
        CannotTravel: something that it needs to know cannot be pickled.
    """
    module, configured = ("", None) if settings is None else _settings.base(settings)
    declarations = in_force.declarations()
    key = (
        module,
        configured is None,
        settings is None,
        [(target, name, repr(options)) for target, name, options in declarations],
    )
    held = _held.server
    if held is not None and (held.key != key or not held.is_alive):
        stop()
        held = None
    if held is None:
        if not _is_at_exit:
            atexit.register(stop)
            _is_at_exit.append(True)
        try:
            start = {
                "arguments": list(sys.argv),
                "has_django": settings is not None,
                "read": {} if settings is None or configured is not None else _settings.as_read(settings),
                "configured": None if configured is None else _settings.packed_values(configured),
                "declarations": packed(declarations, "what declare() was given"),
                "urls": _urls(settings),
            }
        except CannotTravel as error:
            raise CannotTravel(f"{error}. The fork server of the races needs it to load the project") from error
        held = _held.server = Server(start, key, configured)
    return held


_is_at_exit: Final[list[bool]] = []


def _urls(settings: Any) -> str:
    """The URLs' module, if the test process has loaded it: then racers that make requests do not load it one by one."""
    name = getattr(settings, "ROOT_URLCONF", None)
    return name if isinstance(name, str) and name in sys.modules else ""


def stop() -> None:
    """End the fork server, if there is one; the next race starts another."""
    held, _held.server = _held.server, None
    if held is not None:
        held.end()
