"""A folder with the tasks of some queue, and real workers for them, on a real Redis."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.support.projects import Project, clean_environment

NOTE = """
    import os
    from pathlib import Path


    def note(text):
        with open(Path(__file__).parent / "executed", "a") as file:
            file.write(f"{text}\\n")
        return text
"""


class QueueProject(Project):
    """The folder. Its tasks are in `shop_tasks.py`, and leave traces by `trace.note`.

    Args:
        root: an empty folder.
        redis_url: the server; tasks find it as `REDIS_URL`, with a name of their own for keys as `QUEUE`.
        tasks: the source of `shop_tasks.py`.
        worker: the arguments of Python for a worker.
        ready: what the worker's log says once it works.
    """

    def __init__(self, root: Path, redis_url: str, tasks: str, worker: Sequence[str], ready: str) -> None:
        super().__init__(root)
        self.write("trace.py", NOTE)
        self.write("shop_tasks.py", tasks)
        self.queue = f"sideeffects-{uuid.uuid4().hex}"
        self.redis_url = redis_url
        self.environment = {"REDIS_URL": redis_url, "QUEUE": self.queue}
        self._worker = worker
        self._ready = ready

    def kept(self) -> list[str]:
        """What stands in Redis under the name of this project's own."""
        with redis.Redis.from_url(self.redis_url, decode_responses=True) as client:
            return sorted(client.scan_iter(f"*{self.queue}*"))

    def in_production(self, source: str, **environment: str) -> str:
        """Run a program outside any test run; returns what it printed."""
        return self.program(source, environment={**self.environment, **environment})

    def in_test_run(self, source: str, **environment: str) -> str:
        """Run a program in a test run; returns what it printed."""
        return self.in_production(source, SIDE_EFFECTS_TEST_RUN="1", **environment)

    def wait_for(self, lines: int) -> None:
        """Wait until the tasks have left so many traces, for a minute at most."""
        for _ in range(1200):
            if self.executed.total() >= lines:
                return
            time.sleep(0.05)

    @contextmanager
    def worker(self, **environment: str) -> Iterator[Path]:
        """A worker process, ready. It ends with the block, with all of its children.

        Yields:
            its log.
        """
        log = self.root / f"worker-{uuid.uuid4().hex}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, *(part.replace("QUEUE", self.queue) for part in self._worker)],
                cwd=self.root,
                env=clean_environment() | self.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            for _ in range(1200):
                if self._ready in log.read_text(encoding="utf-8"):
                    break
                assert process.poll() is None, log.read_text(encoding="utf-8")
                time.sleep(0.05)
            else:
                raise AssertionError(log.read_text(encoding="utf-8"))
            yield log
        finally:
            process.terminate()  # it tells its children; Dramatiq's did not end when they were told as well
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(30)
