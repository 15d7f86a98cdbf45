"""Train the decoder for the denoiser: ``python -m ops.train.decoder --model DIR --out DIR``.

Sampling ends with the denoiser's guess of a picture's latents, bent and stained a little; the
autoencoder's training showed its decoder the encoder's latents alone. This phase shows it the
guesses, and the true pictures to draw from them. It writes ``DIR/vae``: the encoder and the
latents' scale stay bit for bit, so that the denoiser's training holds; the decoder is new.
"""

import argparse
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from ops.train.descent import Descent, clock, slope
from ops.train.fidelity import decibels, picture_loss, sharpness, strength_loss
from ops.train.guesser import Guesser
from ops.train.latents import Latents, encode_pool
from ops.train.pool import Drawing, Pool, to_float
from ops.train.report import (
    Log,
    Options,
    Scale,
    phase_arguments,
    phase_device,
    seldom,
    settings_for,
    training_seconds,
)
from ops.train.scene import draw_lesson, draw_scene
from ops.train.sheet import save_sheet

_SEED: Final = 31
_PEAK: Final = 4e-4
_PIXELS_A_STEP: Final = 64 * 128 * 128
_SIDES: Final = ((128, 36_000), (192, 9_000), (256, 6_000))
"""The sides of the pictures, and how many of each."""

_TURNS: Final = (0, 1, 0, 2)
"""Which of the sides each step takes."""

_LATEST: Final = 350
"""The time step, of 1000, from which on no guess is shown."""

_PLAIN: Final = 4
"""One row in so many decodes the encoder's own latents."""

_EXAMINED: Final = (100, 250)
_UNSEEN: Final = 64


class DecoderOptions(Options):
    """The phase's own arguments."""

    model: Path
    seed: int


def falling_times(count: int, device: torch.device) -> Tensor:
    """Return time steps below the latest, one from each of ``count`` strata, early ones the most.

    The later the step, the less of the picture is left in the latents, and the more possible
    pictures a guess is the mean of; a decoder shown many of those learns to draw blurred means.
    The density falls in a straight line to nothing at the latest step. That weighs the loss as a
    factor (1 - time / latest) would, but spends no work on rows that hardly count.
    """
    strata = torch.arange(count, device=device)
    share = (torch.rand(count, device=device) + strata) / count
    return (_LATEST * (1 - (1 - share).sqrt())).long()


def decode(vae: AutoencoderKL, codes: Tensor) -> Tensor:
    """Decode scaled latents in the precision that the decoder has, which is not the encoder's."""
    latents = codes / vae.config.scaling_factor
    pictures: Tensor = vae.decode(latents.to(vae.post_quant_conv.weight.dtype)).sample.float()
    return pictures


