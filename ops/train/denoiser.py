"""Train UNet and text encoder: ``python -m ops.train.denoiser --vae DIR/vae --out DIR``.

One training may be spread over several runs: ``--begin 0 --end 0.6``, then
``--begin 0.6 --end 1 --resume`` with the same ``--out``.
"""

# ruff: noqa: S311 - the dice choose sizes and words, not secrets
import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel

from ops.train import network
from ops.train.caption import empty_caption
from ops.train.descent import Descent, clock, slope
from ops.train.pool import Drawing, Pool, to_float
from ops.train.report import Log, Options, Scale, phase_arguments, phase_device, settings_for, training_seconds
from ops.train.tokens import encode

_SEED: Final = 23
_PEAK: Final = 1.0e-3
_PIXELS_A_STEP: Final = 512 * 128 * 128
_DROPPED: Final = 0.1
_SNR_CAP: Final = 5.0
_SAVE_STEPS: Final = 4000


@dataclass(frozen=True, slots=True)
class Size:
    """One picture size: how many pictures of it, and its share of the steps at the start and the end."""

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


class DenoiserOptions(Options):
    """The phase's own arguments."""

    vae: Path
    begin: float
    end: float


@torch.no_grad()
def encode_pool(vae: AutoencoderKL, pool: Pool, precision: torch.dtype) -> Latents:
    """Encode a pool's pictures; ``vae`` computes in the given precision."""
    batch = max(1, 512 * 128 * 128 // (pool.width * pool.height))
    codes = [
        vae.encode(to_float(part).to(precision)).latent_dist.mean.float() * vae.config.scaling_factor
        for part in pool.pictures.split(batch)
    ]
    return Latents(codes=torch.cat(codes).half(), tokens=pool.tokens)


def _signal(device: torch.device) -> Tensor:
    return network.noise_schedule().alphas_cumprod.to(device)


def _loss_of(
    unet: UNet2DConditionModel, text: CLIPTextModel, latents: Latents, empty: Tensor, count: int
) -> Callable[[], Tensor]:
    """Return the loss of one batch: v-prediction (Salimans & Ho 2022) with capped weights at little noise.

    The weight min(1, cap / (SNR + 1)) follows min-SNR (Hang et al. 2023, arXiv:2303.09556).
    """
    device, signal = latents.codes.device, _signal(latents.codes.device)
    strata = torch.arange(count, device=device)

    def loss() -> Tensor:
        chosen = torch.randint(0, len(latents.codes), (count,), device=device)
        caption = torch.randint(0, latents.tokens.shape[1], (count,), device=device)
        unsaid = empty[torch.randint(0, len(empty), (count,), device=device)]
        dropped = torch.rand(count, device=device)[:, None] < _DROPPED
        words = torch.where(dropped, unsaid, latents.tokens[chosen, caption]).long()
        # One time in each of `count` equal strata: less noise in the gradient than independent draws.
        times = ((torch.rand(count, device=device) + strata) * (1000 / count)).long().clamp(max=999)
        kept = signal[times][:, None, None, None]
        clean = latents.codes[chosen].float()
        noise = torch.randn_like(clean)
        noisy = kept.sqrt() * clean + (1 - kept).sqrt() * noise
        velocity = kept.sqrt() * noise - (1 - kept).sqrt() * clean
        states = text(words)[0]
        guess = unet(noisy.to(unet.dtype), times, encoder_hidden_states=states, return_dict=False)[0]
        ratio = signal[times] / (1 - signal[times])
        weight = (_SNR_CAP / (ratio + 1)).clamp(max=1)
        return (weight * (guess.float() - velocity).square().mean((1, 2, 3))).mean()

    return loss


def _finished(folder: Path) -> AutoencoderKL:
    """Wait for the autoencoder's phase, which may still run beside this one, and load its result."""
    while not (folder / "finished").exists():
        time.sleep(0.2)
    return AutoencoderKL.from_pretrained(folder)


def _latents(options: DenoiserOptions, scale: Scale, device: torch.device, log: Log) -> list[Latents]:
    """Draw, render and encode every pool, or read what an earlier run of this training encoded."""
    kept = options.out / "latents.pt"
    if options.resume and kept.exists():
        return [Latents(codes=c.to(device), tokens=t.to(device)) for c, t in torch.load(kept, mmap=True)]
    sizes = [(scale.length(s.width), scale.length(s.height), scale.pictures(s.pictures)) for s in SIZES]
    with Drawing(sizes=sizes, seed=_SEED, processes=scale.processes) as drawing:
        pools = [drawing.pool(i, device) for i in range(len(sizes))]
    log.say("rendered", sizes=sizes)
    vae = _finished(options.vae).to(device, scale.precision).eval()
    torch.backends.cudnn.benchmark = False  # each size is encoded once: a search costs more than it saves
    latents = []
    while pools:
        latents.append(encode_pool(vae, pools.pop(0), scale.precision))
    torch.backends.cudnn.benchmark = device.type == "cuda"
    log.say("encoded")
    if options.end < 1:
        torch.save([(each.codes.cpu(), each.tokens.cpu()) for each in latents], kept)
    return latents


def _train(
    options: DenoiserOptions, scale: Scale, descent: Descent, losses: list[Callable[[], Tensor]], log: Log
) -> None:
    dice, seen = Random(_SEED + descent.step_count), 0
    device = descent.loss.device
    for share in clock(training_seconds(options), options.steps, device):
        spent = options.begin + (options.end - options.begin) * share
        which = dice.choices(range(len(SIZES)), [s.early + (s.late - s.early) * spent for s in SIZES])[0]
        rate = slope(spent, descent.step_count, peak=_PEAK, warm_steps=200, decay=0.6)
        descent.step(which, losses[which], rate)
        seen += _count(scale, SIZES[which])
        if descent.step_count % 250 == 1:
            log.say(
                "denoiser", step=descent.step_count, seen=seen, loss=round(descent.loss.item(), 4), spent=round(spent, 3)
            )
        if descent.step_count % _SAVE_STEPS == 0:
            torch.save(descent.state(), options.out / "state.pt")
    torch.save(descent.state(), options.out / "state.pt")
    log.say("denoiser done", step=descent.step_count, seen=seen, loss=round(descent.loss.item(), 4))


def _count(scale: Scale, size: Size) -> int:
    return max(2, scale.pixels(_PIXELS_A_STEP) // (scale.length(size.width) * scale.length(size.height)))


def main(arguments: list[str] | None = None) -> None:
    """Run the phase."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vae", type=Path, required=True, help="the autoencoder's folder")
    parser.add_argument("--begin", type=float, default=0.0, help="share of the training done before")
    parser.add_argument("--end", type=float, default=1.0, help="share of the training done after")
    options = phase_arguments(parser, arguments, DenoiserOptions(), seconds=600)
    device, scale = phase_device(), settings_for(options)
    log = Log(options.out, "denoiser")
    latents = _latents(options, scale, device, log)
    torch.manual_seed(_SEED + int(1000 * options.begin))
    unet, text = network.denoiser().to(device), network.text_encoder().to(device)
    descent = Descent(
        parameters=[*unet.parameters(), *text.parameters()],
        weight_decay=0.01, averaging=0.9992, precision=scale.precision,
    )
    if options.resume and (options.out / "state.pt").exists():
        descent.load(torch.load(options.out / "state.pt", map_location=device))
    dice = Random(_SEED)
    empty = torch.tensor(encode([empty_caption(dice) for _ in range(3000)]), dtype=torch.int16, device=device)
    losses = [
        _loss_of(unet, text, each, empty, _count(scale, size)) for each, size in zip(latents, SIZES, strict=True)
    ]
    _train(options, scale, descent, losses, log)
    descent.settle()
    unet.half().save_pretrained(options.out / "unet")
    text.half().save_pretrained(options.out / "text_encoder")


if __name__ == "__main__":
    main()
