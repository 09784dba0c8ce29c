import random

from asd_agent.mqtt.patience import MAX_DELAY_S, RIVAL_S, STEADY_S, Ended, Patience

REFUSED = Ended(None)
SHORT = Ended(STEADY_S / 2)
STEADY = Ended(STEADY_S)
HUNG_UP = Ended(1.0, hung_up=True)
TAKEN = Ended(1.0, taken_over=True)


def longest(_low: float, high: float) -> float:
    return high


def test_pauses_grow_to_a_minute_and_never_end() -> None:
    patience = Patience(longest)
    grown = [patience.delay_s(REFUSED) for _ in range(1000)]
    assert grown[:7] == [2, 4, 8, 16, 32, MAX_DELAY_S, MAX_DELAY_S]
    assert set(grown[7:]) == {MAX_DELAY_S}
    assert patience.taken_over == 0


def test_pauses_are_random_from_zero_on() -> None:
    patience = Patience(random.Random(1).uniform)
    for _ in range(6):
        patience.delay_s(REFUSED)
    drawn = [patience.delay_s(REFUSED) for _ in range(500)]
    assert min(drawn) < 2
    assert max(drawn) > MAX_DELAY_S - 2
    assert 25 < sum(drawn) / 500 < 35


def test_only_a_steady_connection_makes_the_next_attempt_quick() -> None:
    patience = Patience(longest)
    delays = [patience.delay_s(e) for e in (REFUSED, SHORT, SHORT, STEADY, REFUSED)]
    assert delays == [2, 4, 8, 1, 2]


def test_a_rival_is_left_the_broker_for_a_while() -> None:
    patience = Patience(random.Random(1).uniform)
    delays = [patience.delay_s(TAKEN) for _ in range(100)]
    assert min(delays) >= RIVAL_S
    assert max(delays) - min(delays) > RIVAL_S / 2, "both must not come at once"
    assert patience.taken_over == 100


def test_a_broker_that_hangs_up_again_and_again_has_another_of_our_name() -> None:
    patience = Patience(longest)
    delays = [patience.delay_s(HUNG_UP) for _ in range(5)]
    assert delays == [2, 4, 8, 2 * RIVAL_S, 2 * RIVAL_S]
    assert patience.taken_over == 2


def test_a_broker_that_restarts_is_no_rival() -> None:
    patience = Patience(longest)
    for ended in (*[HUNG_UP] * 3, REFUSED) * 5 + (*[HUNG_UP] * 3, STEADY) * 5:
        patience.delay_s(ended)
    assert patience.taken_over == 0
