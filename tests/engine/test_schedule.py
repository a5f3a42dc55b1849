from hypothesis import given
from hypothesis import strategies as st

from tilepipe.schedule import Schedule


def test_what_needs_nothing_goes_on_at_once():
    assert Schedule().hold("task", []) == [("task", {})]


def test_a_task_waits_for_the_last_of_its_needs():
    schedule = Schedule()
    schedule.start(1)
    schedule.start(2)

    assert schedule.hold("task", [1, 2]) == []
    assert schedule.done(2, "empty") == []
    assert schedule.done(1, "written") == [("task", {1: "written", 2: "empty"})]
    assert len(schedule) == 0


def test_what_was_done_before_anyone_waited_is_not_lost():
    schedule = Schedule()
    schedule.start(1)
    schedule.done(1, "written")

    assert schedule.expects(1)
    assert schedule.hold("task", [1]) == [("task", {1: "written"})]
    assert not schedule.expects(1)


@given(needs=st.lists(st.sets(st.integers(0, 30)), min_size=1, max_size=8), order=st.randoms(use_true_random=False))
def test_each_task_is_released_once_after_all_its_needs(needs, order):
    owner = {}
    for number, keys in enumerate(needs):
        for key in keys:
            owner.setdefault(key, number)
    tasks = {number: {key for key, who in owner.items() if who == number} for number in range(len(needs))}
    schedule = Schedule()
    for key in owner:
        schedule.start(key)
    steps = [("hold", number) for number in tasks] + [("done", key) for key in owner]
    order.shuffle(steps)

    done, released = set(), []
    for what, value in steps:
        found = schedule.hold(value, tasks[value]) if what == "hold" else None
        if what == "done":
            done.add(value)
            found = schedule.done(value, "written")
        for task, results in found:
            assert set(results) == tasks[task] <= done
            released.append(task)

    assert sorted(released) == sorted(tasks)
    assert len(schedule) == 0
