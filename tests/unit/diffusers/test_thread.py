"""Calls to the drawing thread: each is answered, whatever becomes of its asker or of the thread."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from engines.diffusers.studio import Studio
from engines.diffusers.thread import DrawingThread
from engines.errors import EngineDownError
from tests.unit.diffusers.conftest import MakeEngine

PATIENCE_SECONDS = 60.0
"""A call that is lost is never answered; without an end the test would never fail."""


@pytest.fixture
def thread(make_engine: MakeEngine) -> Iterator[DrawingThread]:
    """A thread that has not begun yet, so that it finds what was asked of it meanwhile."""
    thread = DrawingThread(name="drawing", furnishing=make_engine()._furnishing)
    yield thread
    thread.close()


def device(studio: Studio) -> str:
    return studio.device.type


def test_who_gives_up_a_call_ends_nothing_for_others(thread: DrawingThread) -> None:
    assert thread.call(device).cancel()
    after = thread.call(device)
    thread.start()
    assert after.result(PATIENCE_SECONDS) == "cpu"


def test_a_call_that_fails_ends_nothing_for_others(thread: DrawingThread) -> None:
    def fail(_: Studio) -> None:
        raise ValueError("as the test wants")

    failing, after = thread.call(fail), thread.call(device)
    thread.start()
    assert after.result(PATIENCE_SECONDS) == "cpu"
    with pytest.raises(ValueError, match="as the test wants"):
        failing.result(0)


def test_a_thread_that_ends_refuses_what_it_was_still_asked(make_engine: MakeEngine) -> None:
    if torch.cuda.is_available():
        pytest.skip("the device is there")
    furnishing = replace(make_engine()._furnishing, device="cuda")
    thread = DrawingThread(name="drawing", furnishing=furnishing)
    given_up, asked = thread.call(device), thread.call(device)
    assert given_up.cancel()
    thread.start()
    with pytest.raises(EngineDownError, match="cuda is not there"):
        asked.result(PATIENCE_SECONDS)
    with pytest.raises(EngineDownError, match="cuda is not there"):
        thread.call(device)
    thread.close()
