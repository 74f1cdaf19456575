"""`make bench`: what effects cost, beside their peers.

Each line is measured in one run, the cases taking turns, and is a ratio of costs above that of a bare call, unless it
says otherwise. Exits with 1 when a target is missed.

    make bench                           everything, in about ten minutes
    make bench ARGS="executing imports"  some of it: executing, recording, growth, floor, run_lists, ledgers, outbox,
                                         races, explored, faults, dry_runs, probes, discovery, imports, plugin, guard
"""

import importlib.util
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import commits
import guards
import processes
import wrapt
from timing import BARE, above, ratio

from tests.support.postgres_server import postgres_server

HERE = Path(__file__).resolve().parent
PARTS = (
    "executing",
    "recording",
    "mails",
    "growth",
    "floor",
    "run_lists",
    "ledgers",
    "outbox",
    "races",
    "explored",
    "faults",
    "dry_runs",
    "probes",
    "discovery",
    "imports",
    "plugin",
    "guard",
    "commits_in_tests",
)

missed = []


def main(wanted):
    unknown = set(wanted) - set(PARTS)
    if unknown:
        print(f"There is no part {min(unknown)!r}; the parts are {', '.join(PARTS)}.", file=sys.stderr)
        return 2
    speedups = getattr(wrapt.FunctionWrapper.__call__, "__code__", None) is None
    print(
        f"{platform.python_implementation()} {platform.python_version()}, wrapt {wrapt.__version__} "
        f"{'with' if speedups else 'WITHOUT'} its C extension. Costs are above that of a bare call.\n"
    )
    for part in PARTS:
        if part in wanted or not wanted:
            globals()[part]()
    if missed:
        print(f"\nMISSED: {'; '.join(missed)}")
        return 1
    print("\nAll targets are met.")
    return 0


def heading(text):
    print(f"\n{text}")


def line(what, value, target=None, note=""):
    """One line of the table; `target` is the most that `value` may be."""
    verdict = ""
    if target is not None:
        verdict = "ok" if value <= target else "MISSED"
        if value > target:
            missed.append(f"{what} {value:.2f}")
    wanted = "" if target is None else f"at most {target:g}"
    print(f"  {what:<58} {value:>9.3g}   {wanted:<13} {verdict:<7}{note}".rstrip())


def child(script, *arguments, **environment):
    """What one of the scripts here prints, run in a process of its own."""
    run = subprocess.run(
        [sys.executable, HERE / script, *arguments],
        env=processes.clean_environment(**environment),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=HERE,
    )
    return json.loads(run.stdout)


#: How often a comparison is made, each time in a new process: where things lie in memory is luck, and lasts as long.
PROCESSES = 3

SETTINGS = {"with Django configured": ["django"], "without Django": []}


class Comparison:
    """What `calls.py` prints, from several processes; figures are the median of theirs."""

    def __init__(self, *arguments, **environment):
        self._found = [child("calls.py", *arguments, **environment) for _ in range(PROCESSES)]

    def cases(self, group="functions"):
        return [case for case in self._found[0][group] if case != BARE]

    def ratio(self, case, peer, group="functions"):
        return statistics.median(ratio(found[group], case, peer) for found in self._found)

    def above(self, case, group="functions"):
        return statistics.median(above(found[group], case) for found in self._found)


def executing():
    for where, arguments in SETTINGS.items():
        found = Comparison("executing", *arguments)
        heading(f"Executing in production, {where}; nothing captured, nobody observing")
        line("a function, of functools.wraps", found.ratio("effect", "functools.wraps"), 1.0)
        line("a function, of a no-op wrapt decorator", found.ratio("effect", "no-op wrapt"))
        line("a method, of a no-op wrapt decorator", found.ratio("effect", "no-op wrapt", "methods"), 0.9)
        for peer in ("django-side-effects", "dj-saferunner"):
            if peer in found.cases():
                line(f"a function, of {peer}", found.ratio("effect", peer))
        for what in ("an override is open elsewhere", "in a capture", "observed"):
            line(f"nanoseconds when {what}", found.above("effect", what))
        for case in found.cases():
            line(f"nanoseconds: {case}", found.above(case))


