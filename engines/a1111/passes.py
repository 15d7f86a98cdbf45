"""The calls that draw one picture, one after another; pure."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from engines.a1111.stock import Stock
from engines.base import Json, Shortfall
from engines.spec import GenerationSpec, Hires, InputRef, Upscale

TXT2IMG: Final = "/sdapi/v1/txt2img"
IMG2IMG: Final = "/sdapi/v1/img2img"
EXTRAS: Final = "/sdapi/v1/extra-single-image"

_GRID = 8
_KEEP_ORIGINAL = 1  # inpainting_fill: what the mask covers is drawn over, not filled first
_JUST_RESIZE, _LATENT_RESIZE = 0, 3  # resize_mode

ReadInput = Callable[[InputRef], bytes]


def as_text(data: bytes) -> str:
    """Return bytes as the API takes them inside JSON."""
    return base64.b64encode(data).decode("ascii")


@dataclass(frozen=True, slots=True)
class Call:
    """One POST; `steps` is how many denoising steps it takes, `size` what it returns."""

    path: str
    body: dict[str, Json]
    size: tuple[int, int]
    steps: int = 0

    def named(self, task: str) -> dict[str, Json]:
        """Return the body with the name under which `/internal/progress` knows the call."""
        return self.body if self.path == EXTRAS else {**self.body, "force_task_id": task}

    def after(self, png: bytes) -> "Call":
        """Return the call as it goes on from the picture that the call before returned."""
        image = as_text(png)
        if self.path == EXTRAS:
            return Call(self.path, {**self.body, "image": image}, self.size, self.steps)
        return Call(self.path, {**self.body, "init_images": [image]}, self.size, self.steps)


def drawn_steps(steps: int, strength: float) -> int:
    """Return how many steps a pass takes that draws a share of `strength` anew."""
    return max(1, round(steps * strength))


@dataclass(frozen=True, slots=True)
class Passes:
    """Makes the calls, and notes in `short` what they cannot do as asked."""

    spec: GenerationSpec
    stock: Stock
    read: ReadInput
    short: list[Shortfall]

    def calls(self, body: dict[str, Json]) -> tuple[Call, ...]:
        """Draw; enlarge and draw again where the server cannot do so itself; enlarge.

        Raises:
            InvalidSpecError: the server lacks an upscaler, or an input picture is gone.
        """
        spec = self.spec
        size = self._sized("width", spec.width), self._sized("height", spec.height)
        body = {**body, "width": size[0], "height": size[1]}
        if spec.init_image is None:
            calls = [self._txt2img(body, size)]
        else:
            calls = self._img2img(body, size, spec.init_image)
        if spec.upscale:
            calls.append(self._enlarge(spec.upscale, calls[-1].size))
        return tuple(calls)

    def _txt2img(self, body: dict[str, Json], size: tuple[int, int]) -> Call:
        """Draw from noise, with the server's own second pass for hires."""
        hires = self.spec.hires
        if hires is None:
            return Call(TXT2IMG, body, size, self.spec.steps)
        size = self._hires_size(size, hires.scale)
        second = drawn_steps(hires.steps or self.spec.steps, hires.strength)
        hires_body: dict[str, Json] = {
            "enable_hr": True,
            "hr_resize_x": size[0],
            "hr_resize_y": size[1],
            "hr_upscaler": self._hires_upscaler(hires.upscaler),
            "hr_second_pass_steps": second,
            "denoising_strength": hires.strength,
        }
        return Call(TXT2IMG, {**body, **hires_body}, size, self.spec.steps + second)

    def _img2img(self, body: dict[str, Json], size: tuple[int, int], image: InputRef) -> list[Call]:
        """Draw over a picture; hires is a second such call, for img2img has no second pass."""
        spec = self.spec
        body = {
            **body,
            "init_images": [as_text(self.read(image))],
            "resize_mode": _JUST_RESIZE,
            "denoising_strength": spec.strength,
            "include_init_images": False,
        }
        if spec.mask:
            body |= {
                "mask": as_text(self.read(spec.mask)),
                "mask_blur": 4,
                "inpainting_fill": _KEEP_ORIGINAL,
                "inpaint_full_res": False,
                "inpainting_mask_invert": 0,
            }
        calls = [Call(IMG2IMG, body, size, drawn_steps(spec.steps, spec.strength))]
        if spec.hires:
            calls.append(self._redraw(body, spec.hires, self._hires_size(size, spec.hires.scale)))
        return calls

    def _redraw(self, body: dict[str, Json], hires: Hires, size: tuple[int, int]) -> Call:
        """Enlarge what was drawn and draw detail into it."""
        upscaler, settings = self._hires_upscaler(hires.upscaler), body["override_settings"]
        latent = upscaler in self.stock.latent_modes
        if not latent and isinstance(settings, dict):
            settings = {**settings, **self.stock.known({"upscaler_for_img2img": upscaler})}
        steps = hires.steps or self.spec.steps
        body = {
            **body,
            "width": size[0],
            "height": size[1],
            "steps": steps,
            "resize_mode": _LATENT_RESIZE if latent else _JUST_RESIZE,
            "denoising_strength": hires.strength,
            "override_settings": settings,
        }
        return Call(IMG2IMG, body, size, drawn_steps(steps, hires.strength))

    def _enlarge(self, upscale: Upscale, size: tuple[int, int]) -> Call:
        """Enlarge the finished picture; the server rounds its sides down to multiples of 8."""
        width, height = (int(side * upscale.scale) // _GRID * _GRID for side in size)
        wanted = tuple(round(side * upscale.scale) for side in size)
        if (width, height) != wanted:
            self._rounded("upscale", f"{wanted[0]}x{wanted[1]}", f"{width}x{height}")
        name = self.stock.upscaler(_upscaler(upscale.upscaler), field="upscale")
        body: dict[str, Json] = {
            "resize_mode": 0,
            "upscaling_resize": upscale.scale,
            "upscaler_1": name,
        }
        return Call(EXTRAS, body, (width, height))

    def _hires_upscaler(self, name: str) -> str:
        latent = next(iter(self.stock.latent_modes), "Latent")
        name = latent if name == "latent" else _upscaler(name)
        return self.stock.upscaler(name, field="hires")

    def _hires_size(self, size: tuple[int, int], scale: float) -> tuple[int, int]:
        return self._sized("hires", size[0] * scale), self._sized("hires", size[1] * scale)

    def _sized(self, name: str, side: float) -> int:
        """Return the nearest side that the latents can have."""
        fitting = max(_GRID, round(side / _GRID) * _GRID)
        if fitting != round(side):
            self._rounded(name, str(round(side)), str(fitting))
        return fitting

    def _rounded(self, name: str, wanted: str, fitting: str) -> None:
        detail = f"{wanted} became {fitting}: sides are multiples of {_GRID}"
        self.short.append(Shortfall("approximated", detail, name))


def _upscaler(name: str) -> str:
    return "Lanczos" if name == "lanczos" else name
