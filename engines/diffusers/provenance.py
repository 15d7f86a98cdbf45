"""Names every file that took part in a picture, by its SHA-256."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from engines.base import Json, Shortfall
from engines.diffusers.kinds import Kind
from engines.diffusers.library import Library, Shelved
from engines.diffusers.mailbox import Drawn
from engines.diffusers.names import UPSCALER_MISSING
from engines.spec import LANCZOS, LATENT, GenerationSpec


def digests_of(
    spec: GenerationSpec, drawn: Drawn, library: Library
) -> tuple[dict[str, Json], Sequence[Shortfall]]:
    """Return the digests of a picture's files; the first time a file is read whole.

    Args:
        spec: What was drawn.
        drawn: What came of it; an upscaler that did not act is not named.
        library: Counts the files.

    Returns:
        The digests, and which files cannot be named any more.
    """
    count = _Count(drawn, library)
    model = drawn.files["checkpoint", spec.model]
    facts: dict[str, Json] = {"model_sha256": count.of(model)}
    if model.vae is not None:
        facts["vae_sha256"] = count.of(model.vae)
    if spec.loras:
        facts["loras"] = [
            {"name": one.name, "weight": one.weight, "sha256": count("lora", one.name)}
            for one in spec.loras
        ]
    if spec.controls:
        facts["controls"] = [
            {"model": one.model, "weight": one.weight, "sha256": count("controlnet", one.model)}
            for one in spec.controls
        ]
    if spec.refiner is not None:
        facts["refiner_sha256"] = count("checkpoint", spec.refiner.model)
    upscalers = _upscalers(spec, drawn.shortfalls)
    if upscalers:
        facts["upscalers"] = [
            {"name": name, "sha256": count("upscaler", name)} for name in upscalers
        ]
    return facts, count.short


@dataclass(slots=True)
class _Count:
    """Counts the files of one picture; `short` has those that it could not."""

    drawn: Drawn
    library: Library
    short: list[Shortfall] = field(default_factory=list)

    def __call__(self, kind: Kind, name: str) -> str | None:
        """Return the digest of a file as the request calls it."""
        return self.of(self.drawn.files[kind, name])

    def of(self, file: Shelved) -> str | None:
        """Return a file's digest; none where it is no longer what was drawn with.

        The picture is finished by now: it is worth more than the name of one of its files.
        """
        try:
            if file.unchanged:
                return self.library.digest(file)
        except OSError:
            pass
        detail = f"{file.info.name} was changed while it was drawn with: what it was is not known"
        self.short.append(Shortfall("file_changed", detail))
        return None


def _upscalers(spec: GenerationSpec, shortfalls: Sequence[Shortfall]) -> Sequence[str]:
    """Return the names of the upscaler models that acted."""
    if any(short.code == UPSCALER_MISSING for short in shortfalls):
        return ()
    asked = {part.upscaler for part in (spec.hires, spec.upscale) if part is not None}
    return sorted(asked - {LANCZOS, LATENT})
