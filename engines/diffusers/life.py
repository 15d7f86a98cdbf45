"""The life of one picture in the drawing thread, from its spec to its pixels."""

import importlib.metadata
from collections.abc import Generator

import torch

from engines.base import Json, Shortfall
from engines.diffusers.checkpoint import Checkpoint
from engines.diffusers.encoding import encode
from engines.diffusers.library import Shelved
from engines.diffusers.mailbox import Drawn
from engines.diffusers.pixels import NotFiniteError, Pixels, cover, decode, fit, is_flat
from engines.diffusers.samplers import SamplerRun
from engines.diffusers.session import Group, Session
from engines.diffusers.studio import Studio
from engines.diffusers.work import Work
from engines.errors import BadPictureError, InvalidSpecError
from engines.spec import GenerationSpec


class Life:
    """One picture's way through its phases.

    `run` yields before every piece of work; between two yields nothing of another picture
    happens. While it waits at a `drawing` yield, the runner steps the session.

    Attributes:
        step: Network calls done, of `steps` in all.
    """

    def __init__(self, *, studio: Studio, spec: GenerationSpec, picture_id: str) -> None:
        self._studio = studio
        self._spec = spec
        self._id = picture_id
        self._shortfalls: list[Shortfall] = []
        self._size = (0, 0)
        self.step = 0
        self.steps = spec.steps

    def take_preview(self) -> bytes | None:
        """Return the preview that was made since the last call, if any."""
        return None

    def run(self) -> Generator[Work, None, Drawn]:
        """Walk the picture through its phases.

        Raises:
            EngineError: it cannot be drawn.
        """
        model = self._studio.library.find(self._spec.model)
        self._check(model)
        self._size = self._fitted(model)
        while True:
            try:
                pixels = yield from self._attempt(model)
            except NotFiniteError:
                self._climb(model)
            else:
                return Drawn(self._framed(pixels), self._facts(model), tuple(self._shortfalls))

    def _check(self, model: Shelved) -> None:
        if self._spec.sampler in model.info.refused_samplers:
            raise InvalidSpecError(
                f"{model.info.name} cannot be drawn with {self._spec.sampler}", field="sampler"
            )

    def _fitted(self, model: Shelved) -> tuple[int, int]:
        spec, bounds = self._spec, model.info.bounds
        size = fit(spec.width, spec.height, bounds)
        if size != (spec.width, spec.height):
            self._shortfalls.append(
                Shortfall(
                    "size_outside_model",
                    f"{model.info.name} draws {bounds.least} to {bounds.most} pixels a side in "
                    f"multiples of 8: drawn at {size[0]}x{size[1]}, then resized to "
                    f"{spec.width}x{spec.height}",
                    field="width",
                )
            )
        return size

    def _attempt(self, model: Shelved) -> Generator[Work, None, Pixels]:
        studio = self._studio
        if not studio.loader.holds(model):
            yield Work("loading", model)
            studio.loader.get(model)
        yield Work("encoding", model)
        session = self._begin(studio.loader.get(model))
        self.step, self.steps = session.sampler.done, session.sampler.steps
        while not session.finished:
            yield Work("drawing", model, session)
            self.step = session.sampler.done
        if not bool(torch.isfinite(session.latents).all()):
            raise NotFiniteError
        yield Work("decoding", model)
        return self._decode(session.latents, studio.loader.get(model))

    def _begin(self, checkpoint: Checkpoint) -> Session:
        spec, (width, height) = self._spec, self._size
        generator = torch.Generator().manual_seed(spec.seed)
        scale = checkpoint.latent_scale
        channels = checkpoint.vae.config.latent_channels
        shape = torch.Size((1, channels, height // scale, width // scale))
        conditioning = encode(spec, checkpoint, size=self._size, cache=self._studio.prompts)
        sampler = SamplerRun(
            name=spec.sampler,
            config=checkpoint.scheduler_config,
            steps=spec.steps,
            generator=generator,
            shape=shape,
            device=checkpoint.device,
        )
        noise = torch.randn(shape, generator=generator).to(checkpoint.device)
        group = Group(
            model=checkpoint.shelved.mark,
            rung=checkpoint.rung.name,
            shape=tuple(shape),
            rows=conditioning.rows,
            tokens=conditioning.embeds.shape[1],
            loras=spec.loras,
            tiling=spec.tiling,
            guides=(),
            alone=self._id if spec.reproducible else "",
        )
        return Session(
            group=group,
            latents=sampler.from_noise(noise),
            sampler=sampler,
            conditioning=conditioning,
            cfg=spec.cfg,
        )

    def _decode(self, latents: torch.Tensor, checkpoint: Checkpoint) -> Pixels:
        width, height = self._size
        limit = self._studio.settings.tile_pixels or self._studio.rules.tile_pixels
        return decode(latents, checkpoint, tiled=width * height > limit)

    def _climb(self, model: Shelved) -> None:
        """Go one rung up the precision ladder, and remember it for this model.

        Raises:
            BadPictureError: there is no rung above.
        """
        ladder = self._studio.ladder
        above = ladder.above(ladder.rung(model.mark), decoder_only=False)
        if above is None:
            raise BadPictureError("the numbers ran over at every precision")
        ladder.remember(model.mark, above)

    def _framed(self, pixels: Pixels) -> Pixels:
        if is_flat(pixels):
            self._shortfalls.append(Shortfall("flat_picture", "the picture is one single colour"))
        return cover(pixels, *self._spec.output_size)

    def _facts(self, model: Shelved) -> dict[str, Json]:
        studio = self._studio
        return {
            "model": model.info.name,
            "base": model.info.base,
            "sampler": self._spec.sampler,
            "precision": studio.ladder.rung(model.mark).name,
            "device": studio.device_name,
            "drawn_size": list(self._size),
            "versions": {
                name: importlib.metadata.version(name)
                for name in ("torch", "diffusers", "transformers")
            },
        }