def recording():
    kinds = {
        "in a test run": ("test", {"SIDE_EFFECTS_TEST_RUN": "1"}, SETTINGS | {"with GUARD off": ["django", "off"]}),
        "with record() in production": ("production", {}, SETTINGS),
    }
    for kind, (argument, environment, wheres) in kinds.items():
        for where, arguments in wheres.items():
            found = Comparison(argument, *arguments, **environment)
            heading(f"Recording {kind}, {where}; validated and kept")
            line("scalar arguments, of a Mock", found.ratio("effect", "Mock"), 0.5)
            line("scalar arguments, of create_autospec", found.ratio("effect", "create_autospec"), 0.35)
            line("a method, of a Mock's", found.ratio("effect", "Mock", "methods"))
            if "dj-saferunner" in found.cases():
                line("scalar arguments, of dj-saferunner", found.ratio("effect", "dj-saferunner"))
            for case in found.cases():
                line(f"nanoseconds: {case}", found.above(case))


def mails():
    found = [child("mails.py", SIDE_EFFECTS_TEST_RUN="1") for _ in range(PROCESSES)]
    heading("Recording a mail without attachments, beyond what Django's backend in memory takes itself")
    line("microseconds", statistics.median(above(one, "recorded") for one in found) / 1000, 15)
    itself = statistics.median(statistics.median(one[BARE]) for one in found)
    line("microseconds that Django's backend takes", itself / 1000)


def growth():
    for bound in (10_000, 2_000_000):
        found = child("growth.py", "calls", str(bound), SIDE_EFFECTS_TEST_RUN="1")
        parts = found["parts"]
        heading(f"A million recorded calls, {bound:,} kept")
        line("the last 300,000 calls, of the first 300,000", sum(parts[-3:]) / sum(parts[:3]), 1.5)
        line("nanoseconds per call", sum(parts) / len(parts))
        line("bytes per call", found["bytes"], None if bound < 1_000_000 else 1000)
        line("bytes that the last 900,000 calls added, each", (found["bytes"] * 1e6 - found["first"]) / 9e5)
    found = child("growth.py", "effects", SIDE_EFFECTS_TEST_RUN="1")
    few, some, many = found.values()
    heading("Microseconds with 1,000, 3,000 and 10,000 effects; at most how often that of 1,000")
    for what in few:
        times = max(many[what], 0.5) / max(few[what], 0.5)  # below half a microsecond it is fast enough
        note = f"{few[what]:9.2f} {some[what]:9.2f} {many[what]:9.2f}"
        line(what, times, 2.0, note)


def floor():
    for kind, environment in (("in production", {}), ("in a test run", {"SIDE_EFFECTS_TEST_RUN": "1"})):
        found = [child("floors.py", **environment) for _ in range(PROCESSES)]
        heading(f"A decision {kind}, under the floor of SIDE_EFFECTS_MODE=record and without one")
        line("nanoseconds that the floor adds", statistics.median(one["adds"] for one in found), 30)
        line("nanoseconds without", statistics.median(one["without"] for one in found))


def run_lists():
    found = child("run_lists.py", "recording", SIDE_EFFECTS_TEST_RUN="1")
    heading(f"Run lists of {found['tasks']:,} tasks, recorded in memory")
    line("microseconds a task", found["ours"])
    line("a task of it, of one in a list a tenth as long", found["growth"], 1.5)
    if "theirs" in found:
        line(
            "of dj-saferunner, on LocMem",
            found["ours"] / found["theirs"],
            1 / 100,
            f"1/{found['theirs'] / found['ours']:,.0f}",
        )
    found = child("run_lists.py", "executing")
    heading("Run lists, executed in production")
    line("microseconds added to calling an effect, a task", found["added"], 3)
    line("microseconds for an undeclared function, a task", found["undeclared"])


def ledgers():
    for name, found in child("ledgers.py").items():
        heading(f"A ledger shared by processes, {name}")
        line("records that 8 processes x 200 have lost", found["lost"], 0, f"{found['kept']:,} kept")
        line("microseconds a record of a run list of 5,000", found["list"])
        if "rpush" in found:
            line("a record of a run list, of one RPUSH", found["list"] / found["rpush"], 2)
        line("microseconds a record of a call by itself", found["single"])
        line("such a record with 5,000 there, of one with few", found["growth"], 2)


