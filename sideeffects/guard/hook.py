"""The audit hook: one, permanent, and not there until a guard is first on.

An audit hook cannot be removed, runs for every event of the process, in any thread, until the interpreter is gone, and
prevents what it raises in. So it is one look into a dict for whatever does not reach outside; it takes no lock; it
keeps the names that it needs where the end of the interpreter does not clear them; and it raises refusals only.
"""

from __future__ import annotations

import collections
import fnmatch
import functools
import logging
import os
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from sideeffects._core.policy.levels import OFF, RAISE, WARN
from sideeffects._core.state import threads
from sideeffects._core.state.state import state
from sideeffects._core.state.work_origin import lineage, watching
from sideeffects.errors import UndeclaredSideEffect, is_under_pytest
from sideeffects.guard import asyncio_tasks, call_sites, hosts, levels, programs
from sideeffects.guard.events import BELOW_SUBPROCESS, NETWORK, READERS, STARTS, EventReader, Reach
from sideeffects.guard.findings import Finding, books

#: unittest, and pytest for its test cases, leave the frames of such modules out of tracebacks.
__unittest = True


class Listeners:
    """What hears of findings, besides the books.

    Attributes:
        is_accepted: whether a finding is known and accepted (the baseline).
        tell: told of each finding that was counted.
        before_process: told before a process is started.
        refused: told of each refusal, before it is raised.
    """

    def __init__(self) -> None:
        self.is_accepted: Callable[[Finding], bool] = _no
        self.tell: Callable[[Finding], object] = _nothing
        self.before_process: Callable[[], object] = _nothing_at_all
        self.refused: Callable[[UndeclaredSideEffect], object] = _nothing


def _no(_: Finding) -> bool:
    return False


def _nothing(_: object) -> None: ...


def _nothing_at_all() -> None: ...


listeners: Final = Listeners()
#: What was refused, so that a test can be asked whether it has noticed; not what a `with` block shows itself.
refusals: Final[collections.deque[UndeclaredSideEffect]] = collections.deque(maxlen=1000)
_installed: list[bool] = []
#: Threads in which the guard itself looks something up.
_busy: Final[set[int]] = set()
_allowed: Final[dict[tuple[str, ...], hosts.Allowed]] = {}


def install() -> None:
    """Listen from now on, and keep lineages."""
    if _installed:
        return
    _installed.append(True)
    watching.of_task = asyncio_tasks.place
    watching.is_on = True
    threads.install()
    asyncio_tasks.follow()
    sys.addaudithook(_hook)


def is_installed() -> bool:
    """Whether there is a hook in this process."""
    return bool(_installed)


def _hook(
    event: str,
    args: tuple[Any, ...],
    # Bound here: at the interpreter's end the module's names are gone, and events still come.
    get: Callable[[str], EventReader | None] = READERS.get,
    frame: Callable[[int], FrameType] = sys._getframe,  # noqa: SLF001 - who reaches outside
    is_over: Callable[[], bool] = sys.is_finalizing,
) -> None:
    __tracebackhide__ = True
    reader = get(event)
    if reader is not None and not is_over():
        refusal = _look(event, args, reader, frame(1))
        if refusal is not None:
            raise refusal


def _look(event: str, args: tuple[Any, ...], reader: EventReader, frame: FrameType) -> UndeclaredSideEffect | None:
    """Judge one event that may reach outside. If that fails it is logged; where calls are refused, so is this one."""
    thread = threading.get_ident()
    if thread in _busy:
        return None
    _busy.add(thread)
    try:
        return _judge(event, args, reader, frame)
    except Exception:
        logging.getLogger("sideeffects").exception("the guard could not judge %s", event)
        return _in_doubt(event, frame)
    finally:
        _busy.discard(thread)


def _in_doubt(event: str, frame: FrameType) -> UndeclaredSideEffect | None:
    if levels.level_of(levels.open_entries()) != RAISE or lineage.get().effect:
        return None
    caller = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    advice = "The guard could not judge it. The log `sideeffects` has the reason, as an error."
    refusal = UndeclaredSideEffect("something", caller, event, advice)
    listeners.refused(refusal)
    refusals.append(refusal)
    return refusal


def _judge(event: str, args: tuple[Any, ...], reader: EventReader, frame: FrameType) -> UndeclaredSideEffect | None:
    entries = levels.open_entries()
    level = levels.level_of(entries)
    if event in STARTS:
        listeners.before_process()
    if level == OFF or lineage.get().effect:
        return None
    reach = reader(args)
    if reach is None or _is_allowed(reach, entries, frame, event):
        return None
    return _found(event, reach, entries, level, frame)


