"""The guard: notices calls to the outside world that no executing effect covers.

`hook.py` listens to Python's audit events; `events.py` knows what each reaches, `hosts.py` and `programs.py` what is
allowed, `call_sites.py` where it was called. `levels.py` says what happens then, `findings.py` keeps what was found,
`report.py` words it, `baseline.py` accepts what is known, and `children.py` carries all of it into the processes that a
test starts.
`run.py` is one run of tests, `without_pytest.py` those of `unittest` and Django's runner, where `at_test_end.py` asks
tests whether they have noticed a refusal.

Nothing is imported here: the settings are checked in processes that never have a guard.
"""

__all__: list[str] = []
