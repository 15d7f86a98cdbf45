"""What each kind of device is asked to do, and why."""

import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias, cast

from engines.diffusers.settings import DiffusersSettings

DeviceKind: TypeAlias = Literal["cpu", "cuda", "mps"]


@dataclass(frozen=True, slots=True)
class DeviceRules:
    """How one kind of device is used; `why` has the reason for each choice.

    Attributes:
        precision: Where the precision ladder starts.
        batch: Pictures that are stepped in one call.
        channels_last: Whether weights and activations are laid out with the channel innermost.
        graphs: Whether a captured network can be replayed.
        tile_pixels: Pictures above this size are decoded in tiles.
        memory_gib: Budget for loaded models.
        spare_gib: Left free for others when a batch is made as large as memory allows.
        empty_cache: Whether the allocator's cache is given back after each picture.
    """

    kind: DeviceKind
    precision: Literal["fp32", "fp16", "bf16"]
    batch: int
    channels_last: bool
    graphs: bool
    tile_pixels: int
    memory_gib: float
    spare_gib: float
    empty_cache: bool
    why: Mapping[str, str]


DEVICES: Mapping[DeviceKind, DeviceRules] = MappingProxyType(
    {
        "cpu": DeviceRules(
            kind="cpu",
            precision="fp32",
            batch=4,
            channels_last=False,
            graphs=False,
            tile_pixels=2048 * 2048,
            memory_gib=16,
            spare_gib=0,
            empty_cache=False,
            why=MappingProxyType(
                {
                    "precision": "half precision is emulated on most CPUs and slower than single",
                    "batch": "a few rows fill the vector units; more only delay the first step",
                    "channels_last": "repeats the same bits more surely in the default layout",
                }
            ),
        ),
        "cuda": DeviceRules(
            kind="cuda",
            precision="fp16",
            batch=16,
            channels_last=True,
            graphs=True,
            tile_pixels=2048 * 2048,
            memory_gib=40,
            spare_gib=2,
            empty_cache=False,
            why=MappingProxyType(
                {
                    "precision": "the tensor cores' own width; the ladder catches overflows",
                    "batch": "one picture leaves most of the chip idle at these sizes",
                    "channels_last": "the tensor cores' convolutions want the channel innermost",
                    "spare_gib": "what llama.cpp holds is counted; this is for what it still takes",
                    "graphs": "launching thousands of small kernels costs more than running them",
                }
            ),
        ),
        "mps": DeviceRules(
            kind="mps",
            precision="fp32",
            batch=1,
            channels_last=False,
            graphs=False,
            tile_pixels=1536 * 1536,
            memory_gib=48,
            spare_gib=16,
            empty_cache=True,
            why=MappingProxyType(
                {
                    "precision": "single precision never draws black; fp16 and bf16 by setting",
                    "batch": "batched prompts are unreliable there and bring no speed",
                    "channels_last": "slower, and wrong on slices of channels",
                    "spare_gib": "unified memory: Metal does not tell what others hold of it",
                    "tile_pixels": "arrays of more than 2**32 elements are not supported",
                    "empty_cache": "memory grows with each new shape, so it is given back between "
                    "pictures; between steps it would cost time",
                }
            ),
        ),
    }
)


def guess_device(wanted: str = "auto") -> DeviceKind:
    """Tell the kind of device without importing torch.

    The thread that draws asks torch itself and refuses a device that is not there.

    Raises:
        ValueError: `wanted` is no kind of device that we know.
    """
    kind = wanted.partition(":")[0]
    if kind in DEVICES:
        return cast("DeviceKind", kind)
    if kind != "auto":
        raise ValueError(f"unknown device {wanted!r}: use auto, cpu, cuda or mps")
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return "mps"
    return "cuda" if shutil.which("nvidia-smi") else "cpu"


def batch_size(rules: DeviceRules, settings: DiffusersSettings) -> int:
    """Return how many pictures are stepped together at most."""
    return settings.batch or rules.batch


def accelerated(rules: DeviceRules, settings: DiffusersSettings) -> bool:
    """Say whether networks are fused and replayed."""
    return rules.graphs and settings.accelerate == "full"
