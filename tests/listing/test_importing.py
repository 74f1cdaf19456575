"""`side_effects --audit --apply`: where the import of `side_effect` goes, and that isort's rules agree."""

import importlib.util
import subprocess
import sys
from pathlib import Path

from sideeffects.listing.audit import Audit, writing

#: The tops of modules of the package `shop`, by name. Lines with a `-` become those with a `+`.
TOPS = {
    "in_order": '''
         """Calls."""

         from __future__ import annotations

         import os

         import stripe
         from django.conf import settings
        +from sideeffects import side_effect

         # above this one
         from twisted import reactor

         from shop import models

         from .forms import Form
        ''',
    "first_of_its_section": """
         import os

         # other people's
        +from sideeffects import side_effect
         from twisted import reactor
        """,
    "no_section": """
         import os
        +
        +from sideeffects import side_effect

         # ours
         import config
         from shop import models
        """,
    "only_relative": '''
         """Calls."""

        +from sideeffects import side_effect
        +
         # ours
         from . import models
         from .forms import Form
        ''',
    "only_standard": """
         # Whose this is.
         import os
        +
        +from sideeffects import side_effect
        """,
    "below_no_code": """
         import typing

         __all__ = ["call"]

         import stripe
        +from sideeffects import side_effect

         if typing.TYPE_CHECKING:
             from django.http import HttpRequest

         import requests
        """,
    "code_at_once": '''
         """Calls."""
        +
        +from sideeffects import side_effect

         try:
             import stripe
         except ImportError:
             stripe = None
        ''',
    "nothing_at_all": """
         #!/usr/bin/env python
        +
        +from sideeffects import side_effect
        """,
    "order_of_its_own": """
         # ruff: noqa: I001
         from .forms import Form
         from twisted import reactor
         import stripe
        +from sideeffects import side_effect
         import os
         from . import models
        """,
    "order_of_its_own_and_no_section": """
         # ruff: noqa: I001
         from .forms import Form
         import os
        +
        +from sideeffects import side_effect
        +
         from . import models
        """,
    "extended": """
        -from sideeffects import forbid, stub
        +from sideeffects import forbid, side_effect, stub
        """,
    "extended_in_lines": """
         from sideeffects import (
             SideEffectBlocked,
             forbid,  # here
        +    side_effect,
         )
        """,
    "extended_first": """
         from sideeffects import (
        +    side_effect,
             stub,
         )
        """,
    "renamed_apart": """
        +from sideeffects import side_effect
         from sideeffects import stub as given
        """,
    "reused": """
         from sideeffects import side_effect as effect
        """,
    "reused_package": """
         import sideeffects
        """,
}
CALLED = {"reused": "effect", "reused_package": "sideeffects.side_effect"}
CODE = """

def call(command):
    import os

    os.system(command)
"""


def test_the_import_stands_where_isort_wants_it(tmp_path: Path) -> None:
    """Text for text; and if ruff is installed, it has nothing to say of it."""
    package = tmp_path / "shop"
    package.mkdir()
    tmp_path.joinpath("config.py").touch()
    files = {f"shop.{name}": package / f"{name}.py" for name in TOPS}
    wanted = {}
    for name, top in TOPS.items():
        lines = [line[8:] for line in top.splitlines()[1:-1]]
        before = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "+")
        after = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "-")
        files[f"shop.{name}"].write_text(before + CODE)
        decorator = f'@{CALLED.get(name, "side_effect")}(name="shop.{name}.call")\n'
        wanted[name] = after + CODE.replace("def", f"{decorator}def")

    audit = Audit(files, (), lambda number, count: None)
    edits, _ = writing.edits_of(audit.found, audit.digests)
    writing.write(edits)

    assert {name: files[f"shop.{name}"].read_text() for name in TOPS} == wanted
    if importlib.util.find_spec("ruff"):
        command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "I", "--quiet", "."]
        ruff = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (ruff.stdout, ruff.stderr) == ("", "")
