"""Train UNet and text encoder: ``python -m ops.train.denoiser --vae DIR/vae --out DIR``.

One training may be spread over several runs: ``--begin 0 --end 0.6``, then
``--begin 0.6 --end 1 --resume`` with the same ``--out``. ``--start DIR`` goes on from a finished
model, and another ``--seed`` shows it other pictures.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel

from ops.train import network
from ops.train.caption import empty_caption
from ops.train.descent import Descent, clock, slope
from ops.train.latents import SIZES, Latents, Size, load_latents, prepare, save_latents
from ops.train.report import (
    Log,
    Options,
    Scale,
    phase_arguments,
    phase_device,
    settings_for,
    training_seconds,
)
from ops.train.tokens import encode
from ops.train.velocity import signal_kept, spread_times, velocity_loss

_SEED: Final = 23
_PEAK: Final = 1.0e-3
_PIXELS_A_STEP: Final = 512 * 128 * 128
_DROPPED: Final = 0.1
_SAVE_STEPS: Final = 4000


class DenoiserOptions(Options):
    """The phase's own arguments."""

    vae: Path
    start: Path | None
    seed: int
    begin: float
    end: float
    finish: float


def _loss_of(
    unet: UNet2DConditionModel,
    text: CLIPTextModel,
    latents: Latents,
    empty: Tensor,
    *,
    count: int,
    finish: float,
) -> Callable[[], Tensor]:
    """Return the loss of one batch drawn from a pool, with some captions left unsaid."""
    device = latents.codes.device
    signal = signal_kept(device)

    def loss() -> Tensor:
        chosen = torch.randint(0, len(latents.codes), (count,), device=device)
        caption = torch.randint(0, latents.tokens.shape[1], (count,), device=device)
        unsaid = empty[torch.randint(0, len(empty), (count,), device=device)]
        dropped = torch.rand(count, device=device)[:, None] < _DROPPED
        words = torch.where(dropped, unsaid, latents.tokens[chosen, caption]).long()
        clean = latents.codes[chosen].float()
        times = spread_times(count, device, finish=finish)
        return velocity_loss(unet, clean, text(words)[0], times, signal)

    return loss


def _latents(
    options: DenoiserOptions, scale: Scale, device: torch.device, log: Log
) -> list[Latents]:
    kept = options.out / "latents.pt"
    if options.resume and kept.exists():
        return load_latents(kept, device)
    latents = prepare(options.vae, options.seed, scale, device, log)
    if options.end < 1:
        save_latents(latents, kept)
    return latents


def _train(
    options: DenoiserOptions,
    scale: Scale,
    descent: Descent,
    losses: list[Callable[[], Tensor]],
    log: Log,
) -> None:
    dice, seen = Random(options.seed + descent.step_count), 0  # noqa: S311 - no secret
    device = descent.loss.device
    for share in clock(training_seconds(options), options.steps, device):
        spent = options.begin + (options.end - options.begin) * share
        which = dice.choices(
            range(len(SIZES)), [s.early + (s.late - s.early) * spent for s in SIZES]
        )[0]
        rate = slope(spent, descent.step_count, peak=_PEAK, warm_steps=200, decay=0.6)
        descent.step(which, losses[which], rate)
        seen += _count(scale, SIZES[which])
        if descent.step_count % 250 == 1:
            log.say(
                "denoiser",
                step=descent.step_count,
                seen=seen,
                loss=round(descent.loss.item(), 4),
                spent=round(spent, 3),
            )
        if descent.step_count % _SAVE_STEPS == 0:
            torch.save(descent.state(), options.out / "state.pt")
    torch.save(descent.state(), options.out / "state.pt")
    log.say("denoiser done", step=descent.step_count, seen=seen, loss=round(descent.loss.item(), 4))


def _networks(start: Path | None) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    """Return fresh networks, or those of a model that was trained before."""
    if start is None:
        return network.denoiser(), network.text_encoder()
    unet = UNet2DConditionModel.from_pretrained(start / "unet")
    return unet.float(), CLIPTextModel.from_pretrained(start / "text_encoder", dtype=torch.float32)


def _count(scale: Scale, size: Size) -> int:
    return max(
        2, scale.pixels(_PIXELS_A_STEP) // (scale.length(size.width) * scale.length(size.height))
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the phase."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vae", type=Path, required=True, help="the autoencoder's folder")
    parser.add_argument("--start", type=Path, help="a trained model's folder to go on from")
    parser.add_argument("--seed", type=int, default=_SEED, help="of pictures and batches")
    parser.add_argument(
        "--begin", type=float, default=0.0, help="share of the training done before"
    )
    parser.add_argument("--end", type=float, default=1.0, help="share of the training done after")
    parser.add_argument(
        "--finish", type=float, default=0.0, help="share of each batch that sees little noise"
    )
    options = phase_arguments(parser, arguments, DenoiserOptions(), seconds=600)
    device, scale = phase_device(), settings_for(options)
    log = Log(options.out, "denoiser")
    latents = _latents(options, scale, device, log)
    torch.manual_seed(options.seed + int(1000 * options.begin))
    unet, text = (each.to(device) for each in _networks(options.start))
    descent = Descent(
        parameters=[*unet.parameters(), *text.parameters()],
        weight_decay=0.01,
        averaging=0.9992,
        precision=scale.precision,
    )
    if options.resume and (options.out / "state.pt").exists():
        descent.load(torch.load(options.out / "state.pt", map_location=device))
    dice = Random(options.seed)  # noqa: S311 - no secret
    empty = torch.tensor(
        encode([empty_caption(dice) for _ in range(3000)]), dtype=torch.int16, device=device
    )
    losses = [
        _loss_of(unet, text, each, empty, count=_count(scale, size), finish=options.finish)
        for each, size in zip(latents, SIZES, strict=True)
    ]
    _train(options, scale, descent, losses, log)
    descent.settle()
    unet.half().save_pretrained(options.out / "unet")
    text.half().save_pretrained(options.out / "text_encoder")


if __name__ == "__main__":
    main()
