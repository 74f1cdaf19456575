"""`--audit --apply` and `--adopt`: the first step of adopting the library, written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sideeffects._core.calls import registry
from sideeffects.listing.audit import UndeclaredFunction, formats, writing
from sideeffects.listing.audit.outside_apis import sends_mail
from sideeffects.listing.audit.undeclared import digest_of
from sideeffects.management.command import Command, wrong
from sideeffects.project.discovery import finding

if TYPE_CHECKING:
    from sideeffects.listing.audit.decorating import Left

_MAIL: Final = "mail.send"
_LEFT: Final = "left to you: declare it and uncomment this line, or delete the line"


def apply(command: Command, found: Sequence[UndeclaredFunction], digests: Mapping[Path, bytes], *, write: bool) -> None:
    """Show a patch that declares the functions, or write it."""
    edits, left = _edits(found, digests)
    if edits and not write:
        command.write(writing.diff_of(edits))
    if write:
        try:
            writing.write(edits)
        except writing.WritingError as error:
            raise wrong(str(error)) from error
    count = sum(len(edit.written) for edit in edits)
    done = f"{count} {'declared' if write else 'to declare'} in {len(edits)} file{'' if len(edits) == 1 else 's'}"
    command.stderr.write(f"{done}, {len(left)} left to you{':' if left else '.'}")
    for found_one, why, _ in left:
        command.stderr.write(f"  {formats.where(found_one.path, found_one.line)} {found_one.function}: {why}")
    if edits and not write:
        command.stderr.write("Nothing was written. --write does it.")


def adopt(command: Command, found: Sequence[UndeclaredFunction]) -> None:
    """Print the settings with which the tests go on as before: all effects declared, and all forced."""
    edits, left = _edits(found, {one.path: digest_of(one.path.read_bytes()) for one in found})
    names = {one.effect_name for edit in edits for one in edit.written}
    names.update(effect.name for effect in (*registry.registry.values(), *finding.not_imported_effects()))
    has_mail = any(sends_mail(call.api) for one in found for call in one.calls)
    names.update([_MAIL] if has_mail else [])
    forced = {name: f'"{name}",' for name in names}
    for one in left:
        if one.has_its_name:  # a comment as yet, because `check` refuses a name that nothing declares
            forced.setdefault(one.found.effect_name, f'# "{one.found.effect_name}",  # {_LEFT}')
    lines = ["SIDE_EFFECTS = {"]
    lines += [f'    "DECLARE": {{"django.core.mail": "{_MAIL}"}},'] if has_mail else []
    lines += ['    "FORCE_RUN": [', *(f"        {forced[name]}" for name in sorted(forced)), "    ],", "}"]
    command.write("\n".join(lines))


def _edits(found: Sequence[UndeclaredFunction], digests: Mapping[Path, bytes]) -> tuple[list[writing.Edit], list[Left]]:
    try:
        return writing.edits_of(found, digests)
    except writing.WritingError as error:
        raise wrong(str(error)) from error
