"""The thread's loop: before every step it asks for a turn and chooses who steps."""

from collections.abc import Sequence
from contextlib import ExitStack

from engines.diffusers.batches import is_out_of_memory
from engines.diffusers.choice import choose
from engines.diffusers.drawing import Drawing
from engines.diffusers.loader import empty_cache, synchronize
from engines.diffusers.order import Order
from engines.diffusers.stepper import step
from engines.diffusers.studio import Studio
from engines.errors import EngineDownError, OutOfMemoryError


class Runner:
    """Holds the pictures that are being drawn and moves them, one piece of work at a time."""

    def __init__(self, *, studio: Studio) -> None:
        self._studio = studio
        self._drawings: list[Drawing] = []

    def admit(self, order: Order) -> None:
        """Take a new picture in."""
        drawing = Drawing(order)
        self._drawings.append(drawing)
        if not order.cancelled:
            drawing.begin(self._studio)

    def round(self) -> bool:
        """Do one piece of work; False when nobody has work that may be done now."""
        for drawing in self._drawings:
            if drawing.order.cancelled and not drawing.ended:
                drawing.cancel()
        self._drawings = [drawing for drawing in self._drawings if not drawing.ended]
        ranked = sorted(self._drawings, key=Drawing.rank)
        with ExitStack() as turns:

            def enters(drawing: Drawing) -> bool:
                if drawing.order.turn.enter():
                    turns.callback(drawing.order.turn.leave)
                    return True
                drawing.tell("parked")
                return False

            chosen = choose(ranked, enters=enters, limit=self._studio.batches.limit)
            self._work(chosen)
        return bool(chosen)

    def close(self) -> None:
        """End every picture that is not finished."""
        for drawing in self._drawings:
            if not drawing.ended:
                drawing.fail(EngineDownError("the engine is closed"))

    def _work(self, chosen: Sequence[Drawing]) -> None:
        """Do what the chosen pictures want next; their turns are held."""
        if chosen and chosen[0].group is not None:
            if self._stepped(chosen):
                for drawing in chosen:
                    drawing.advance()
                    drawing.tell("drawing")
            return
        for drawing in chosen:
            if drawing.work is not None:
                drawing.tell(drawing.work.phase)
            drawing.advance()

    def _stepped(self, chosen: Sequence[Drawing]) -> bool:
        """Step pictures of one group in one call.

        False when nothing moved: the call was too large and the next one will be smaller, or
        the only picture in it could not be stepped and has failed.
        """
        work = chosen[0].work
        sessions = [one.work.session for one in chosen if one.work and one.work.session]
        if work is None:
            return False
        try:
            checkpoint = self._studio.loader.get(work.model)
            step(sessions, checkpoint, network=self._studio.network)
            synchronize(checkpoint.device)
        except Exception as error:  # noqa: BLE001
            self._give_way(error, chosen)
            return False
        return True

    def _give_way(self, error: Exception, chosen: Sequence[Drawing]) -> None:
        """Answer a failed call: fewer pictures at once, else the end of the one in it."""
        short = is_out_of_memory(error)
        if short:
            empty_cache(self._studio.device)
        if len(chosen) > 1:
            self._studio.batches.halve()
        elif short:
            chosen[0].fail(OutOfMemoryError(str(error)))
        else:
            chosen[0].fail(error)
