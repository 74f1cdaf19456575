"""Drawings that the build of these pages makes, a file each; what they are made of is in `shapes.py`."""

from pathlib import Path

from drawings import call, decorators, floors, idea, overrides, processes


def draw(folder: Path) -> None:
    """Write all of them into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for module in (call, decorators, floors, idea, overrides, processes):
        name = module.__name__.rpartition(".")[2]
        (folder / f"{name}.svg").write_text(module.draw(), encoding="utf-8")
