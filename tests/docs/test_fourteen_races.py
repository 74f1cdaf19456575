"""`docs/how-to/fourteen-races.md`: exploring finds each of the fourteen, and passes its cure."""

import json
from pathlib import Path
from typing import Any

from tests.support.fourteen_races import fourteen_races


def test_the_fourteen(tmp_path: Path, postgres: dict[str, Any]) -> None:
    """The page's own files, run by pytest on PostgreSQL."""
    project = fourteen_races(tmp_path)
    run = project.run("-m", "pytest", "-q", "shop/test_races.py", environment={"DATABASE": json.dumps(postgres)})
    assert "14 passed" in run.stdout, run.stdout
