"""What is remembered of pictures' durations: the kinds that were drawn last, and no more."""

from dataclasses import replace

from scheduler import eta
from scheduler.eta import Eta, Forecast
from tests.unit.scheduler.parts import an_ask

SPEC = an_ask().spec


def test_kinds_that_were_not_drawn_for_long_are_forgotten() -> None:
    forecast, rare = Forecast(), replace(SPEC, steps=3)
    for spec in (rare, SPEC):
        for seconds in (1.0, 2.0, 3.0):
            forecast.learn("fake", spec, cold=False, seconds=seconds)
    for width in range(100, 100 + eta.KINDS_KEPT):
        forecast.learn("fake", replace(SPEC, width=width), cold=False, seconds=1.0)
        forecast.learn("fake", SPEC, cold=False, seconds=2.0)
    assert forecast.picture("fake", SPEC, cold=False) == Eta(2.0, 2.0)
    assert forecast.picture("fake", rare, cold=False) is None
    assert len(forecast._seen) == eta.KINDS_KEPT
