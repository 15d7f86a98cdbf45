"""The thread's loop: before every step it asks for a turn and chooses who steps."""

from collections.abc import Sequence
from contextlib import ExitStack

from engines.diffusers.batches import is_out_of_memory
from engines.diffusers.choice import choose
from engines.diffusers.drawing import Drawing
from engines.diffusers.loader import empty_cache, synchronize
from engines.diffusers.order import Order
from engines.diffusers.session import Session
from engines.diffusers.stepper import step
from engines.diffusers.studio import Studio
from engines.diffusers.tidying import Tidying
from engines.errors import EngineDownError, OutOfMemoryError


class Runner:
    """Holds the pictures that are being drawn and moves them, one piece of work at a time."""

    def __init__(self, *, studio: Studio) -> None:
        self._studio = studio
        self._tidying = Tidying(studio)
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
        self._let_go()
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
        self._let_go()
        self._studio.network.prepare()
        return bool(chosen)

    def close(self) -> None:
        """End every picture that is not finished."""
        for drawing in self._drawings:
            if not drawing.ended:
                drawing.stop(EngineDownError("the engine is closed"))
        self._let_go()

    def _let_go(self) -> None:
        """Hand back the pictures that have ended; nobody may hear of it inside their turns."""
        ended = [drawing for drawing in self._drawings if drawing.ended]
        if not ended:
            return
        self._drawings = [drawing for drawing in self._drawings if not drawing.ended]
        self._tidying.after_picture()
        if not self._drawings:
            self._tidying.when_idle()
        for drawing in ended:
            drawing.let_go()

    def _work(self, chosen: Sequence[Drawing]) -> None:
        """Do what the chosen pictures want next; their turns are held."""
        if chosen and chosen[0].group is not None:
            for drawing in self._stepped(chosen):
                drawing.advance()
                drawing.tell("drawing")
            # Only now: what was done above ran while the device was still busy with the step.
            synchronize(self._studio.device)
            return
        for drawing in chosen:
            if drawing.work is not None:
                drawing.tell(drawing.work.phase)
            drawing.advance()

    def _stepped(self, chosen: Sequence[Drawing]) -> Sequence[Drawing]:
        """Step pictures of one group in one call and return those that moved."""
        sessions = [one.work.session for one in chosen if one.work and one.work.session]
        stood = [session.latents for session in sessions]
        try:
            self._step(chosen[0], sessions)
        except Exception as error:  # noqa: BLE001
            moved = [s.latents is not before for s, before in zip(sessions, stood, strict=True)]
            rest = [one for one, done in zip(chosen, moved, strict=True) if not done]
            apart = self._apart(rest or chosen[:1], error, together=len(chosen))
            return [*apart, *(one for one in chosen if one not in rest and not one.ended)]
        return chosen

    def _step(self, leader: Drawing, sessions: Sequence[Session]) -> None:
        studio, work = self._studio, leader.work
        if work is None or leader.group is None:
            return
        group = leader.group
        checkpoint = studio.dressed(work.model, work.rung, loras=group.loras, tiling=group.tiling)
        with studio.batches.watched(group, len(sessions)):
            step(sessions, checkpoint, network=studio.network, guides=studio.guides)

    def _apart(
        self, chosen: Sequence[Drawing], error: Exception, *, together: int
    ) -> Sequence[Drawing]:
        """Answer a failed call: find out whose fault it was by stepping one at a time.

        Those who were stepped before it failed are not among the `chosen`. A call that was too
        large moves nothing more now; the next one is smaller, or has more room.
        """
        group, work, short = chosen[0].group, chosen[0].work, is_out_of_memory(error)
        if short:
            empty_cache(self._studio.device)
        if together == 1 and short and work and self._studio.makes_room(work.model, work.rung):
            return []
        if together == 1 or (len(chosen) == 1 and not short):
            chosen[0].fail(OutOfMemoryError(str(error)) if short else error)
            return []
        if short and group is not None:
            self._studio.batches.shrink(group, together)
            return []
        return [moved for one in chosen for moved in self._stepped([one])]
