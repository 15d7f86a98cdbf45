"""The renderer, built on first use: nvcc where a GPU is at hand, else g++."""

import ctypes
import os
import subprocess
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_SOURCES: Final = Path(__file__).parent / "renderer"
_NVCC: Final = ("nvcc", "-O3", "-arch=sm_90", "--use_fast_math", "-Xcompiler", "-fPIC")
# Not -ffast-math: loading such a library makes the whole process flush small numbers to zero.
_FAST: Final = (
    "-fno-math-errno", "-fno-trapping-math", "-ffinite-math-only", "-fno-signed-zeros",
    "-fassociative-math", "-freciprocal-math",
)  # fmt: skip
_GXX: Final = ("g++", "-O3", *_FAST, "-march=native", "-fPIC", "-x", "c++")


@cache
def _library(device_type: str) -> ctypes.CDLL:
    compiler = _NVCC if device_type == "cuda" else _GXX
    digest = sha256(repr(compiler).encode())
    for source in sorted(_SOURCES.iterdir()):
        digest.update(source.read_bytes())
    target = Path.home() / ".cache" / "kitty-images" / f"renderer-{digest.hexdigest()[:16]}.so"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_suffix(f".{os.getpid()}.so")
        subprocess.run(
            [*compiler, "-shared", str(_SOURCES / "render.cu"), "-o", str(fresh)], check=True
        )
        fresh.replace(target)
    library = ctypes.CDLL(str(target))
    library.render.argtypes = [ctypes.c_void_p] * 2 + [ctypes.c_int] * 3 + [ctypes.c_void_p]
    return library


def render(records: NDArray[np.void], width: int, height: int, device: torch.device) -> Tensor:
    """Draw one picture a record: uint8, [count, height, width, 3], sRGB, on the device.

    Raises:
        RuntimeError: CUDA refused the launch.
        subprocess.CalledProcessError: the compiler failed.
    """
    flat = np.ascontiguousarray(records).view(np.float32).reshape(len(records), -1)
    scenes = torch.from_numpy(flat).to(device)
    pictures = torch.empty((len(records), height, width, 3), dtype=torch.uint8, device=device)
    stream = torch.cuda.current_stream().cuda_stream if device.type == "cuda" else None
    error = _library(device.type).render(
        scenes.data_ptr(), pictures.data_ptr(), len(records), width, height, stream
    )
    if error:
        raise RuntimeError(f"the renderer stopped with CUDA error {error}")
    return pictures
