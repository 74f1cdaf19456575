"""What it takes to read 1,000 modules in 100 apps, with star imports, for the names of effects, and to parse them once.

`run.py` starts this in a process of its own; it prints JSON. Nothing is imported but the packages of the apps.
"""

import ast
import json
import sys
import tempfile
import time
from pathlib import Path

APPS = 100

#: The modules of each app. Its names come through stars from all of the others, and from the app before it.
MODULES = {
    "__init__": "",
    "things/__init__": "from .base import *\nfrom .orders import *\nfrom .customers import *\n",
    "things/base": "from django.db.models import *\n{before}\n",
    "things/orders": "from .base import *\nfrom django.utils.translation import *\n",
    "things/customers": "from .base import *\nfrom .orders import *\n",
    "constants": "from .things import *\n",
    "services": "from .things import *\nfrom .constants import *\nfrom sideeffects import side_effect\n",
    "views": "from .services import *\nfrom .things import *\n",
    "forms": "from .things import *\nfrom .constants import *\n",
    "urls": "from .views import *\nfrom .forms import *\n",
}
#: About fifty lines, as modules have.
BODY = '''
class {name}Thing{number}(Base):
    """A thing of {name}."""

    title = CharField(max_length=100)
    count = IntegerField(default={number})

    def total(self, items, rate=1):
        found = [item.price * rate for item in items if item.is_open]
        return sum(found) + self.count


def find_{name}_{number}(request, pk):
    """Find it."""
    things = Order.objects.filter(pk=pk, owner=request.user).select_related("customer")
    if not things.exists():
        raise ValueError(f"no thing {{pk}}")
    return {{"things": list(things), "total": sum(thing.total([]) for thing in things)}}
'''
EFFECT = '''
@side_effect(name="{app}.send")
def send(to, body):
    """Send."""
'''


def write(folder):
    """The apps' names, and the files of the project."""
    apps, files = [], []
    for number in range(APPS):
        app = f"app{number:03}"
        before = f"from app{number - 1:03}.things.base import *" if number else ""
        apps.append(app)
        for name, imports in MODULES.items():
            path = folder / app / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            text = imports.format(before=before)
            if not name.endswith("__init__"):
                last = name.rpartition("/")[2]
                text += "".join(BODY.format(name=last, number=one) for one in range(3))
            if name == "services":
                text += EFFECT.format(app=app)
            path.write_text(text)
            files.append(path)
    return apps, files


def main():
    with tempfile.TemporaryDirectory() as folder:
        apps, files = write(Path(folder))
        sys.path.insert(0, folder)
        import django
        from django.conf import settings

        settings.configure(INSTALLED_APPS=apps, BASE_DIR=folder)
        django.setup()
        from sideeffects.project.discovery import finding

        before = parse(files)
        started = time.process_time()
        found = finding.look()  # once in a process: what was read is kept
        reading = time.process_time() - started
        assert len(found.effects) == APPS, found.notes
        json.dump({"parsing": min(before, parse(files)), "reading": reading}, sys.stdout)


def parse(files):
    """The seconds that reading and parsing them takes."""
    started = time.process_time()
    for path in files:
        ast.parse(path.read_bytes())
    return time.process_time() - started


if __name__ == "__main__":
    main()
