"""How often an address may send a wrong token."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilepipe_hub import guesses
from tilepipe_hub.errors import TooOften
from tilepipe_hub.guesses import Guesses, place_of


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def known(clock):
    return Guesses(3, clock=clock)


def guessed(known, clock, seconds, every_s=0.1, address="1.1.1.1"):
    """How many of the tokens that one address makes up are looked at."""
    looked_at, ends = 0, clock.now + seconds
    while clock.now < ends:
        try:
            known.check(address, f"guess at {clock.now}")
        except TooOften:
            pass
        else:
            known.wrong(address, f"guess at {clock.now}")
            looked_at += 1
        clock.now += every_s
    return looked_at


def fill(known, address="1.1.1.1"):
    for number in range(3):
        known.wrong(address, f"wrong {number}")


def test_after_too_many_wrong_tokens_a_right_one_that_is_new_is_not_looked_at(known):
    fill(known)

    with pytest.raises(TooOften, match="too many wrong tokens came from your address; wait 1 s") as told:
        known.check("1.1.1.1", "right")
    assert told.value.after_s == 1


def test_a_right_token_that_was_on_its_way_is_not_told_to_be_right(known):
    known.check("1.1.1.1", "right")
    fill(known)

    with pytest.raises(TooOften, match="wait"):
        known.right("1.1.1.1", "right")


def test_what_was_right_before_is_looked_at_all_the_same(known, clock):
    known.right("1.1.1.1", "right")
    guessed(known, clock, 3600)
    fill_more = guessed(known, clock, 10)

    known.check("1.1.1.1", "right")
    assert fill_more <= 1


def test_what_was_right_at_another_address_is_not(known):
    known.right("2.2.2.2", "right")
    fill(known)

    with pytest.raises(TooOften, match="wait"):
        known.check("1.1.1.1", "right")
    known.check("2.2.2.2", "right")


def test_what_is_no_longer_right_is_forgotten(known):
    known.right("1.1.1.1", "once right")
    fill(known)

    known.check("1.1.1.1", "once right")
    known.wrong("1.1.1.1", "once right")

    with pytest.raises(TooOften, match="wait"):
        known.check("1.1.1.1", "once right")


def test_pauses_grow_to_a_minute_and_no_further(known, clock):
    pauses = []
    for number in range(12):
        pauses.append(known.wrong("1.1.1.1", f"wrong {number}"))
        clock.now += pauses[-1]

    assert pauses == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_who_knocks_in_a_pause_makes_it_no_longer(known, clock):
    fill(known)
    for _ in range(1000):
        with pytest.raises(TooOften, match="wait"):
            known.check("1.1.1.1", "right")
    clock.now = 1.0

    known.check("1.1.1.1", "right")


def test_a_guesser_who_never_stops_has_one_guess_a_minute(known, clock):
    assert guessed(known, clock, 600) <= 3 + 6 + 10
    assert guessed(known, clock, 3600) <= 60


def test_who_waits_as_told_is_looked_at_although_others_guess_on(known, clock):
    """One wrong token at the end of each pause would else keep all that are new out for ever."""
    guessed(known, clock, 200)
    while True:
        try:
            known.check("1.1.1.1", f"guess at {clock.now}")
        except TooOften as told:
            clock.now += told.after_s
        else:
            known.wrong("1.1.1.1", f"guess at {clock.now}")
            break
    known.right("2.2.2.2", "elsewhere")
    with pytest.raises(TooOften, match="wait 60 s") as told:
        known.check("1.1.1.1", "right")
    clock.now += told.value.after_s
    known.check("1.1.1.1", "another guess")
    known.wrong("1.1.1.1", "another guess")

    known.check("1.1.1.1", "right")
    known.right("1.1.1.1", "right")


def test_who_waits_less_is_told_the_rest(known, clock):
    fill(known)
    guessed(known, clock, 100)
    with pytest.raises(TooOften, match="wait") as told:
        known.check("1.1.1.1", "right")
    clock.now += told.value.after_s - 1

    with pytest.raises(TooOften, match="wait 1 s"):
        known.check("1.1.1.1", "right")


def test_who_sends_each_guess_twice_guesses_no_faster(known, clock):
    looked_at, waiting = 0, []
    for second in range(1200):
        clock.now = float(second)
        for token in (*waiting, f"guess {second}"):
            try:
                known.check("1.1.1.1", token)
            except TooOften:
                if token not in waiting and len(waiting) < 10:
                    waiting.append(token)
            else:
                try:
                    known.wrong("1.1.1.1", token)
                except TooOften:
                    continue
                looked_at += 1
                waiting = [other for other in waiting if other != token]

    assert looked_at <= 20 * (3 + 1) + 10


def test_few_of_those_who_wait_are_remembered(known, clock):
    fill(known)
    for number in range(1000):
        with pytest.raises(TooOften, match="wait"):
            known.check("1.1.1.1", f"guess {number}")

    assert len(known._wrong["1.1.1.1"].waiting) == 3


def test_after_a_quiet_time_pauses_begin_at_the_first_again(known, clock):
    guessed(known, clock, 600)
    clock.now += 700

    assert [known.wrong("1.1.1.1", f"wrong {number}") for number in range(3)] == [0, 0, 1]


def test_few_wrong_tokens_a_minute_are_never_too_many(known, clock):
    for number in range(50):
        known.check("1.1.1.1", f"wrong {number}")
        assert known.wrong("1.1.1.1", f"wrong {number}") == 0
        clock.now += 31


def test_nobody_waits_for_what_comes_from_elsewhere(known, clock):
    guessed(known, clock, 100)

    known.check("1.1.1.2", "right")


def test_a_right_token_buys_no_guesses(known, clock):
    looked_at = 0
    for number in range(100):
        known.right("1.1.1.1", "mine")
        try:
            known.check("1.1.1.1", f"guess {number}")
        except TooOften:
            continue
        known.wrong("1.1.1.1", f"guess {number}")
        looked_at += 1

    assert looked_at == 3


def test_what_is_remembered_is_bounded(known, monkeypatch):
    monkeypatch.setattr(guesses, "MOST_PLACES", 20)
    monkeypatch.setattr(guesses, "MOST_RIGHT", 30)
    for number in range(100):
        known.wrong(f"10.0.0.{number}", "wrong")
        known.right(f"10.0.1.{number}", "right")

    assert (len(known._wrong), len(known._right)) == (20, 30)


def test_those_who_come_again_are_remembered_longer(known, monkeypatch):
    monkeypatch.setattr(guesses, "MOST_RIGHT", 2)
    for mark in ("ann", "bob", "ann", "cem"):
        known.right("1.1.1.1", mark)
    fill(known)

    known.check("1.1.1.1", "ann")
    with pytest.raises(TooOften, match="wait"):
        known.check("1.1.1.1", "bob")


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a socket", "a socket"),
    ],
)
def test_a_network_of_ipv6_is_one_place(address, place):
    assert place_of(address) == place


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_whoever_has_an_address_of_ipv6_guesses_from_no_other_of_its_network(address, tail):
    other = type(address)(int(address) >> 64 << 64 | tail)

    assert place_of(str(other)) == place_of(str(address)) or "." in place_of(str(other)) + place_of(str(address))
