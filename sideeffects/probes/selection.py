"""Choosing among the probes that were found, by labels and tags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sideeffects._core.values.close_names import did_you_mean
from sideeffects.probes.finding import find
from sideeffects.probes.refusals import ProbesRefused
from sideeffects.probes.specs import FoundProbes
from sideeffects.project.probe_apps import installed


def select(
    labels: Sequence[str] = (), tags: Sequence[str] = (), exclude_tags: Sequence[str] = (), skip: Sequence[str] = ()
) -> FoundProbes:
    """The probes that have one of the labels, one of the tags and none of the excluded tags.

    Args:
        labels: `app`, `app.Class`, `app.Class.method`, or the same with a dotted module; none for all.
        tags: none for all.
        exclude_tags: those to leave out.
        skip: labels or dotted names of apps to leave out.

    Raises:
        ProbesRefused: a label, tag or app means nothing; the message has close matches.
    """
    names = {name for app in installed() for name in (app.label, app.name)}
    for app in skip:
        if app not in names:
            raise ProbesRefused(f"no installed app is called {app!r}{did_you_mean(app, sorted(names))}")
    found = find(skip)
    specs, broken = found.specs, found.broken
    if labels:
        known = {name for spec in specs for name in spec.names} | {name for one in broken for name in one.names}
        for label in labels:
            if label not in names and not any(_means(label, name) for name in known):
                failures = "".join(f"\n{one.module} could not be imported: {one.error!r}" for one in broken)
                raise ProbesRefused(
                    f"no probe is called {label!r}{did_you_mean(label, sorted(_with_parents(known)))}{failures}"
                )
        specs = tuple(spec for spec in specs if _has(labels, spec.names))
        broken = tuple(one for one in broken if _has(labels, one.names))
    known_tags = {tag for spec in found.specs for tag in spec.traits.tags}
    for tag in (*tags, *exclude_tags):
        if tag not in known_tags and not found.broken:
            raise ProbesRefused(f"no probe has the tag {tag!r}{did_you_mean(tag, sorted(known_tags))}")
    if tags:
        specs = tuple(spec for spec in specs if not set(tags).isdisjoint(spec.traits.tags))
    specs = tuple(spec for spec in specs if set(exclude_tags).isdisjoint(spec.traits.tags))
    return FoundProbes(specs, broken)


def _means(label: str, name: str) -> bool:
    return name == label or name.startswith(f"{label}.")


def _has(labels: Iterable[str], names: Iterable[str]) -> bool:
    return any(_means(label, name) for label in labels for name in names)


def _with_parents(names: Iterable[str]) -> set[str]:
    found = set[str]()
    for name in names:
        parts = name.split(".")
        found.update(".".join(parts[:length]) for length in range(1, len(parts) + 1))
    return found
