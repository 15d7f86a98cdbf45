"""The life of one picture in the drawing thread, from its spec to its pixels."""

from collections.abc import Generator
from concurrent.futures import Future

import torch

from engines.base import Shortfall
from engines.diffusers.batches import is_out_of_memory
from engines.diffusers.canvas import Canvas
from engines.diffusers.facts import facts_of
from engines.diffusers.finishing import finish
from engines.diffusers.loader import empty_cache
from engines.diffusers.mailbox import Drawn
from engines.diffusers.opening import open_session, snapshot_of
from engines.diffusers.pixels import NotFiniteError, Pixels, decode, is_flat
from engines.diffusers.plan import Pass, Plan, make_plan
from engines.diffusers.session import Session
from engines.diffusers.snapshot import circumstances
from engines.diffusers.studio import Studio
from engines.diffusers.work import Work
from engines.errors import BadPictureError, OutOfMemoryError
from engines.spec import GenerationSpec

Walk = Generator[Work, None, torch.Tensor]
Finished = tuple[Pixels, tuple[Shortfall, ...]]


class Life:
    """One picture's way through its phases.

    `run` yields before every piece of work. While it waits at a `drawing` yield, the runner
    steps the session; all other work it does itself when it is resumed.

    Attributes:
        step: Network calls done, of `steps` in all passes.
    """

    def __init__(self, *, studio: Studio, spec: GenerationSpec, picture_id: str) -> None:
        self._studio = studio
        self._spec = spec
        self._id = picture_id
        self._under = ""
        self._shortfalls: list[Shortfall] = []
        self._preview: Future[bytes] | None = None
        self._untold: bytes | None = None
        self._previewed = self._saved = studio.clock()
        self.step = 0
        self.steps = spec.steps

    def take_preview(self) -> bytes | None:
        """Return the preview that was finished since the last call, if any."""
        if self._preview is not None and self._preview.done():
            self._untold = self._preview.result() or None
            self._preview = None
        preview, self._untold = self._untold, None
        return preview

    def forget(self) -> None:
        """Drop the picture's snapshot: it will not be taken up again."""
        self._studio.snapshots.drop(self._id)

    def run(self) -> Generator[Work, None, Drawn]:
        """Walk the picture through its phases; closed half-way, it leaves a snapshot behind.

        Raises:
            EngineError: it cannot be drawn.
        """
        studio, spec = self._studio, self._spec
        plan = make_plan(spec, studio.library)
        self._shortfalls += plan.shortfalls
        latents = None
        while latents is None:
            try:
                latents = yield from self._draw(plan)
            except NotFiniteError:
                self._climb(plan.passes[0])
        pixels = yield from self._develop(latents, plan.passes[-1])
        # Now, as others may use the models while it is enlarged.
        facts = facts_of(spec, plan, studio)
        pixels, more = yield from self._finish(pixels, plan.passes[-1])
        self.forget()
        return Drawn(pixels, facts, (*self._shortfalls, *more))

    def _draw(self, plan: Plan) -> Walk:
        """Draw every pass and return the latents of the last; a snapshot skips what is done."""
        studio = self._studio
        rung = studio.ladder.rung(plan.passes[0].model.mark).name
        self._under = circumstances(
            self._spec, marks=plan.marks, rung=rung, device=studio.device_name
        )
        kept = studio.snapshots.read(self._id, under=self._under)
        generator = torch.Generator().manual_seed(self._spec.seed)
        if kept is not None:
            generator.set_state(kept.tensors["generator"])
        ended: Canvas | None = None
        counts = [part.steps for part in plan.passes]
        for index, part in enumerate(plan.passes):
            if kept is not None and index < kept.part:
                continue
            yield from self._prepare(part)
            session = open_session(
                part,
                self._spec,
                studio,
                picture_id=self._id,
                generator=generator,
                before=ended,
                kept=kept,
            )
            kept = None
            counts[index] = session.sampler.steps
            self._shortfalls += session.shortfalls
            self.steps = sum(counts)
            yield from self._walk(session, part, index, generator, before=sum(counts[:index]))
            ended = Canvas(session.latents, session.frame)
        if ended is None or not bool(torch.isfinite(ended.latents).all()):
            raise NotFiniteError
        return ended.latents

    def _prepare(self, part: Pass) -> Generator[Work, None, None]:
        if not self._studio.loader.holds(part.model):
            yield Work("loading", part.model)
            self._studio.loader.get(part.model)
        yield Work("encoding", part.model)

    def _walk(
        self, session: Session, part: Pass, index: int, generator: torch.Generator, *, before: int
    ) -> Generator[Work, None, None]:
        """Wait through the steps of one pass; `before` were done in earlier ones."""
        self.step = before + session.sampler.done
        try:
            while not session.finished:
                yield Work("drawing", part.model, session)
                self.step = before + session.sampler.done
                self._look(session, part)
                if 0 < self._studio.settings.snapshot_seconds <= self._since(self._saved):
                    self._keep(session, index, generator)
        except GeneratorExit:
            if self.step:
                self._keep(session, index, generator)
            raise

    def _since(self, moment: float) -> float:
        return self._studio.clock() - moment

    def _keep(self, session: Session, index: int, generator: torch.Generator) -> None:
        snapshot = snapshot_of(session, part=index, generator=generator)
        self._studio.snapshots.write(self._id, snapshot, under=self._under)
        self._saved = self._studio.clock()

    def _look(self, session: Session, part: Pass) -> None:
        if not 0 < self._studio.settings.preview_seconds <= self._since(self._previewed):
            return
        # Where every step takes longer than that, the last one's preview is still to be told.
        self._untold = self.take_preview()
        if self._preview is not None:
            return
        checkpoint = self._studio.loader.get(part.model)
        self._preview = self._studio.previews.make(session.sampler.clean, checkpoint)
        self._previewed = self._studio.clock()

    def _develop(self, latents: torch.Tensor, part: Pass) -> Generator[Work, None, Pixels]:
        """Decode; a broken picture is decoded again higher up the precision ladder."""
        ladder, mark = self._studio.ladder, part.model.mark
        start = ladder.rung(mark)
        while True:
            yield Work("decoding", part.model)
            try:
                pixels = self._decode(latents, part)
            except NotFiniteError:
                pixels = None
            if pixels is not None and not is_flat(pixels):
                ladder.remember()
                return pixels
            above = ladder.above(ladder.rung(mark), decoder_only=True)
            if above is not None:
                ladder.set(mark, above)
            elif pixels is None:
                raise BadPictureError("the decoder's numbers ran over at every precision")
            else:
                # As flat at the best precision as at the worst: it was drawn so.
                ladder.set(mark, start)
                self._shortfalls.append(Shortfall("flat_picture", "it is one single colour"))
                return pixels

    def _decode(self, latents: torch.Tensor, part: Pass) -> Pixels:
        studio = self._studio
        checkpoint = studio.dressed(part.model, loras=part.loras, tiling=self._spec.tiling)
        large = part.size[0] * part.size[1] > studio.tile_pixels
        try:
            return decode(latents, checkpoint, tiled=large)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        empty_cache(studio.device)
        try:
            return decode(latents, checkpoint, tiled=True)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise OutOfMemoryError(f"even decoding in tiles: {error}") from error
            raise

    def _finish(self, pixels: Pixels, part: Pass) -> Generator[Work, None, Finished]:
        """Enlarge and trim; each tile of an upscaler waits for its turn."""
        studio = self._studio
        finishing = finish(pixels, self._spec, inputs=studio.inputs, upscalers=studio.upscalers)
        while True:
            try:
                next(finishing)
            except StopIteration as end:
                finished: Finished = end.value
                return finished
            yield Work("decoding", part.model)

    def _climb(self, part: Pass) -> None:
        """Go up the precision ladder and begin again.

        Raises:
            BadPictureError: there is no rung above.
        """
        ladder, mark = self._studio.ladder, part.model.mark
        above = ladder.above(ladder.rung(mark), decoder_only=False)
        self.forget()
        if above is None:
            raise BadPictureError("the numbers ran over at every precision")
        ladder.set(mark, above)