def loss_of(
    vae: AutoencoderKL, guesser: Guesser, pool: Pool, latents: Latents, count: int
) -> Callable[[], Tensor]:
    """Return the loss of one batch of a pool: some plain latents, the rest guesses of them."""
    device, plain = pool.pictures.device, max(1, count // _PLAIN)

    def loss() -> Tensor:
        chosen = torch.randint(0, len(pool), (count,), device=device)
        caption = torch.randint(0, latents.tokens.shape[1], (count,), device=device)
        codes, tokens = latents.codes[chosen].float(), latents.tokens[chosen, caption]
        times = falling_times(count - plain, device)
        guesses = guesser.guess(codes[plain:], tokens[plain:], times)
        decoded = decode(vae, torch.cat([codes[:plain], guesses]))
        pictures = to_float(pool.pictures[chosen])
        return picture_loss(pictures, decoded) + strength_loss(pictures, decoded)

    return loss


@dataclass(frozen=True, slots=True)
class Trial:
    """Unseen pictures of one size, and by name the scaled latents that decode to them."""

    pictures: Tensor
    codes: dict[str, Tensor]


@seldom()
@torch.no_grad()
def _trial(guesser: Guesser, pool: Pool, latents: Latents) -> Trial:
    codes, device = latents.codes.float(), pool.pictures.device
    guesses = {
        f"t={time}": guesser.guess(
            codes, latents.tokens[:, 0], torch.full((len(pool),), time, device=device)
        )
        for time in _EXAMINED
    }
    return Trial(to_float(pool.pictures), {"plain": codes} | guesses)


@seldom()
@torch.no_grad()
def _examine(vae: AutoencoderKL, trials: list[Trial], log: Log, event: str) -> list[Tensor]:
    """Log every trial's fidelity; return the pictures of its noisiest guesses."""
    last = []
    for trial in trials:
        decoded = {name: decode(vae, codes) for name, codes in trial.codes.items()}
        psnr = {name: round(decibels(trial.pictures, each), 2) for name, each in decoded.items()}
        sharp = {name: round(sharpness(trial.pictures, each), 3) for name, each in decoded.items()}
        log.say(event, width=trial.pictures.shape[-1], psnr=psnr, sharpness=sharp)
        last.append(decoded[f"t={_EXAMINED[-1]}"])
    return last


def _begin(options: DecoderOptions) -> AutoencoderKL:
    """Return the model's autoencoder, or the one that an earlier run left."""
    left = options.out / "vae"
    resumed = options.resume and (left / "config.json").exists()
    return AutoencoderKL.from_pretrained(left if resumed else options.model / "vae").float()


def _train(
    options: DecoderOptions, descent: Descent, losses: list[Callable[[], Tensor]], log: Log
) -> None:
    budget = clock(training_seconds(options), options.steps, descent.loss.device)
    for step, spent in enumerate(budget):
        which = _TURNS[step % len(_TURNS)]
        rate = slope(spent, step, peak=_PEAK, warm_steps=100, decay=0.7)
        descent.step(which, losses[which], rate)
        if step % 250 == 0:
            log.say("decoder", step=step, loss=round(descent.loss.item(), 4), rate=round(rate, 6))
    descent.settle()


def _draw(
    options: DecoderOptions, scale: Scale, device: torch.device
) -> tuple[list[Pool], list[Pool]]:
    """Draw the pictures to train on, and those to examine with."""
    sizes = [(scale.length(s), scale.length(s), scale.pictures(count)) for s, count in _SIDES]
    fresh = [(width, height, min(_UNSEEN, count // 3)) for width, height, count in sizes]
    every, seed = range(len(sizes)), options.seed
    with Drawing(sizes=sizes, seed=seed, processes=scale.processes, draw=draw_lesson) as drawing:
        pools = [drawing.pool(i, device) for i in every]
    with Drawing(sizes=fresh, seed=seed + 1, processes=0, draw=draw_scene) as drawing:
        return pools, [drawing.pool(i, device) for i in every]


def main(arguments: list[str] | None = None) -> None:
    """Run the phase."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="the model's folder")
    parser.add_argument("--seed", type=int, default=_SEED, help="of pictures and batches")
    options = phase_arguments(parser, arguments, DecoderOptions(), seconds=150)
    device, scale, log = phase_device(), settings_for(options), Log(options.out, "decoder")
    pools, unseen = _draw(options, scale, device)
    log.say("rendered", pictures=[len(pool) for pool in pools])
    torch.manual_seed(options.seed)
    vae = _begin(options).to(device).eval()
    guesser = Guesser(model=options.model, device=device, precision=scale.precision)
    # The denoiser learned from latents that were encoded in this precision.
    coder = deepcopy(vae).to(scale.precision)
    latents = [encode_pool(coder, pool, scale.precision) for pool in pools]
    trials = [_trial(guesser, p, encode_pool(coder, p, scale.precision)) for p in unseen]
    before = _examine(vae, trials, log, "before")
    descent = Descent(
        parameters=[*vae.post_quant_conv.parameters(), *vae.decoder.parameters()],
        weight_decay=1e-4,
        averaging=0.998,
        precision=scale.precision,
    )
    losses = [
        loss_of(vae, guesser, p, z, max(2, scale.pixels(_PIXELS_A_STEP) // p.width**2))
        for p, z in zip(pools, latents, strict=True)
    ]
    _train(options, descent, losses, log)
    for trial, old, new in zip(trials, before, _examine(vae, trials, log, "after"), strict=True):
        rows = torch.stack([trial.pictures, old, new], 1).flatten(0, 1)
        save_sheet(options.out / f"decoder_{trial.pictures.shape[-1]}.png", rows[:36], 9)
    vae.save_pretrained(options.out / "vae")
    log.say("decoder done", step=descent.step_count)


if __name__ == "__main__":
    main()
