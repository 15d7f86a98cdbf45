"""The border between event loops and the one thread that owns torch."""

import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from engines.diffusers.furnishing import Furnishing
from engines.diffusers.mailbox import Died
from engines.diffusers.order import Order
from engines.errors import EngineDownError, EngineError

if TYPE_CHECKING:
    from engines.diffusers.runner import Runner
    from engines.diffusers.studio import Studio

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")


class DrawingThread:
    """Takes orders and calls from any thread and carries them out in its own.

    What is shared lies under one condition: orders, calls, and the mark that something has
    changed. Everything else belongs to the runner, which only this thread touches.
    """

    def __init__(self, *, name: str, furnishing: Furnishing) -> None:
        self._furnishing = furnishing
        self._condition = threading.Condition()
        self._orders: list[Order] = []
        self._calls: list[tuple[Callable[[Studio], Any], Future[Any]]] = []
        self._changed = False
        self._closing = False
        self._ended = False
        self._reason: EngineError = EngineDownError("the engine is closed")
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread, which then imports torch."""
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether it takes no more orders."""
        return self._ended or self._closing

    def submit(self, order: Order) -> None:
        """Order a picture.

        Raises:
            EngineDownError: the thread has ended.
        """
        with self._condition:
            self._require_open()
            self._orders.append(order)
        order.turn.on_change(self.wake)
        self.wake()

    def wake(self) -> None:
        """Say that something may have changed; may be called from any thread."""
        with self._condition:
            self._changed = True
            self._condition.notify()

    def call(self, act: "Callable[[Studio], _T]") -> "Future[_T]":
        """Let the thread do something between two steps.

        Raises:
            EngineDownError: the thread has ended.
        """
        answer: Future[_T] = Future()
        with self._condition:
            self._require_open()
            self._calls.append((act, answer))
        self.wake()
        return answer

    def close(self) -> None:
        """End every drawing and the thread; returns when both are done."""
        with self._condition:
            self._closing = True
        self.wake()
        if self._thread.is_alive():
            self._thread.join()

    def _require_open(self) -> None:
        if self.ended:
            raise self._reason

    def _main(self) -> None:
        try:
            self._work()
        except EngineError as error:
            self._reason = error
        except Exception as error:  # noqa: BLE001
            _LOG.exception("the drawing thread ended")
            self._reason = EngineDownError(f"the drawing thread ended: {error}")
        finally:
            self._end()

    def _work(self) -> None:
        # Read by torch when it is imported: without it, MPS refuses memory that macOS would give.
        os.environ.setdefault("PYTORCH_MPS_HIGH_WATERMARK_RATIO", "0.0")
        from engines.diffusers.runner import Runner  # noqa: PLC0415
        from engines.diffusers.studio import open_studio  # noqa: PLC0415

        with open_studio(self._furnishing) as studio:
            runner = Runner(studio=studio)
            try:
                while not self._closing:
                    self._admit(runner, studio)
                    if not runner.round():
                        self._wait()
            finally:
                runner.close()

    def _admit(self, runner: "Runner", studio: "Studio") -> None:
        with self._condition:
            self._changed = False
            orders, self._orders = self._orders, []
            calls, self._calls = self._calls, []
        for order in orders:
            runner.admit(order)
        for act, answer in calls:
            if not answer.set_running_or_notify_cancel():
                continue
            try:
                answer.set_result(act(studio))
            except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
                answer.set_exception(error)

    def _wait(self) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self._changed or self._closing)

    def _end(self) -> None:
        with self._condition:
            self._ended = True
            orders, self._orders = self._orders, []
            calls, self._calls = self._calls, []
        for order in orders:
            order.mailbox.post(Died(self._reason))
            order.freed.set_result(None)
        for _, answer in calls:
            if answer.set_running_or_notify_cancel():
                answer.set_exception(self._reason)
