"""A newcomer: types a page's commands and snippets as they are written, and compares what comes of it."""

import re
import subprocess
from pathlib import Path

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: Which file a snippet belongs to, as the sentences before it say.
_FILE = re.compile(r"(?:Save|Write|add)\s[^.]*?`([\w/]+\.py)`")
_INSTEAD = re.compile(r"change `(.+?)` to `(.+?)` in the test")
#: What differs from run to run, and from machine to machine.
_VARIES = (
    (re.compile(r"\d+\.\d+ ?s\b"), "TIME"),
    (re.compile(r"\[Errno -?\d+\] [\w ]+"), "ERROR"),
    (re.compile(r"/[\w./-]*/(?=\w+\.py:\d)"), "FOLDER/"),
)


class Newcomer:
    """Somebody with an empty folder.

    Args:
        folder: the folder.
        environment: the variables of the shell.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self._environment = environment
        self._file = ""
        self.compared = 0

    def type(self, page: str) -> None:
        """Do what a page says, from its first line to its last."""
        end = 0
        for block in _FENCE.finditer(page):
            said, end = page[end : block.start()], block.end()
            kind, text = block.groups()
            if kind == "console":
                self._shell(text)
            elif kind == "python":
                self._file = (_FILE.findall(said) or [self._file])[-1]
                self._save(text)
            elif kind == "text":
                self._change(said, text)

    def _shell(self, text: str) -> None:
        for piece in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, shown = piece.partition("\n")
            printed, code = self._run(command)
            if shown:
                self._compare(command, shown, printed)
            else:
                assert code == 0, f"{command} exited with {code}:\n{printed}"

    def _save(self, text: str) -> None:
        path = self.folder / self._file
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(f"{before}\n\n{text}" if before else text, encoding="utf-8")

    def _change(self, said: str, text: str) -> None:
        """Make a test fail, as the page asks for, look at what it says, and take the change back."""
        (old, new), path = _INSTEAD.findall(said)[0], self.folder / self._file
        before = path.read_text(encoding="utf-8")
        assert old in before
        path.write_text(before.replace(old, new), encoding="utf-8")
        self._compare(f"pytest, with {new} for {old}", f"...\n{text}...\n", self._run("python -m pytest -q")[0])
        path.write_text(before, encoding="utf-8")

    def _run(self, command: str) -> tuple[str, int]:
        ran = subprocess.run(
            ["/bin/bash", "-c", command],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        return ran.stdout, ran.returncode

    def _compare(self, command: str, shown: str, printed: str) -> None:
        """Three dots stand for anything."""
        self.compared += 1
        for pattern, word in _VARIES:
            shown, printed = pattern.sub(word, shown), pattern.sub(word, printed)
        shown, printed = ("\n".join(line.rstrip() for line in text.splitlines()) for text in (shown, printed))
        wanted, found = re.escape(shown.strip()).replace(r"\.\.\.", ".*"), printed.strip()
        assert re.fullmatch(wanted, found, re.DOTALL), f"$ {command}\nThe page shows:\n{shown}\nand it is:\n{printed}"
