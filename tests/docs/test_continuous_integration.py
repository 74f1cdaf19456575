"""The workflow of the how-to on continuous integration, run against the shop of the demo."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "continuous-integration.md").read_text(encoding="utf-8")
BLOCKS: list[Any] = [
    yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
]


def outside_of_a_test_run() -> dict[str, str]:
    """The environment as it is where CI starts: the suite around this test has put its own marks into it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SIDE_EFFECTS_"))}


def test_the_workflow_is_one() -> None:
    """It has what GitHub asks for: when it runs, and jobs whose steps either use an action or run a command."""
    workflow = BLOCKS[0]
    assert set(workflow[True]) == {"push", "pull_request"}  # YAML takes the bare word `on` for a boolean
    for job in workflow["jobs"].values():
        assert job["runs-on"]
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])
    assert [step["run"] for step in BLOCKS[1]] == ["python manage.py test --parallel 2"]


def test_its_commands_pass_in_the_shop(tmp_path: Path) -> None:
    """Each command is one that there is, and ends with 0 where nothing is wrong."""
    shop = shutil.copytree(ROOT / "docs" / "demo", tmp_path / "shop")
    accept = re.findall(r"^\$ (python manage.py .*--update-baseline)$", PAGE, re.MULTILINE)
    (shop / "guard.json").write_text('{"version": 1, "findings": []}', encoding="utf-8")
    (job,) = BLOCKS[0]["jobs"].values()
    commands = [step["run"] for step in job["steps"] if step.get("name") not in (None, "Install")]
    run = subprocess.run(
        ["/bin/sh", "-ex", "-c", "\n".join([*accept, *commands])],
        cwd=shop,
        env={
            **outside_of_a_test_run(),
            **job["env"],
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            "PYTEST_ADDOPTS": "shop/tests/test_orders.py -p no:cacheprovider",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert len(accept) == 1
    assert len(commands) == 4
    assert "No problems among 4 side effects." in run.stderr
    assert re.search(r"^side effects: \d+ recorded, 0 executed, 0 never called$", run.stdout, re.MULTILINE)


def test_a_new_undeclared_call_fails_it(tmp_path: Path) -> None:
    """The audit of the workflow ends with another code than 0 for a call that the file does not accept."""
    shop = shutil.copytree(ROOT / "docs" / "demo", tmp_path / "shop")
    (shop / "audit.json").write_text('{"version": 1, "findings": []}', encoding="utf-8")
    (command,) = (step["run"] for job in BLOCKS[0]["jobs"].values() for step in job["steps"] if "--audit" in str(step))
    run = subprocess.run(
        command.replace("python", sys.executable, 1).split(),
        cwd=shop,
        env={**outside_of_a_test_run(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1, run.stdout + run.stderr
    assert "run.py" in run.stdout
