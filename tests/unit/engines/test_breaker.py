"""A breaker rests longer with every reopening, and with nothing else."""

from engines.breaker import FIRST_REST_SECONDS, Breaker, BreakerState


def test_pictures_that_are_lost_together_open_it_once() -> None:
    breaker = Breaker()
    for _ in range(8):
        breaker.failed(0.0, reason="engine_down", gone=True)
    assert breaker.wait_seconds(0.0) == FIRST_REST_SECONDS


def test_every_probe_that_fails_doubles_the_rest() -> None:
    breaker, now = Breaker(), 0.0
    rests = []
    for _ in range(4):
        breaker.failed(now, reason="engine_down", gone=True)
        rests.append(breaker.wait_seconds(now))
        now += rests[-1]
        assert breaker.state(now) is BreakerState.HALF_OPEN
    assert rests == [FIRST_REST_SECONDS * factor for factor in (1, 2, 4, 8)]
