"""The guard in whole test runs: pytest with and without workers, unittest, Django's runner, and what tests start."""

import json
import os
from pathlib import Path

import pytest

from tests.support.guard_folder import REACHING, TITLE, Folder

pytestmark = pytest.mark.processes


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_run_without_findings_prints_nothing(folder: Folder) -> None:
    """Nobody asked for it."""
    folder.write("test_it.py", "import socket\ndef test_it(): socket.gethostbyname('localhost')")
    assert TITLE not in folder.pytest().lower()


def test_a_warning_is_a_summary_with_the_line_to_write(folder: Folder) -> None:
    """The run passes. Each call site is named once, with how often, the test, and what declares it."""
    folder.write(
        "test_it.py",
        """
        from reaching import look_up
        def test_first():
            look_up()
            look_up()
        def test_next(): look_up()
        """,
    )
    output = folder.pytest()
    assert "3 times, from one call site" in output
    assert "reaching.py:6 in look_up: reached nowhere.invalid, 3 times" in output
    assert "in test_it.py::test_first" in output
    assert '@side_effect(name="reaching.look_up")  above look_up (reaching.py:4)' in output


def test_what_is_called_while_tests_are_collected_is_found(folder: Folder) -> None:
    """Outside of any test."""
    folder.write("test_it.py", "from reaching import look_up\nlook_up()\ndef test_it(): ...")
    assert "outside of any test" in folder.pytest()


def test_the_settings_refuse_and_a_marker_lets_through(folder: Folder) -> None:
    """The refusal is an error in the test; what a library swallows fails the test at its end."""
    folder.settings("raise")
    folder.write(
        "library.py", "import reaching\ndef careless():\n    try: reaching.look_up()\n    except Exception: pass"
    )
    folder.write(
        "test_it.py",
        """
        import pytest
        from library import careless
        from reaching import look_up

        def test_refused(): look_up()
        def test_swallowed(): careless()
        def test_swallowed_again(): careless()
        @pytest.mark.side_effects(guard="off")
        def test_off(): look_up()
        """,
    )
    output = folder.pytest(code=1)
    assert "undeclared outside call: nowhere.invalid by socket.gethostbyname at reaching.py:6 was refused" in output
    assert "refused, and the test did not notice" in output
    assert "FAILED test_it.py::test_refused" in output
    assert "test_it.py::test_swallowed -" in output
    assert "test_it.py::test_swallowed_again -" in output
    assert "test_off" not in output


def test_off_in_the_settings_listens_to_nothing(folder: Folder) -> None:
    """Not even a hook is installed."""
    folder.settings("off")
    folder.write(
        "test_it.py",
        """
        from reaching import look_up
        from sideeffects.guard import hook
        def test_it():
            look_up()
            assert not hook.is_installed()
        """,
    )
    assert TITLE not in folder.pytest()


def test_a_baseline_accepts_todays_findings_and_fails_on_new_ones(folder: Folder) -> None:
    """Lines may move. What is found no more is reported, and left out when the file is written again."""
    folder.write("test_it.py", "from reaching import look_up\ndef test_it(): look_up()")
    option = "--side-effects-baseline=accepted.json"
    assert "1 accepted" in folder.pytest(option, "--side-effects-update-baseline")
    assert json.loads((folder.path / "accepted.json").read_text())["findings"] == [
        {"kind": "network", "site": "reaching.py::look_up", "what": "nowhere.invalid"}
    ]

    folder.write("reaching.py", "# a line more\n" + REACHING.replace("\n    ", "\n"))
    assert TITLE not in folder.pytest(option)

    folder.write("test_it.py", "from reaching import look_up\ndef test_it(): look_up('other.invalid')")
    output = folder.pytest(option, code=1)
    assert "Once, from one call site, not in the baseline" in output
    assert "accepted.json has an entry that this run did not find" in output
    assert "reaching.py::look_up: network nowhere.invalid" in output
    assert "did not find" not in folder.pytest(option, "test_it.py", code=1), "a part of the tests says nothing"

    folder.pytest(option, "--side-effects-update-baseline")
    assert "other.invalid" in (folder.path / "accepted.json").read_text()
    assert "nowhere.invalid" not in (folder.path / "accepted.json").read_text()


def test_with_a_baseline_only_new_ones_raise(folder: Folder) -> None:
    """When the settings refuse."""
    folder.settings("raise")
    folder.write(
        "test_it.py", "from reaching import look_up\ndef test_known(): look_up()\ndef test_new(): look_up('n.invalid')"
    )
    entry = {"kind": "network", "site": "reaching.py::look_up", "what": "nowhere.invalid"}
    folder.write("accepted.json", json.dumps({"version": 1, "findings": [entry]}))
    output = folder.pytest("--side-effects-baseline=accepted.json", code=1)
    assert "FAILED test_it.py::test_new" in output
    assert "1 failed, 1 passed" in output


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no such file; write it anew with --side-effects-update-baseline"),
        ("{", "it cannot be read"),
        ('{"version": 7}', "its version is 7, and this one reads 1"),
        ('{"version": 1, "findings": [{"kind": "network"}]}', "it has an entry without kind, site, what"),
    ],
    ids=["missing", "unreadable", "outdated", "incomplete"],
)
def test_a_baseline_that_cannot_be_used_is_a_clear_error(folder: Folder, content: str | None, said: str) -> None:
    """No test runs: with another baseline it would say something else."""
    folder.write("test_it.py", "def test_it(): ...")
    if content is not None:
        (folder.path / "accepted.json").write_text(content)
    output = folder.pytest("--side-effects-baseline=accepted.json", code=4)
    assert "accepted.json" in output
    assert said in output


