"""From a spec to everything that the server is told, and the wishes it cannot grant; pure."""

from dataclasses import dataclass, field

from engines.a1111.methods import Method, find_method
from engines.a1111.passes import Call, Passes, ReadInput, as_text
from engines.a1111.stock import Checkpoint, Stock
from engines.base import Json, Shortfall
from engines.errors import InvalidSpecError, ModelNotFoundError
from engines.prompts import take_loras, with_loras
from engines.spec import GenerationSpec, Tiling

_PREVIEW_EVERY_STEPS = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """The calls that draw a spec, one after another, and what they promise.

    Attributes:
        checkpoint: What must have drawn it.
        method: How it must have been drawn.
        loras: Adapters by the names that the server gives them.
    """

    calls: tuple[Call, ...]
    checkpoint: Checkpoint
    method: Method
    loras: tuple[str, ...] = ()
    refiner: Checkpoint | None = None
    controls: int = 0
    shortfalls: tuple[Shortfall, ...] = ()

    @property
    def steps(self) -> int:
        """Denoising steps of all calls together."""
        return sum(call.steps for call in self.calls)


def plan(spec: GenerationSpec, stock: Stock, read: ReadInput) -> Plan:
    """Translate a spec into calls of a server with that stock; `read` returns input pictures.

    Raises:
        InvalidSpecError: the server lacks what the spec names.
    """
    return _Planner(spec, stock, read).plan()


@dataclass(slots=True)
class _Planner:
    """Collects shortfalls while the calls are made."""

    spec: GenerationSpec
    stock: Stock
    read: ReadInput
    short: list[Shortfall] = field(default_factory=list)

    def plan(self) -> Plan:
        spec, stock = self.spec, self.stock
        checkpoint, method = stock.checkpoint(spec.model), find_method(spec.sampler, stock)
        refiner = stock.checkpoint(spec.refiner.model, field="refiner") if spec.refiner else None
        prompt, loras = self._prompt()
        body: dict[str, Json] = {
            **_plain(spec, method),
            "prompt": prompt,
            "tiling": self._tiling(),
            "override_settings": self._settings(checkpoint),
        }
        if refiner and spec.refiner:
            body["refiner_checkpoint"] = refiner.title
            body["refiner_switch_at"] = spec.refiner.start
        if spec.controls:
            body["alwayson_scripts"] = {"ControlNet": {"args": self._controls()}}
        return Plan(
            Passes(spec, stock, self.read, self.short).calls(body),
            checkpoint,
            method,
            loras,
            refiner,
            len(spec.controls),
            tuple(self.short),
        )

    def _prompt(self) -> tuple[str, tuple[str, ...]]:
        """Write the adapters into the prompt; the server passes over unknown ones in silence."""
        spec, stock = self.spec, self.stock
        if spec.loras and stock.loras is None:
            raise InvalidSpecError("the server has no LoRA extension", field="loras")
        named = [(stock.lora(lora.name), lora) for lora in spec.loras]
        used = [adapter.name for adapter, _ in named]
        for tag in take_loras(spec.prompt)[1]:
            try:
                used.append(stock.lora(tag.name).name)
            except ModelNotFoundError as error:
                self.short.append(Shortfall("unknown_lora", error.detail, "prompt"))
        tags = [type(lora)(adapter.name, lora.weight) for adapter, lora in named]
        return with_loras(spec.prompt, tags), tuple(dict.fromkeys(used))

    def _controls(self) -> list[Json]:
        """Describe the ControlNets; the pictures are maps already, so nothing is detected."""
        return [
            {
                "enabled": True,
                "module": self.stock.control_blank,
                "model": self.stock.controlnet(control.model),
                "image": as_text(self.read(control.image)),
                "weight": control.weight,
                "resize_mode": "Crop and Resize",
                "control_mode": "Balanced",
                "guidance_start": control.start,
                "guidance_end": control.end,
                "pixel_perfect": False,
                "save_detected_map": False,
            }
            for control in self.spec.controls
        ]

    def _settings(self, checkpoint: Checkpoint) -> dict[str, Json]:
        """Return what is set for this picture alone, of the keys that the server has."""
        if self.spec.clip_skip and "CLIP_stop_at_last_layers" not in self.stock.options:
            self.short.append(
                Shortfall("unsupported", "the server cannot skip CLIP layers", "clip_skip")
            )
        return {
            "sd_model_checkpoint": checkpoint.title,
            **self.stock.known(
                {
                    "CLIP_stop_at_last_layers": 1 + self.spec.clip_skip,
                    "samples_format": "png",
                    "img2img_fix_steps": False,
                    "return_grid": False,
                    "live_previews_image_format": "jpeg",
                    "show_progress_every_n_steps": _PREVIEW_EVERY_STEPS,
                }
            ),
        }

    def _tiling(self) -> bool:
        tiling = self.spec.tiling
        if tiling in (Tiling.X, Tiling.Y):
            detail = "the server tiles along both axes or none: it was told both"
            self.short.append(Shortfall("approximated", detail, "tiling"))
        return tiling is not Tiling.NONE


def _plain(spec: GenerationSpec, method: Method) -> dict[str, Json]:
    """Return the fields that need no thought; the API's defaults are not the web page's."""
    return {
        "negative_prompt": spec.negative_prompt,
        "styles": [],
        "seed": spec.seed,
        "subseed": -1,
        "subseed_strength": 0,
        "sampler_name": method.sampler,
        **({"scheduler": method.scheduler} if method.scheduler else {}),
        "steps": spec.steps,
        "cfg_scale": spec.cfg,
        "batch_size": 1,
        "n_iter": 1,
        "restore_faces": False,
        "override_settings_restore_afterwards": True,
        "send_images": True,
        "save_images": False,
    }
