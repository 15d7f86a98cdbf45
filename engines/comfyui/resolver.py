"""Finds out what the server calls the things that a spec names, and brings its pictures there."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from engines.comfyui.binding import Role
from engines.comfyui.canvas import IMAGE_METHODS, Names
from engines.comfyui.client import FOLDER, Client
from engines.comfyui.naming import Method, find_file, find_method, samplers_of
from engines.comfyui.sketch import class_of
from engines.comfyui.template import PREFIX, Template
from engines.errors import ModelNotFoundError
from engines.inputs import Inputs
from engines.samplers import Samplers
from engines.spec import LATENT, GenerationSpec, InputRef, Lora

_ENDINGS: Final = ((b"\x89PNG", "png"), (b"\xff\xd8", "jpg"), (b"RIFF", "webp"))


class Resolver:
    """Asks one server, every time anew: files come and go while it runs."""

    def __init__(self, *, client: Client, inputs: Inputs) -> None:
        self._client = client
        self._inputs = inputs

    async def names(self, spec: GenerationSpec, prompt_id: str) -> Names:
        """Resolve for the built-in workflows.

        Raises:
            InvalidSpecError: the server does not have what the spec names.
            LostError: the server could not be asked.
        """
        method = await self._method(spec.sampler)
        return Names(
            checkpoint=await self._checkpoint(spec.model, "model"),
            sampler=method.sampler,
            scheduler=method.scheduler,
            prefix=_prefix(prompt_id),
            loras=await self._loras(spec.loras),
            controls=await self._controls(spec),
            refiner=await self._checkpoint(spec.refiner.model, "refiner") if spec.refiner else None,
            upscalers=await self._upscalers(spec),
            images=await self._images(spec),
        )

    async def template_names(
        self, spec: GenerationSpec, prompt_id: str, template: Template
    ) -> Names:
        """Resolve for a workflow of the user's; what they had set is left empty.

        Raises:
            InvalidSpecError: the server does not have what the spec names.
            LostError: the server could not be asked.
        """
        method = Method("", "")
        if template.binding.get(Role.SAMPLER) and spec.sampler != template.defaults.sampler:
            method = await self._method(spec.sampler)
        return Names(
            checkpoint=await self._template_model(spec.model, template),
            sampler=method.sampler,
            scheduler=method.scheduler,
            prefix=_prefix(prompt_id),
            images=await self._images(spec),
        )

    async def samplers(self) -> Samplers:
        """Ask what the server draws with.

        Raises:
            LostError: the server could not be asked, or has another node of that name.
        """
        return samplers_of(*await self._methods())

    async def _method(self, sampler: str) -> Method:
        return find_method(sampler, *await self._methods())

    async def _methods(self) -> tuple[Sequence[str], Sequence[str]]:
        samplers, schedulers = await self._client.options("KSampler", "sampler_name", "scheduler")
        return samplers, schedulers

    async def _checkpoint(self, model: str, field: str) -> str:
        files = await self._client.files("checkpoints")
        if model:
            return find_file(model, files, what="checkpoint", field=field)
        if not files:
            raise ModelNotFoundError("the server has no checkpoint at all", field=field)
        return files[0]

    async def _template_model(self, model: str, template: Template) -> str:
        if not model or model.startswith(PREFIX):
            return ""
        for target in template.binding.get(Role.MODEL, ()):
            node_class = class_of(template.graph, target.node)
            [files] = await self._client.options(node_class, target.field)
            return find_file(model, files, what="model", field="model")
        return model

    async def _loras(self, loras: tuple[Lora, ...]) -> tuple[Lora, ...]:
        files = await self._client.files("loras") if loras else []
        return tuple(
            Lora(find_file(lora.name, files, what="LoRA", field="loras"), lora.weight)
            for lora in loras
        )

    async def _controls(self, spec: GenerationSpec) -> tuple[str, ...]:
        files = await self._client.files("controlnet") if spec.controls else []
        return tuple(
            find_file(control.model, files, what="ControlNet", field="controls")
            for control in spec.controls
        )

    async def _upscalers(self, spec: GenerationSpec) -> dict[str, str]:
        asked = {}
        if spec.hires is not None and spec.hires.upscaler != LATENT:
            asked[spec.hires.upscaler] = "hires"
        if spec.upscale is not None:
            asked[spec.upscale.upscaler] = "upscale"
        asked = {name: field for name, field in asked.items() if name not in IMAGE_METHODS}
        files = await self._client.files("upscale_models") if asked else []
        return {
            name: find_file(name, files, what="upscaler", field=field)
            for name, field in asked.items()
        }

    async def _images(self, spec: GenerationSpec) -> dict[InputRef, str]:
        return {ref: await self._uploaded(ref) for ref in _refs(spec)}

    async def _uploaded(self, ref: InputRef) -> str:
        data = await asyncio.to_thread(self._inputs.read, ref)
        ending = next((ending for start, ending in _ENDINGS if data.startswith(start)), "png")
        return await self._client.upload(f"{ref}.{ending}", data)


def _refs(spec: GenerationSpec) -> Iterable[InputRef]:
    refs = [spec.init_image, spec.mask if spec.init_image else None]
    return dict.fromkeys(ref for ref in (*refs, *(c.image for c in spec.controls)) if ref)


def _prefix(prompt_id: str) -> str:
    return f"{FOLDER}/{prompt_id}"
