"""A Django project to be listed: an app, a package that is none, and modules that nothing imports."""

from pathlib import Path

from tests.support.projects import Project

SETTINGS = """\
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "no secret"
USE_TZ = True
INSTALLED_APPS = ["shop", "sideeffects"]
"""


def listed_project(root: Path, settings: str = "") -> Project:
    """A project with `sideeffects` installed and one app, `shop`; `effects.py` (see `projects`) lies next to it.

    Args:
        root: an empty folder.
        settings: further lines for the settings.
    """
    project = Project(root)
    project.write(
        "manage.py",
        """
        import os
        import sys

        if __name__ == "__main__":
            os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
            from django.core.management import execute_from_command_line

            execute_from_command_line(sys.argv)
        """,
    )
    project.write("config/__init__.py", "")
    write_settings(project, settings)
    project.write("shop/__init__.py", "")
    project.write(
        "shop/sms.py",
        '''
        from effects import note
        from sideeffects import side_effect


        @side_effect(name="sms.send", tags=["sms"], owner="team-a", sensitive=["body"], raises=[ValueError])
        def send(to: str, body: str = "dear customer", *, token: str = "hunter2"):
            """Send a text message.

            The gateway | charges for each.
            """
            note("executed", "sms.send")
        ''',
    )
    return project


def write_settings(project: Project, settings: str) -> None:
    """Write the settings with these further lines."""
    project.write("config/settings.py", SETTINGS + settings + "\n")
