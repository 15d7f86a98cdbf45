"""Loads models onto the device, and lets the least recently used go when memory runs short."""

import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from engines.diffusers.batches import is_out_of_memory
from engines.diffusers.checkpoint import Checkpoint, Parts
from engines.diffusers.devices import DeviceRules
from engines.diffusers.folders import read_json
from engines.diffusers.headers import BrokenFileError, in_short
from engines.diffusers.library import Library, Shelved
from engines.diffusers.parts import from_folder, load_vae
from engines.diffusers.precision import Ladder, Rung
from engines.diffusers.quicken import quicken
from engines.diffusers.seams import make_wrappable
from engines.diffusers.singlefile import load_file
from engines.errors import InvalidSpecError

_GIB = 2**30


class Loader:
    """Keeps models on the device within a budget; used by the drawing thread alone."""

    def __init__(
        self,
        *,
        library: Library,
        ladder: Ladder,
        device: torch.device,
        rules: DeviceRules,
        memory_gib: float,
        quick: bool = False,
    ) -> None:
        self._library = library
        self._ladder = ladder
        self._device = device
        self._rules = rules
        self._quick = quick
        self._budget = memory_gib * _GIB
        self._loaded: OrderedDict[tuple[str, str], Checkpoint] = OrderedDict()

    def holds(self, model: Shelved, rung: Rung) -> bool:
        """Say whether a model is loaded at a precision."""
        return (model.mark, rung.name) in self._loaded

    @property
    def loaded(self) -> tuple[str, ...]:
        """Names of the loaded models."""
        return tuple(dict.fromkeys(one.shelved.info.name for one in self._loaded.values()))

    def get(self, model: Shelved, rung: Rung | None = None) -> Checkpoint:
        """Return a loaded model, loading it first where it is not.

        Args:
            model: The model.
            rung: The precision; None is that at which new pictures begin.

        Raises:
            InvalidSpecError: it cannot be loaded.
        """
        rung = rung or self._ladder.rung(model.mark)
        key = (model.mark, rung.name)
        if key not in self._loaded:
            self._trim(self._budget - (model.info.size_bytes or 0), keep=0)
            self._loaded[key] = self._loaded_at_last(model, rung)
            # At another precision than its file's it takes another size.
            self._trim(self._budget, keep=1)
        self._loaded.move_to_end(key)
        return self._loaded[key]

    def keep_only(self, model: Shelved, rung: Rung) -> None:
        """Let every other model go."""
        for key in [key for key in self._loaded if key != (model.mark, rung.name)]:
            del self._loaded[key]

    def _loaded_at_last(self, model: Shelved, rung: Rung) -> Checkpoint:
        """Load a model; where memory is shorter than the budget says, in the place of all others.

        Raises:
            InvalidSpecError: it cannot be loaded.
        """
        try:
            return self._load(model, rung)
        except Exception as error:
            if not (self._loaded and is_out_of_memory(error)):
                raise
        # Only here is nothing of the failed attempt held any more.
        self.release()
        return self._load(model, rung)

    def _trim(self, budget: float, *, keep: int) -> None:
        """Let the least recently used go until the rest fits, or so many are left."""
        while len(self._loaded) > keep and self.held > budget:
            self._loaded.popitem(last=False)

    def release(self) -> None:
        """Let every model go and give the memory back to the device."""
        self._loaded.clear()
        empty_cache(self._device)

    @property
    def held(self) -> int:
        """Bytes that the loaded models take."""
        return sum(one.bytes for one in self._loaded.values())

    def _read(self, shelved: Shelved, rung: Rung) -> Parts:
        if shelved.path.is_dir():
            return load_folder(shelved, rung=rung, device=self._device)
        decoder = decoder_dtype(shelved.info.base, rung, upcast=True)
        return load_file(
            shelved, library=self._library, rung=rung, decoder=decoder, device=self._device
        )

    def _load(self, shelved: Shelved, rung: Rung) -> Checkpoint:
        try:
            parts = self._read(shelved, rung)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            # Files can be wrong in more ways than the libraries have errors for.
            detail = f"{shelved.info.name}: {in_short(error)}"
            raise InvalidSpecError(detail, field="model") from error
        checkpoint = Checkpoint(shelved=shelved, rung=rung, device=self._device, **parts)
        for part in checkpoint.networks:
            part.requires_grad_(requires_grad=False)
            part.eval()
        for part in (checkpoint.unet, checkpoint.vae):
            if self._rules.channels_last:
                part.to(memory_format=torch.channels_last)
            make_wrappable(part, checkpoint.seams)
            if self._quick:
                quicken(part)
        return checkpoint


