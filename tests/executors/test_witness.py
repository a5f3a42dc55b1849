"""Who is blamed for a worker that ended."""

from tilepipe.executors.witness import Note, Witness


def told(*notes):
    witness = Witness()
    for worker, call, memory in notes:
        witness.hear(Note("run", worker, call, memory, 1000))
    return witness


def test_what_a_worker_had_begun_is_blamed_and_not_what_waited_there():
    assert told(("a", 4, 10), ("b", 5, 10)).ran("a", [4, 6], silent=[4, 6]) == {4}


def test_what_has_ended_before_is_not_blamed():
    assert told(("a", 3, 10), ("a", 4, 10)).ran("a", [4, 6], silent=[4, 6]) == {4}


def test_every_thread_of_a_worker_may_be_the_one():
    assert told(("a", 3, 10), ("a", 4, 10)).ran("a", [3, 4, 6], silent=[3, 4, 6]) == {3, 4}


def test_a_worker_that_ended_before_it_could_tell_had_begun_what_came_first():
    assert Witness().ran("a", [8, 7], silent=[8, 7]) == {7}


def test_what_would_have_told_before_it_began_is_not_blamed():
    assert told(("a", 3, 10)).ran("a", [7, 8], silent=[]) == set()
    assert told(("a", 3, 10)).ran("a", [7, 8], silent=[8]) == {8}


def test_a_worker_that_held_nothing_takes_nothing_with_it():
    assert told(("a", 3, 10)).ran("a", [], silent=[]) == set()


def test_the_most_memory_seen_is_told_with_the_limit():
    witness = told(("a", 3, 10), ("a", -1, 900), ("a", 4, 20))

    assert witness.memory("a") == (900, 1000)
    assert witness.memory("b") == (None, None)


def test_a_worker_at_the_same_address_starts_anew():
    witness = told(("a", 3, 900))
    witness.forget("a")

    assert witness.memory("a") == (None, None)


def test_what_is_remembered_of_a_worker_is_bounded():
    witness = told(*(("a", call, 1) for call in range(1000)))

    assert len(witness.told["a"].started) < 100
    assert witness.ran("a", [999, 1000], silent=[999, 1000]) == {999}
