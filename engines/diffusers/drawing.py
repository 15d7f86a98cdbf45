"""A picture as the drawing thread holds it: its order, its life, and what it wants next."""

from collections.abc import Generator

from engines.base import Phase, Progress, Urgency
from engines.diffusers.batches import is_out_of_memory
from engines.diffusers.life import Life
from engines.diffusers.mailbox import Died, Drawn
from engines.diffusers.order import Order
from engines.diffusers.session import Group
from engines.diffusers.studio import Studio
from engines.diffusers.work import Work
from engines.errors import OutOfMemoryError


class Drawing:
    """A picture that the thread holds.

    Attributes:
        work: What it wants next; None before it has begun and after it has ended.
        ended: Whether the thread has nothing to do with it any more.
    """

    def __init__(self, order: Order) -> None:
        self.order = order
        self.work: Work | None = None
        self._life: Life | None = None
        self._running: Generator[Work, None, Drawn] | None = None
        self._told: Phase | None = None
        self._news: Drawn | Died | None = None
        self.ended = False

    @property
    def group(self) -> Group | None:
        """With whom it may share its next step; None when it wants none."""
        return None if self.work is None else self.work.group

    def rank(self) -> tuple[Urgency, int]:
        """Sort key: the smallest goes first."""
        return self.order.turn.urgency(), self.order.number

    def begin(self, studio: Studio) -> None:
        """Find out what it wants first; nothing that needs a turn is done."""
        self._life = Life(
            studio=studio, spec=self.order.spec, picture_id=self.order.turn.picture_id
        )
        self._running = self._life.run()
        self.advance()

    def advance(self) -> None:
        """Do the work whose turn has come, up to the next step boundary."""
        if self._running is None:
            return
        try:
            self.work = next(self._running)
        except StopIteration as end:
            self._end(end.value)
        except Exception as error:  # noqa: BLE001
            # Whatever goes wrong ends this picture alone; who reads the mailbox raises it.
            self.fail(OutOfMemoryError(str(error)) if is_out_of_memory(error) else error)

    def fail(self, error: Exception) -> None:
        """End it with an error that happened while it was stepped; it is not taken up again."""
        self._close()
        if self._life is not None:
            self._life.forget()
        self._end(Died(error))

    def stop(self, error: Exception) -> None:
        """End it with an error that is not its own; its snapshot stays."""
        self._close()
        self._end(Died(error))

    def cancel(self) -> None:
        """End it without news; nobody listens any more."""
        self._close()
        self._end(None)

    def tell(self, phase: Phase) -> None:
        """Post how far it is; a phase that has no steps is told once."""
        life = self._life
        if life is not None and not self.ended and (phase == "drawing" or phase != self._told):
            self._told = phase
            self.order.mailbox.post(Progress(phase, life.step, life.steps, life.showing.take()))

    def _close(self) -> None:
        if self._running is not None:
            self._running.close()

    def let_go(self) -> None:
        """Tell who waits for it that it has ended; its turn must have been left by then."""
        if self._news is not None:
            self.order.mailbox.post(self._news)
        self.order.freed.set_result(None)

    def _end(self, news: Drawn | Died | None) -> None:
        self.work = None
        self._news = news
        self.ended = True
