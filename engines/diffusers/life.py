"""The life of one picture in the drawing thread, from its spec to its pixels."""

from collections.abc import Generator
from typing import TypeVar

import torch

from engines.base import Phase, Shortfall
from engines.diffusers.canvas import Canvas
from engines.diffusers.developing import Developed, develop
from engines.diffusers.facts import facts_of
from engines.diffusers.finishing import finish
from engines.diffusers.mailbox import Drawn
from engines.diffusers.opening import idle_guides, open_session, snapshot_of
from engines.diffusers.pixels import NotFiniteError, Pixels, is_flat
from engines.diffusers.plan import Pass, Plan, idle, make_plan
from engines.diffusers.precision import Rung
from engines.diffusers.session import Session
from engines.diffusers.showing import Showing
from engines.diffusers.snapshot import Snapshot, circumstances
from engines.diffusers.studio import Studio
from engines.diffusers.work import Work
from engines.errors import BadPictureError
from engines.spec import LATENT, GenerationSpec

_T = TypeVar("_T")
Walk = Generator[Work, None, _T]
"""Work that waits before every piece of it."""


class Life:
    """One picture's way through its phases.

    `run` yields before every piece of work. While it waits at a `drawing` yield, the runner
    steps the session; all other work it does itself when it is resumed.

    Attributes:
        showing: Its previews.
        step: Network calls done, of `steps` in all passes.
    """

    def __init__(self, *, studio: Studio, spec: GenerationSpec, picture_id: str) -> None:
        self._studio = studio
        self._spec = spec
        self._id = picture_id
        self._under = ""
        self._rungs: dict[str, Rung] = {}
        """Precision by model: each picture climbs by itself and stays where it is."""
        self._shortfalls: list[Shortfall] = []
        self._generator = torch.Generator()
        self._part: Pass | None = None
        self._session: Session | None = None
        """The one that was drawn last, of the pass `_index`; what a snapshot is taken of."""
        self._index = 0
        self._saved = studio.clock()
        self.showing = Showing(studio)
        self.step = 0
        self.steps = spec.steps

    def forget(self) -> None:
        """Drop the picture's snapshot: it will not be taken up again."""
        self._studio.snapshots.drop(self._id)

    def run(self) -> Walk[Drawn]:
        """Walk the picture through its phases; closed half-way, it leaves a snapshot behind.

        Raises:
            EngineError: it cannot be drawn.
        """
        studio, spec = self._studio, self._spec
        plan = make_plan(spec, studio.library)
        models = [part.model.mark for part in plan.passes]
        self._rungs = {mark: studio.ladder.rung(mark) for mark in models}
        try:
            pixels, decoder = yield from self._sound(plan)
            # Now, as others may use the models while it is enlarged.
            network = self._rungs[plan.passes[0].model.mark].network
            facts = facts_of(spec, plan, studio.device_name, network=network, decoder=decoder)
            finishing = finish(pixels, spec, inputs=studio.inputs, upscalers=studio.upscalers)
            pixels, more = yield from self._in_turns(finishing, "decoding", plan.passes[-1])
        except GeneratorExit:
            self._keep()
            raise
        self.forget()
        return Drawn(pixels, facts, plan.files, (*self._shortfalls, *more))

    def _sound(self, plan: Plan) -> Walk[Developed]:
        """Draw and decode; a broken picture is drawn again higher up the precision ladder."""
        last = plan.passes[-1]
        while True:
            try:
                latents = yield from self._draw(plan)
                pixels, decoder = yield from self._developed(latents, last)
            except NotFiniteError:
                if not self._climbs():
                    raise BadPictureError("the numbers ran over at every precision") from None
                continue
            if not is_flat(pixels):
                for mark, rung in self._rungs.items():
                    self._studio.ladder.remember(mark, rung)
                self._studio.ladder.remember(last.model.mark, decoder.rung)
                return pixels, decoder
            if not self._climbs():
                # As flat at the best precision as at the worst: it was drawn so.
                self._shortfalls.append(Shortfall("flat_picture", "it is one single colour"))
                return pixels, decoder

    def _draw(self, plan: Plan) -> Walk[torch.Tensor]:
        """Draw every pass and return the latents of the last; a snapshot skips what is done."""
        kept = self._taken_up(plan)
        ended: Canvas | None = None
        counts = [part.steps for part in plan.passes]
        for index, part in enumerate(plan.passes):
            if kept is not None and index < kept.part:
                continue
            self._part = part
            session = yield from self._opened(part, ended, kept)
            self._session, self._index = session, index
            if kept is None:
                self._shortfalls += idle(part, session.sampler.steps) + idle_guides(session)
            kept = None
            counts[index] = session.sampler.steps
            self.steps = sum(counts)
            yield from self._walk(session, part, before=sum(counts[:index]))
            ended = Canvas(session.latents, session.frame)
            if not bool(torch.isfinite(ended.latents).all()):
                raise NotFiniteError
        if ended is None:
            raise NotFiniteError
        return ended.latents

    def _taken_up(self, plan: Plan) -> Snapshot | None:
        """Stand where a snapshot stood, or at the beginning where there is none."""
        studio = self._studio
        self._under = circumstances(
            self._spec,
            marks=plan.marks,
            rungs=tuple(rung.name for rung in self._rungs.values()),
            device=studio.device_name,
        )
        kept = studio.snapshots.read(self._id, under=self._under)
        self._session, self.step = None, 0
        self._generator.manual_seed(self._spec.seed)
        self._shortfalls = list(plan.shortfalls if kept is None else kept.shortfalls)
        if kept is not None:
            self._generator.set_state(kept.tensors["generator"])
        return kept

    def _opened(self, part: Pass, before: Canvas | None, kept: Snapshot | None) -> Walk[Session]:
        """Load the model and prepare the first step of a pass."""
        rung = self._rungs[part.model.mark]
        if not self._studio.loader.holds(part.model, rung):
            yield Work("loading", part.model, rung)
            self._studio.loader.get(part.model, rung)
        larger = None
        if before is not None:
            larger = yield from self._enlarged(part, before)
        yield Work("encoding", part.model, rung)
        return open_session(
            part,
            self._spec,
            self._studio,
            rung=rung,
            picture_id=self._id,
            generator=self._generator,
            before=before,
            larger=larger,
            kept=kept,
        )

    def _enlarged(self, part: Pass, before: Canvas) -> Walk[Pixels | None]:
        """Return the larger picture on which a second pass begins; None if it begins on latents."""
        spec = self._spec
        if part.start != "enlarged" or spec.hires is None or spec.hires.upscaler == LATENT:
            return None
        pixels, _ = yield from self._developed(before.latents, part)
        enlarging = self._studio.upscalers.enlarge(
            pixels,
            upscaler=spec.hires.upscaler,
            size=part.size,
            field="hires",
            tiling=spec.tiling,
        )
        larger, short = yield from self._in_turns(enlarging, "decoding", part)
        self._shortfalls += short
        return larger

    def _developed(self, latents: torch.Tensor, part: Pass) -> Walk[Developed]:
        rung = self._rungs[part.model.mark]
        return develop(latents, part, rung, tiling=self._spec.tiling, studio=self._studio)

    def _walk(self, session: Session, part: Pass, *, before: int) -> Walk[None]:
        """Wait through the steps of one pass; `before` were done in earlier ones."""
        work = Work("drawing", part.model, self._rungs[part.model.mark], session)
        self.step = before + session.sampler.done
        while not session.finished:
            yield work
            self.step = before + session.sampler.done
            self.showing.look(session, work)
            every = self._studio.settings.snapshot_seconds
            if 0 < every <= self._studio.clock() - self._saved:
                self._keep()

    def _in_turns(self, waiting: Generator[None, None, _T], phase: Phase, part: Pass) -> Walk[_T]:
        """Go through with what may wait half-way; each of its waits is a step boundary."""
        while True:
            try:
                next(waiting)
            except StopIteration as end:
                result: _T = end.value
                return result
            yield Work(phase, part.model, self._rungs[part.model.mark])

    def _keep(self) -> None:
        """Write a snapshot, if anything was drawn that is worth one."""
        if self._session is None or not self.step:
            return
        snapshot = snapshot_of(
            self._session,
            part=self._index,
            generator=self._generator,
            shortfalls=tuple(self._shortfalls),
        )
        self._studio.snapshots.write(self._id, snapshot, under=self._under)
        self._saved = self._studio.clock()

    def _climbs(self) -> bool:
        """Go up the precision ladder with the model that drew last; False at the top."""
        if self._part is None:
            return False
        mark = self._part.model.mark
        above = self._studio.ladder.wider_network(self._rungs[mark])
        if above is not None:
            self.forget()
            self._rungs[mark] = above
        return above is not None