def outbox():
    found = child("outbox.py")
    heading("The outbox, on PostgreSQL")
    line("nanoseconds to decide an executing call, without the outbox", found["decided"])
    line("the same with the outbox and nothing paused", found["executing"])
    line("the second, of the first", found["executing, of decided"], 1.3)
    line("microseconds to INSERT such a row through the ORM", found["insert"])
    line("holding a call, of that INSERT", found["ratio"], 1.5)
    line("microseconds to hold one of a hundred in a transaction", found["hold in a transaction"])
    note = f"{found['release']:.0f} a second"
    line("milliseconds to release a call, one process", 1000 / found["release"], 1000 / 300, note)
    line("seconds until a pause has reached 4 processes, REFRESH is 2", child("pauses.py"), 2.5)
    if importlib.util.find_spec("debug_toolbar") is not None:
        line("processor milliseconds that the panel adds to 20 calls", child("panels.py"), 1)
    peer = found.get("peer")
    if peer:
        line("django-tasks-db: microseconds to enqueue the same", peer["enqueue"])
        line("django-tasks-db: milliseconds to run it, one worker", 1000 / peer["run"])


def races():
    found = child("races.py")
    for count in ("5", "20"):
        both = found[count]
        heading(f"Races of {count} calls that make one query each on PostgreSQL; milliseconds")
        line("warm, of django-concurrent-test-helper", both["ratio"], 1 / 20, f"1/{1 / both['ratio']:,.0f}")
        line("from the first start to the last, of calls that wait", both["waiting skew"], 1)
        line("the same, of calls that query", both["skew"])
        line("the same, of django-concurrent-test-helper", both["their skew"])
        line("a race", both["warm"], None, "in turns with the peer's")
        line("a race after others of its kind", both["warm alone"])
        line("the first race of a test process", both["cold"])
        line("a race of django-concurrent-test-helper", both["theirs"])
        line("processor seconds of a race", both["seconds"])
        line("processor seconds of the first", both["cold seconds"])
        line("processor seconds of django-concurrent-test-helper", both["their seconds"])
    few, some, many = (found[f"{count} idle"] for count in (10, 50, 100))
    heading("Races of 10, 50 and 100 calls without a database; at most how often a racer of 100 costs one of 10")
    for what, unit, factor, target in (
        ("seconds", "processor milliseconds", 1000, 1.5),
        ("warm alone", "milliseconds", 1, None),  # of the whole machine, whatever else it does
    ):
        costs = [one[what] * factor / count for count, one in ((10, few), (50, some), (100, many))]
        note = "".join(f"{cost:9.2f} " for cost in costs)
        line(f"{unit} a racer", costs[2] / costs[0], target, note)
    heading("Two payments that look first; one comes 20 ms later. Of 30 races, how many charge twice")
    line("they start together", found["plain"])
    line("that charge once although they meet at the charge", 30 - found["meeting"], 0)


def explored():
    found = child("explored.py")
    heading("Races explored on PostgreSQL, two racers")
    line("milliseconds an order of 6 steps", found["order"], 10)
    line("milliseconds a step beyond", found["step"], 1.5)
    line(f"seconds, of {found['orders']} orders of 12 steps, unpruned", found["seconds"], 20)
    line("orders left, of racers that meet in one of three tables", found["left"], 1 / 5)
    line("milliseconds taking back five tables", found["taking back"], 3)
    heading("The fourteen: runs and seconds until found, explored and by Race(repeat=200)")
    for name, ours, repeated in found["fourteen"]:
        line(name, ours[1], None, f"{ours[0]} orders; repeated: {_until_found(repeated)}")


def _until_found(repeated):
    if repeated is None:
        return "not tried"
    runs, seconds = repeated
    return f"not found in {seconds:.1f} s" if runs is None else f"{runs} runs, {seconds:.1f} s"


def faults():
    found = child("faults.py", SIDE_EFFECTS_TEST_RUN="1")
    heading(f"A fault sweep of {found['cells']} cells, of a scenario of 5 ms with 10 calls")
    line("runs of the scenario above one for each cell", found["runs"] - found["cells"], 1)
    line("the sweep, of as many bare runs", found["ratio"], 1.05)


def dry_runs():
    for database, ways in child("dry_runs.py").items():
        heading(f"A command that writes 10,000 rows to {database}, dry, of the same for real")
        for way, (real, dry) in ways.items():
            line(way, dry / real, 1.1, f"{real:.2f} s for real")

    heading("The same with 100 effects in one transaction, along its plan, of the command itself")
    for database, (seconds, by_clock, by_processor) in child("applying.py").items():
        line(database, by_clock, 1.05, f"{seconds:.2f} s for the command itself")
        line("the same, of the processor time of this process", by_processor)