def _is_allowed(reach: Reach, entries: list[levels.Entry], frame: FrameType, event: str) -> bool:
    rules = levels.rules()
    if reach.kind != NETWORK:
        if event in BELOW_SUBPROCESS and frame.f_globals.get("__name__") == "subprocess":
            return True
        if event != "webbrowser.open" and _is_of_browser(frame):
            return True  # so has this
        if event == "os.exec" and frame.f_code.co_name == "_execvpe" and not os.path.exists(reach.what):
            return True  # it is searched for in the folders of PATH, and not in this one
        patterns = [*rules.processes, *(pattern for entry in entries for pattern in entry.processes)]
        return programs.is_for_itself(frame) or programs.is_allowed(reach.what, patterns)
    texts = (*rules.hosts, *(text for entry in entries for text in entry.hosts), *hosts.hosts_of_django())
    allowed = _allowed.get(texts)
    if allowed is None:
        allowed = _allowed[texts] = hosts.Allowed(texts)
    if (reach.what, reach.port) in allowed.known:
        return True
    address = hosts.address_of(reach.what)
    if not hosts.is_own(reach.what, address):
        ports = allowed.ports_of(reach.what, address)
        if ports is not None and (not ports if reach.is_lookup else reach.port not in ports):
            return False
        if address is None:
            allowed.remember(reach.what, ports)
            return True  # its addresses may change: the next look is remembered too
    allowed.known.add((reach.what, reach.port))
    return True


def _is_of_browser(frame: FrameType) -> bool:
    at: FrameType | None = frame
    while at is not None and at.f_globals.get("__name__") in ("subprocess", "os"):
        at = at.f_back
    return at is not None and at.f_globals.get("__name__") == "webbrowser"


def _found(
    event: str, reach: Reach, entries: list[levels.Entry], level: str, frame: FrameType
) -> UndeclaredSideEffect | None:
    site = call_sites.find(frame)
    book = books.open[-1]
    file = site.code.co_filename
    what = os.path.basename(reach.what) if reach.kind != NETWORK else reach.what
    if reach.kind == NETWORK:
        is_address = hosts.address_of(what) is not None
        what = book.name_for((file, site.code.co_firstlineno), what, is_address=is_address)
        if level == WARN and what != reach.what:
            return None  # it has been noted with the host's name
    finding = functools.partial(_finding, event, reach, level, site, what)
    block = entries[0] if entries and entries[0] is not levels.in_force.inherited else None
    ignore = (*levels.rules().ignore, *(pattern for entry in entries for pattern in entry.ignore))
    if block is not None and (level == RAISE or not state.test_run.is_on()):
        # A block gets to see what it asked for, whatever a baseline accepts.
        found = finding()
        if is_ignored(found, ignore):
            return None
        block.add(found)
        if os.getpid() != block.pid:
            listeners.tell(found)  # in a fork nobody else gets to see it
        if level != RAISE:
            return None
    else:
        noted, is_counted = book.see((level, reach.kind, file, site.line, site.code.co_qualname, what), event, finding)
        found = noted.finding
        if is_ignored(found, ignore):
            book.drop(noted)
            return None
        if is_counted:
            listeners.tell(found)
            if block is not None:
                block.add(found)
        if level != RAISE or listeners.is_accepted(found):
            return None
    refusal = UndeclaredSideEffect(found.what, found.caller, found.called, _advice(found))
    if block is None or not block.is_shown:
        listeners.refused(refusal)  # first: who begins to watch begins with none
        refusals.append(refusal)
    return refusal


#: Characters of a command that are shown.
_DETAIL: Final = 100


def _finding(event: str, reach: Reach, level: str, site: call_sites.CallSite, what: str) -> Finding:
    called, target = call_sites.called_at(site)
    return Finding(
        kind=reach.kind,
        file=call_sites.shown_path(site.code.co_filename),
        line=site.line,
        function=site.code.co_qualname,
        module=site.module,
        what=what,
        called=called or event,
        event=event,
        detail=" ".join(reach.detail.split())[:_DETAIL] or (f"port {reach.port}" if reach.port else ""),
        test=call_sites.running_test(),
        is_refused=level == RAISE,
        is_own_code=site.is_own,
        target=target,
        defined=call_sites.line_of_def(site.code),
    )


def is_ignored(finding: Finding, patterns: tuple[str, ...]) -> bool:
    """Whether a call site is on the ignore list: by its file, its `file:line`, or its dotted function; globs too."""
    spellings = (finding.file, finding.caller, finding.module, f"{finding.module}.{finding.function}")
    return any(fnmatch.fnmatchcase(spelling, pattern) for pattern in patterns for spelling in spellings)


def _advice(finding: Finding) -> str:
    if finding.kind == NETWORK:
        allow = f'SIDE_EFFECTS["GUARD"] = {{"ALLOW_HOSTS": ["{finding.what}"]}}'
    else:
        allow = f'SIDE_EFFECTS["GUARD"] = {{"ALLOW_PROCESSES": ["{finding.what}"]}}'
    declare = "\n".join(f"    {line}" for line in finding.advice().splitlines())
    in_tests = (
        '@pytest.mark.side_effects(guard="off")' if is_under_pytest() else 'with sideeffects.testing.guard("off"): ...'
    )
    return f"Declare what it does, once:\n{declare}\nIf it is no effect: {allow}, or, for one test, {in_tests}."
