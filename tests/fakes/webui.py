"""What goes on inside a fake A1111: one lock, one state for all, one task that has the floor.

After `modules/shared_state.py`, `modules/progress.py` and `modules/api/api.py` of 1.10.1, bad
manners included; drawn are test cards.
"""

import asyncio
import base64
import io
import json
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from engines.card import test_card
from tests.fakes.stage import Flaw, Phase, Stage
from tests.fakes.webui_state import RAISED, Cut, State, WebuiError

CHECKPOINTS = {"tiny": "1a2b3c4d5e", "huge-xl": "99aa88bb77"}

SAMPLERS = ["DPM++ 2M", "DPM++ SDE", "Euler a", "Euler", "Heun", "DDIM", "UniPC", "LCM"]

SCHEDULERS = {"automatic": "Automatic", "uniform": "Uniform", "karras": "Karras"}

UPSCALERS = ["None", "Lanczos", "Nearest", "R-ESRGAN 4x+"]

LATENT_MODES = ["Latent", "Latent (nearest-exact)"]

LORAS = ["ink"]

CONTROLNETS = ["canny [d14c016b]"]


@dataclass
class Webui:
    """The part behind the routes.

    Attributes:
        current, pending, finished: `modules/progress.py`; an error leaves `current` as it is.
        device: Where the model is; nothing but `reload-checkpoint` brings it back.
        fall_back: What is passed over in silence: `model`, `sampler`, `scheduler`, `control`,
            `lora`, as if an extension or somebody on the web page had interfered.
    """

    stage: Stage
    forge: bool = False
    loaded: str = "huge-xl"
    device: str = "cuda"
    samplers: list[str] = field(default_factory=lambda: list(SAMPLERS))
    checkpoints: dict[str, str] = field(default_factory=lambda: dict(CHECKPOINTS))
    state: State = field(default_factory=State)
    current: str | None = None
    pending: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    fall_back: set[str] = field(default_factory=set)
    options: dict[str, Any] = field(
        default_factory=lambda: {
            "sd_model_checkpoint": "huge-xl.safetensors [99aa88bb77]",
            "CLIP_stop_at_last_layers": 1,
            "samples_format": "png",
            "img2img_fix_steps": False,
            "return_grid": True,
            "live_previews_image_format": "png",
            "show_progress_every_n_steps": 10,
            "upscaler_for_img2img": None,
        }
    )
    interrupts: int = 0
    _count: int = 0
    _halt: asyncio.Event = field(default_factory=asyncio.Event)

    def interrupt(self) -> None:
        """Stop whatever runs; forgotten when the next thing begins."""
        self.interrupts += 1
        self.state.interrupted = True
        self._halt.set()

    async def draw(self, body: dict[str, Any], cut: Cut) -> dict[str, Any]:
        """`text2imgapi` and `img2imgapi`: wait for the lock, then draw to the end or to a halt."""
        task = body.get("force_task_id") or "task(x)"
        self.pending.append(task)  # an error below leaves it there for ever
        self.stage.accepted()
        done = False
        try:
            if "mask" in body and not body.get("init_images"):
                raise WebuiError("HTTPException", "Init image not found", 404)
            if self.stage.cuts(Phase.ANSWER):
                cut.now()
            async with self.lock:
                self._begin(task, body)
                try:
                    info = await self._process(body, cut)
                    done = not self.state.interrupted
                    self._finish(task)
                finally:
                    self.state.job, self.state.job_count = "", 0
        finally:
            self.stage.ended(finished=done)
        return self._response(body, info)

    def _begin(self, task: str, body: dict[str, Any]) -> None:
        self._count += 1
        self._halt = asyncio.Event()
        self.state = State(job="scripts_txt2img", job_count=-1, job_timestamp=str(self._count))
        self.current = task
        self.pending.remove(task)
        for key in body.get("override_settings", {}):
            if key not in self.options:
                raise WebuiError("KeyError", repr(key))

    def _finish(self, task: str) -> None:
        self.current = None
        self.finished = [*self.finished, task][-16:]

    async def _process(self, body: dict[str, Any], cut: Cut) -> dict[str, Any]:
        self._load(body)
        if failure := self.stage.failure():
            raise RAISED[failure]
        if body.get("enable_hr") and body["hr_upscaler"] not in UPSCALERS + LATENT_MODES:
            raise WebuiError("Exception", f"could not find upscaler named {body['hr_upscaler']}")
        passes = [body["steps"]]
        if body.get("enable_hr"):
            passes.append(body["hr_second_pass_steps"] or body["steps"])
        self.state.job_count = len(passes)
        for steps in passes:
            await self._sample(steps, cut)
            if not self.state.interrupted:
                self.state.job_no, self.state.sampling_step = self.state.job_no + 1, 0
        if self.state.interrupted:
            await self.stage.lingered()
        return self._info(body)

    async def _sample(self, steps: int, cut: Cut) -> None:
        self.state.sampling_steps = steps
        for step in range(1, steps + 1):
            if self.state.interrupted:
                return
            self.state.sampling_step = step
            self.state.preview_id = self.state.job_no * steps + step
            if self.stage.cuts(Phase.DRAWING):
                cut.now()
            if cut.done:
                await self._halt.wait()  # the client has all the time it needs to stop this
            await self.stage.stepped(self._halt)

    def _load(self, body: dict[str, Any]) -> None:
        """Take the model that is asked for, or, unasked, the one that is there."""
        asked = str(body.get("override_settings", {}).get("sd_model_checkpoint", ""))
        for name, shorthash in self.checkpoints.items():
            known = (f"{name}.safetensors [{shorthash}]", name, f"{name}.safetensors", shorthash)
            if asked in known and "model" not in self.fall_back:
                self.device = "cuda" if self.loaded != name else self.device
                self.loaded = name
        if self.device != "cuda" and not self.forge:
            raise WebuiError(
                "RuntimeError", "Expected all tensors to be on the same device, but found two"
            )

    def _info(self, body: dict[str, Any]) -> dict[str, Any]:
        sampler, scheduler = body["sampler_name"], body.get("scheduler", "Automatic")
        if sampler not in self.samplers or "sampler" in self.fall_back:
            sampler = "DPM++ 2M SDE" if sampler == SAMPLERS[0] else SAMPLERS[0]
        if scheduler not in SCHEDULERS.values() or "scheduler" in self.fall_back:
            scheduler = "Exponential"
        extra: dict[str, Any] = {"Schedule type": scheduler}
        units = body.get("alwayson_scripts", {}).get("ControlNet", {}).get("args", [])
        if "control" not in self.fall_back:
            extra |= {f"ControlNet {k}": unit["model"] for k, unit in enumerate(units)}
        if "refiner_checkpoint" in body:
            extra["Refiner"] = body["refiner_checkpoint"]
        loras = [name for name in LORAS if f"<lora:{name}:" in body["prompt"]]
        if loras and "lora" not in self.fall_back:
            extra["Lora hashes"] = ", ".join(f"{name}: 0123456789ab" for name in loras)
        elif loras:
            extra["Lora hashes"] = "other: 0123456789ab"
        return {
            "prompt": body["prompt"],
            "seed": body["seed"],
            "all_seeds": [body["seed"]],
            "width": body["width"],
            "height": body["height"],
            "sampler_name": sampler,
            "steps": body["steps"],
            "cfg_scale": body["cfg_scale"],
            "sd_model_name": self.loaded,
            "sd_model_hash": self.checkpoints[self.loaded],
            "sd_vae_name": None,
            "extra_generation_params": extra,
            "index_of_first_image": 0,
            "infotexts": [f"{body['prompt']}\nSteps: {body['steps']}, Schedule type: {scheduler}"],
            "job_timestamp": self.state.job_timestamp,
            "version": "f2.0.1v1.10.1" if self.forge else "v1.10.1",
        }

    def _response(self, body: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
        flaw, seed = self.stage.flaw(), body["seed"]
        width, height = body["width"], body["height"]
        if body.get("enable_hr"):
            width, height = body["hr_resize_x"], body["hr_resize_y"]
        if flaw is Flaw.SIZE:
            width -= 8
        if flaw is Flaw.FOREIGN:
            info = {**info, "seed": seed + 1000}
        half = self.state.interrupted and info["job_timestamp"] == self.state.job_timestamp
        png = test_card(width=width, height=height, seed=seed ^ half)
        if flaw is Flaw.FLAT:
            png = flat_card(width, height)
        if flaw is Flaw.HALF:
            png = png[: len(png) // 2]
        images = [base64.b64encode(png).decode()]
        if self.forge:  # whatever extensions add comes after the results
            images.append(base64.b64encode(flat_card(width, height)).decode())
        return {"images": images, "parameters": {}, "info": json.dumps(info)}


def flat_card(width: int, height: int) -> bytes:
    """Return a picture of one colour: what a network full of NaN decodes to."""
    out = io.BytesIO()
    Image.new("RGB", (width, height)).save(out, "PNG")
    return out.getvalue()