def probes():
    databases = {"SQLite": []}
    with postgres_server() as described:
        databases["PostgreSQL"] = [f"{name}={value}" for name, value in described.items()]
        for database, arguments in databases.items():
            runs = [child("probes.py", "cost", *arguments) for _ in range(PROCESSES)]
            taken = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
            heading(f"A thousand trivial probes, on {database}")
            if database == "SQLite":
                line("a probe, of a test of plain unittest", taken["probe"] / taken["unittest"], 3)
            line("what a query adds to a probe, of a query in a transaction", taken.pop("adds"), 1)
            line("the same, both without the query", taken.pop("adds, without the query"))
            for name, each in taken.items():
                line(f"microseconds: {name}", each)
    heading("Ten probes that each wait 0.2 s")
    line("seconds", child("probes.py", "waiting"), 0.25)
    if importlib.util.find_spec("smoketest") is not None:
        line("seconds with django-smoketest", child("probes.py", "theirs"))
    few, some, many = child("probes.py", "growth").values()
    heading("Microseconds for each of 100, 1,000 and 10,000 probes")
    line("one of 10,000, of one of 1,000", many / some, 1.5, f"{few:9.2f} {some:9.2f} {many:9.2f}")
    heading("A cached answer of the view of probes, with 500 apps")
    for form, milliseconds in child("probes.py", "view").items():
        line(f"milliseconds of processor time: {form}", milliseconds, 10)


def discovery():
    runs = [child("discovery.py") for _ in range(PROCESSES)]
    heading("Finding the effects of 1,000 modules in 100 apps, with star imports, from their source")
    times = statistics.median(run["reading"] / run["parsing"] for run in runs)
    line("reading them for effects, of parsing each once", times, 2)
    line("milliseconds of processor time", statistics.median(run["reading"] for run in runs) * 1000)


def imports():
    taken = processes.imports()
    heading("Importing, milliseconds of processor time")
    line("from sideeffects import side_effect, after import wrapt", taken["from sideeffects import side_effect"], 15)
    line("import sideeffects, which imports no verb and no wrapt", taken["import sideeffects"])
    line("import wrapt", taken["import wrapt"])
    line("Django, Sentry, pytest or Celery imported (1 is yes)", processes.imported(), 0)


def plugin():
    with tempfile.TemporaryDirectory() as folder:
        each, starting = processes.plugin(folder)
    heading(f"The pytest plugin, {processes.TESTS:,} trivial tests under pytest alone, processor time")
    nothing = each["nothing"]
    line("a test with it, without its guard, of one without", each["the plugin, without its guard"] / nothing, 1.02)
    line("a test with it, of one without", each["the plugin"] / nothing, 1.05)
    line("a test without it, of the same measured again", each["nothing again"] / nothing)
    line("microseconds of a test without it", nothing)
    line("milliseconds that starting takes longer", starting["the plugin"] - starting["nothing"])


def guard():
    hook = guards.hook()
    with tempfile.TemporaryDirectory() as folder:
        taken = guards.suites(folder)
        events = {runner: guards.events(folder, runner) for runner in ("Django's runner", "pytest")}
    for runner, count in events.items():
        heading(f"The guard, {processes.TESTS:,} trivial Django tests under {runner}, processor time of whole runs")
        off, warn, nothing, socket = ((runner, beside) for beside in ("off", "warn", "nothing", "pytest-socket"))
        line("a run with it, of one where it is off", guards.whole(taken, warn, off), 1.03)
        line("a run where it is off, of one without sideeffects", guards.whole(taken, off, nothing))
        if runner == "pytest":
            line("a run with it, of one with pytest-socket", guards.whole(taken, warn, socket))
        each = guards.each(taken, nothing) * 1000
        line("microseconds of a test without either", each)
        line("events of a test, each with a call of the hook", count, None, f"{hook:.0f} ns each")
        line("what these calls take, of a test", count * hook / 1000 / each, 0.03)


def commits_in_tests():
    with tempfile.TemporaryDirectory() as folder:
        ratio, again = commits.ratios(folder)
    heading(f"Commits in tests, {processes.TESTS:,} trivial Django tests with one atomic each, processor time")
    line("a run with them, of one without", ratio, 1.05)
    line("a run without, of another without", again)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
