"""What the floor of `SIDE_EFFECTS_MODE` adds to a decision, with the variable set and without, in turns: JSON."""

import json
import statistics

from timing import Case, above, measure

from sideeffects import side_effect
from sideeffects._core.runtime.deciding import decided
from sideeffects._core.state.floor import floor_in
from sideeffects._core.state.runtime_effect import declared_named
from sideeffects._core.state.scope import scope
from sideeffects._core.state.state import state


@side_effect(name="bench.send")
def send(to, body):
    """Do nothing."""


def main():
    own = scope.get()
    floor = state.floor = floor_in({"SIDE_EFFECTS_MODE": "record"})  # as at the start of a process
    names = {
        "decided": decided,
        "declared": declared_named("bench.send"),
        "own": own,
        "args": ("+44", "hello"),
        "kwargs": {},
    }
    decision = "decided(declared, None, args, kwargs, own)"

    def lay():
        state.floor = floor

    def take_away():
        state.floor = None

    cases = {
        "without": Case(decision, names, lay),
        "with": Case(decision, names, take_away),
    }
    times = measure(cases, turns=600)
    print(json.dumps({"without": statistics.median(times["without"]), "adds": above(times, "with", "without")}))


if __name__ == "__main__":
    main()
