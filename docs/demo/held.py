"""Run somebody else's script so that it does no harm: `python held.py script.py`. See docs/how-to/assistants.md.

`SIDE_EFFECTS_MODE=raise` in the environment refuses declared effects, and `SIDE_EFFECTS_LIVE=calls.jsonl` writes down
each decision. The guard refuses what nobody has declared.
"""

import os
import runpy
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

import django

from sideeffects.testing import guard

if __name__ == "__main__":
    django.setup()
    with guard("raise"):
        runpy.run_path(sys.argv[1], run_name="__main__")
