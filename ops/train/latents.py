"""What the denoiser trains on: pictures of every size, encoded once by the trained autoencoder."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from ops.train.autoencoder import UNFINISHED
from ops.train.pool import Drawing, Pool, to_float
from ops.train.report import Log, Scale, seldom
from ops.train.scene import draw_lesson


@dataclass(frozen=True, slots=True)
class Size:
    """One picture size: how many pictures, and its share of the steps at start and end."""

    width: int
    height: int
    pictures: int
    early: float
    late: float


# Small pictures teach the words at a quarter of the price; large ones come later for clean edges.
SIZES: Final = (
    Size(128, 128, 110_000, 0.60, 0.28),
    Size(192, 192, 36_000, 0.16, 0.28),
    Size(256, 256, 26_000, 0.12, 0.26),
    Size(320, 320, 9_000, 0.04, 0.08),
    Size(192, 128, 9_000, 0.04, 0.05),
    Size(128, 192, 9_000, 0.04, 0.05),
)


@dataclass(slots=True)
class Latents:
    """A pool after the autoencoder: scaled latents (fp16, [n, 4, height/8, width/8]) and tokens."""

    codes: Tensor
    tokens: Tensor


@seldom()
@torch.no_grad()
def encode_pool(vae: AutoencoderKL, pool: Pool, precision: torch.dtype) -> Latents:
    """Encode a pool's pictures; ``vae`` computes in the given precision."""
    batch = max(1, 512 * 128 * 128 // (pool.width * pool.height))
    codes = [
        vae.encode(to_float(part).to(precision)).latent_dist.mean.float()
        * vae.config.scaling_factor
        for part in torch.split(pool.pictures, batch)
    ]
    return Latents(codes=torch.cat(codes).half(), tokens=pool.tokens)


def _finished(folder: Path) -> AutoencoderKL:
    """Wait for the autoencoder's phase, which may still run beside this one; load its result."""
    while (folder / UNFINISHED).exists() or not (folder / "config.json").exists():
        time.sleep(0.2)
    return AutoencoderKL.from_pretrained(folder)


def prepare(
    vae_folder: Path, seed: int, scale: Scale, device: torch.device, log: Log
) -> list[Latents]:
    """Draw, render and encode a pool of every size; another seed draws other pictures."""
    sizes = [
        (scale.length(s.width), scale.length(s.height), scale.pictures(s.pictures)) for s in SIZES
    ]
    with Drawing(sizes=sizes, seed=seed, processes=scale.processes, draw=draw_lesson) as drawing:
        pools = [drawing.pool(i, device) for i in range(len(sizes))]
    log.say("rendered", sizes=sizes)
    vae = _finished(vae_folder).to(device, scale.precision).eval()
    latents = []
    while pools:
        latents.append(encode_pool(vae, pools.pop(0), scale.precision))
    log.say("encoded")
    return latents


def save_latents(latents: list[Latents], file: Path) -> None:
    """Keep encoded pools for the next run of the same training."""
    torch.save([(each.codes.cpu(), each.tokens.cpu()) for each in latents], file)


def load_latents(file: Path, device: torch.device) -> list[Latents]:
    """Return the pools that ``save_latents`` kept."""
    kept = torch.load(file, mmap=True)
    return [Latents(codes=codes.to(device), tokens=tokens.to(device)) for codes, tokens in kept]
