"""The project that `docs/how-to/fourteen-races.md` shows, written out from the page itself."""

import re
from pathlib import Path

from tests.support.projects import Project

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "fourteen-races.md"
CONFIG = """
    import json
    import os

    SECRET_KEY = "no secret"
    USE_TZ = True
    DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
    INSTALLED_APPS = ["shop", "sideeffects"]
    DATABASES = {"default": json.loads(os.environ["DATABASE"])}
    """


def fourteen_races(folder: Path) -> Project:
    """A project with the page's two files, each snippet in its place."""
    models, *tests = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    project = Project(folder)
    project.write("config.py", CONFIG)
    project.write("pytest.ini", "[pytest]\nDJANGO_SETTINGS_MODULE = config\n")
    project.write("shop/__init__.py", "")
    project.write("shop/models.py", models)
    project.write("shop/test_races.py", "\n\n".join(tests))
    return project