def test_updating_a_baseline_needs_to_know_which(folder: Folder) -> None:
    """There is no default for it."""
    folder.write("test_it.py", "def test_it(): ...")
    assert "needs --side-effects-baseline FILE" in folder.pytest("--side-effects-update-baseline", code=4)


def test_workers_find_and_the_first_process_reports(folder: Folder) -> None:
    """With pytest-xdist as without: counted together, with the same baseline."""
    folder.write(
        "test_it.py",
        """
        import pytest
        from reaching import look_up
        @pytest.mark.parametrize("n", range(6))
        def test_it(n): look_up()
        """,
    )
    workers = ("-p", "xdist", "-n", "2")
    output = folder.pytest(*workers)
    assert "6 times, from one call site" in output
    assert output.count("reaching.py:6 in look_up") == 1
    option = "--side-effects-baseline=accepted.json"
    folder.pytest(*workers, option, "--side-effects-update-baseline")
    assert TITLE not in folder.pytest(*workers, option)
    folder.settings("raise")
    folder.pytest(*workers, option)
    folder.write(
        "test_it.py",
        """
        from django.test import override_settings
        from reaching import look_up
        def test_refused(): look_up()
        def test_off():
            with override_settings(SIDE_EFFECTS={"GUARD": "off"}):
                look_up()
        """,
    )
    assert "1 failed, 1 passed" in folder.pytest(*workers, code=1)


CHILDREN = {
    "a program": "subprocess.run([sys.executable, 'child.py'], check=True)",
    "a fork": "fork()",
    "multiprocessing, forked": "start('fork')",
    "multiprocessing, spawned": "start('spawn')",
    "a program's program": "subprocess.run([sys.executable, 'grandchild.py'], check=True)",
}


@pytest.mark.parametrize("start", CHILDREN.values(), ids=CHILDREN)
def test_child_processes_are_guarded_as_well(folder: Folder, start: str) -> None:
    """What they find is in the summary of the run that has started them, with its test."""
    folder.write(
        "child.py",
        """
        import sideeffects
        from reaching import look_up
        def work():
            look_up()
        if __name__ == "__main__":
            work()
        """,
    )
    folder.write("grandchild.py", "import sideeffects, subprocess, sys\nsubprocess.run([sys.executable, 'child.py'])")
    folder.write(
        "test_it.py",
        f"""
        import multiprocessing, os, subprocess, sys
        import child

        def fork():
            pid = os.fork()
            if not pid:
                child.work()
                os._exit(0)
            os.waitpid(pid, 0)

        def start(method):
            process = multiprocessing.get_context(method).Process(target=child.work)
            process.start()
            process.join(60)
            assert process.exitcode == 0

        def test_it():
            {start}
        """,
    )
    folder.settings({"ALLOW_PROCESSES": ["python*"]})
    output = folder.pytest()
    assert "Once, from one call site" in output
    assert "reaching.py:6 in look_up: reached nowhere.invalid" in output
    assert "in test_it.py::test_it" in output


def test_a_child_is_refused_what_its_parent_would_be(folder: Folder) -> None:
    """Also by a marker of the test that starts it."""
    folder.write(
        "test_it.py",
        """
        import subprocess, sys
        import pytest
        import sideeffects
        from sideeffects.testing import guard

        CHILD = [sys.executable, "-c", "import sideeffects, reaching; reaching.look_up()"]

        def test_it():
            with guard("raise", allow_processes=["python*"]):
                assert b"UndeclaredSideEffect" in subprocess.run(CHILD, stderr=subprocess.PIPE).stderr
            with guard("off"):
                assert subprocess.run(CHILD).returncode == 0
        """,
    )
    folder.pytest()


def test_a_fork_tells_what_a_block_around_it_refuses(folder: Folder) -> None:
    """`os.spawnlp` forks and then executes: the refusal is in the child, which nobody else sees."""
    folder.write(
        "test_it.py",
        """
        import os
        import sideeffects
        from sideeffects.testing import guard
        def test_it():
            with guard("raise") as found:
                assert os.spawnlp(os.P_WAIT, "true", "true") == 127
            assert not found
        """,
    )
    assert "test_it.py:6 in test_it: would have started true" in folder.pytest()


def test_a_test_run_inside_a_test_reports_for_itself(folder: Folder) -> None:
    """A plugin's own tests run pytest: what is found inside is no finding of theirs."""
    (folder.path / "inner").mkdir()
    folder.write(
        "inner/test_in.py", "import sys; sys.path.append('..')\nfrom reaching import look_up\ndef test_in(): look_up()"
    )
    folder.write(
        "test_out.py",
        """
        import subprocess, sys
        from sideeffects.testing import guard
        def test_out():
            command = [sys.executable, "-m", "pytest", "-q", "-p", "sideeffects", "inner"]
            with guard("warn", allow_processes=["python*"]):
                assert b"undeclared side effects" in subprocess.run(command, stdout=subprocess.PIPE).stdout
        """,
    )
    assert TITLE not in folder.pytest("test_out.py")


def test_nothing_is_left_behind(folder: Folder, tmp_path: Path) -> None:
    """Neither a file of the children's findings nor a variable."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    folder.write(
        "test_it.py",
        """
        import os
        from reaching import look_up
        def test_it():
            os.fork() or (look_up(), os._exit(0))
            os.wait()
        """,
    )
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(temporary)
    try:
        assert "Once, from one call site" in folder.pytest()
    finally:
        os.environ.pop("TMPDIR")
        if before is not None:
            os.environ["TMPDIR"] = before
    assert [path.name for path in temporary.iterdir() if "guard" in path.name] == []
