"""Django tasks that are effects, for backends whose workers are a queue's own: what they do, and what comes of it.

A program sets Django up, imports `task`, and defines `came_of(task, to)`, which enqueues and works. `TASKS` follows.
"""

TASKS = """
    from sideeffects import capture, force_run, side_effect

    executed = []


    @task
    @side_effect(name="sms.below")
    def below(to):
        executed.append(to)
        return "sent"


    @side_effect(name="sms.above")
    @task(takes_context=True)
    def above(context, to):
        executed.append(to)
        assert context.task_result.kwargs == {}
        return "sent"


    @task
    def plain(to):
        below.call(to)
        return "plain"
"""

IN_PRODUCTION = """
    assert [came_of(below, "a"), came_of(above, "b"), came_of(plain, "c")] == ["sent", "sent", "plain"]
    assert executed == ["a", "b", "c"], executed
    if "ledger" in sys.argv:
        from sideeffects.ledgers import shared_calls
        told = [(call.name, call.outcome.result) for call in shared_calls()]
        assert told == [("sms.below", "sent"), ("sms.above", "sent"), ("sms.below", "sent")], told
"""

IN_A_TEST_RUN = """
    # The worker is another process, by what it knows: nothing but what came with the task.
    with force_run("sms.above"), capture() as calls:
        assert (came_of(below, "a"), came_of(above, "b"), came_of(plain, "c")) == (None, "sent", "plain")
    assert executed == ["b"], executed
    assert [call.name for call in calls] == ["sms.below", "sms.above", "sms.below"], calls
    assert calls.one("sms.above").outcome.result == "sent"
"""