def decoder_dtype(base: str, rung: Rung, *, upcast: bool) -> torch.dtype:
    """Return the decoder's number format.

    The activations of SDXL's decoder overflow half precision; bfloat16 has the range that they
    need.
    """
    overflows = base.startswith("sdxl") and upcast and rung.decoder == torch.float16
    return torch.bfloat16 if overflows else rung.decoder


def empty_cache(device: torch.device) -> None:
    """Give memory that nothing uses back to the device's owner."""
    match device.type:
        case "cuda":
            torch.cuda.empty_cache()
        case "mps":
            torch.mps.empty_cache()
        case _:
            pass


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that it was told."""
    match device.type:
        case "cuda":
            torch.cuda.current_stream(device).synchronize()
        case "mps":
            torch.mps.synchronize()
        case _:
            pass


def load_folder(shelved: Shelved, *, rung: Rung, device: torch.device) -> Parts:
    """Load a model folder in diffusers' layout.

    Raises:
        BrokenFileError: a part is missing.
        OSError: a file cannot be read.
        ValueError: the weights do not fit the configuration.
    """
    from diffusers import AutoencoderKL, UNet2DConditionModel  # noqa: PLC0415

    folder, own = shelved.path, shelved.path / "vae"
    index = read_json(folder / "model_index.json")
    source = shelved.vae.path if shelved.vae is not None and shelved.vae.path.is_dir() else own
    upcast = bool(read_json(source / "config.json").get("force_upcast", True))
    decoder = decoder_dtype(shelved.info.base, rung, upcast=upcast)
    unet = from_folder(UNet2DConditionModel, folder / "unet", rung.network).to(device)
    vae = (
        from_folder(AutoencoderKL, own, decoder)
        if shelved.vae is None
        else load_vae(shelved.vae, like=own, dtype=decoder)
    ).to(device)
    return Parts(
        unet=unet,
        vae=vae,
        encoders=_encoders(folder, index, rung=rung, device=device),
        scheduler_config=read_json(folder / "scheduler" / "scheduler_config.json"),
        zeros_for_empty=bool(index.get("force_zeros_for_empty_prompt", False)),
    )


def _encoders(
    folder: Path, index: Mapping[str, Any], *, rung: Rung, device: torch.device
) -> tuple[tuple[Any, Any], ...]:
    import transformers  # noqa: PLC0415

    transformers.utils.logging.disable_progress_bar()  # a service has no terminal to draw on
    found = []
    for suffix in ("", "_2"):
        part = folder / f"text_encoder{suffix}"
        if not (part / "config.json").is_file():
            continue
        name = (index.get(f"text_encoder{suffix}") or ["", "CLIPTextModel"])[1]
        if name not in {"CLIPTextModel", "CLIPTextModelWithProjection"}:
            raise BrokenFileError(f"its text encoder {name} is not one that is known here")
        variant = (
            None
            if any(part.glob("model*.safetensors")) and not any(part.glob("model.fp16*"))
            else "fp16"
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            encoder = getattr(transformers, name).from_pretrained(
                part,
                dtype=rung.network,
                use_safetensors=True,
                local_files_only=True,
                variant=variant,
            )
        tokenizer = transformers.CLIPTokenizer.from_pretrained(folder / f"tokenizer{suffix}")
        found.append((encoder.to(device), tokenizer))
    if not found:
        raise BrokenFileError("it has no text encoder")
    return tuple(found)
