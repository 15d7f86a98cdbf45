"""Train the autoencoder: ``python -m ops.train.autoencoder --out DIR``; writes ``DIR/vae``."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

from ops.train import network
from ops.train.descent import Descent, clock, slope
from ops.train.fidelity import decibels, picture_loss
from ops.train.pool import Drawing, Pool, to_float
from ops.train.report import Log, Options, Scale, phase_arguments, phase_device, settings_for
from ops.train.scene import draw_scene
from ops.train.sheet import save_sheet

UNFINISHED: Final = "unfinished"
"""The file that stands in a ``vae`` folder while its training goes on."""

_SEED: Final = 11
_PEAK: Final = 1.5e-3
_KL_WEIGHT: Final = 1.5e-4
_PIXELS_A_STEP: Final = 64 * 128 * 128


@dataclass(frozen=True, slots=True)
class View:
    """How a step looks at a pool: a random crop (0: all), and the zoom of its latents."""

    pool: int
    crop: int = 0
    zoom: float = 1.0


# Crops of large pictures hold more edges a pixel. The zoomed view asks that a latent, shrunk and
# mirrored like a picture, decodes to the picture shrunk and mirrored: such latents are smoother,
# which the denoiser learns faster (Kouzelis et al. 2025, "EQ-VAE", arXiv:2502.09509).
_VIEWS: Final = (
    View(0),
    View(1, crop=128),
    View(0),
    View(1, crop=192, zoom=0.75),
    View(0),
    View(1),
)


def _scaled(view: View, scale: Scale) -> View:
    return replace(view, crop=scale.length(view.crop))


def _pick(pool: Pool, crop: int, count: int) -> Tensor:
    device = pool.pictures.device
    rows = cols = torch.arange(crop or pool.height, device=device)
    if crop:
        # Centred on average: that is where the objects stand.
        free = pool.height - crop
        rows = rows + (torch.rand((), device=device) * (free + 1)).long().clamp(max=free)
        cols = cols + (torch.rand((), device=device) * (free + 1)).long().clamp(max=free)
    chosen = torch.randint(0, len(pool), (count,), device=device)
    return to_float(pool.pictures[chosen[:, None, None], rows[None, :, None], cols[None, None, :]])


def _zoomed(x: Tensor, zoom: float) -> Tensor:
    if zoom == 1.0:
        return x
    return functional.interpolate(x, scale_factor=zoom, mode="bilinear", antialias=True).flip(-1)


def _loss_of(
    vae: AutoencoderKL, pool: Pool, view: View, precision: torch.dtype, pixels: int
) -> Callable[[], Tensor]:
    count = max(2, pixels // (view.crop or pool.height) ** 2)

    def loss() -> Tensor:
        pictures = _pick(pool, view.crop, count)
        code = vae.encode(pictures.to(precision)).latent_dist
        mean, logvar = code.mean.float(), code.logvar.float()
        latents = _zoomed(mean + (0.5 * logvar).exp() * torch.randn_like(mean), view.zoom)
        decoded = vae.decode(latents.to(precision)).sample.float()
        kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        loss: Tensor = picture_loss(_zoomed(pictures, view.zoom), decoded) + _KL_WEIGHT * kl
        return loss

    return loss


def _begin(options: Options) -> AutoencoderKL:
    """Return a fresh autoencoder, or the one that an earlier run left."""
    if options.resume and (options.out / "vae" / "config.json").exists():
        return AutoencoderKL.from_pretrained(options.out / "vae", scaling_factor=1.0)
    return network.autoencoder()


@torch.no_grad()
def _measure(vae: AutoencoderKL, pools: list[Pool], log: Log, out: Path) -> None:
    """Log the fidelity on pictures that training did not see, and set the latents' scale."""
    spread = []
    for pool in pools:
        pictures = to_float(pool.pictures[:64])
        codes = vae.encode(pictures).latent_dist.mean
        decoded = vae.decode(codes).sample.clamp(-1, 1)
        log.say("autoencoder", width=pool.width, psnr=round(decibels(pictures, decoded), 2))
        spread.append(codes.flatten())
        save_sheet(
            out / f"autoencoder_{pool.width}.png",
            torch.stack([pictures, decoded], 1).flatten(0, 1)[:32],
            8,
        )
    vae.register_to_config(scaling_factor=1 / torch.cat(spread).std().item())
    log.say("latents", scaling_factor=vae.config.scaling_factor)


def main(arguments: list[str] | None = None) -> None:
    """Run the phase."""
    options = phase_arguments(
        argparse.ArgumentParser(description=__doc__), arguments, Options(), seconds=220
    )
    device, scale = phase_device(), settings_for(options)
    sizes = [
        (scale.side, scale.side, scale.pictures(60_000)),
        (2 * scale.side, 2 * scale.side, scale.pictures(16_000)),
    ]
    log = Log(options.out, "autoencoder")
    unfinished = options.out / "vae" / UNFINISHED
    unfinished.parent.mkdir(exist_ok=True)
    unfinished.touch()
    with Drawing(sizes=sizes, seed=_SEED, processes=scale.processes, draw=draw_scene) as drawing:
        torch.manual_seed(_SEED)
        vae = _begin(options).to(device)
        pools = [drawing.pool(i, device) for i in range(len(sizes))]
    log.say("rendered", pictures=[len(pool) for pool in pools])
    fresh = [(width, height, min(64, count)) for width, height, count in sizes]
    with Drawing(sizes=fresh, seed=_SEED + 1, processes=0, draw=draw_scene) as drawing:
        unseen = [drawing.pool(i, device) for i in range(len(fresh))]
    descent = Descent(
        parameters=list(vae.parameters()),
        weight_decay=1e-4,
        averaging=0.998,
        precision=scale.precision,
    )
    losses = [
        _loss_of(
            vae, pools[v.pool], _scaled(v, scale), scale.precision, scale.pixels(_PIXELS_A_STEP)
        )
        for v in _VIEWS
    ]
    for step, spent in enumerate(clock(options.seconds, options.steps, device)):
        which = step % len(_VIEWS)
        rate = slope(spent, step, peak=_PEAK, warm_steps=100, decay=0.7)
        descent.step(_VIEWS[which], losses[which], rate)
        if step % 500 == 0:
            log.say(
                "autoencoder", step=step, loss=round(descent.loss.item(), 4), rate=round(rate, 6)
            )
    descent.settle()
    _measure(vae.eval(), unseen, log, options.out)
    vae.save_pretrained(options.out / "vae")
    unfinished.unlink()
    log.say("autoencoder done", step=descent.step_count)


if __name__ == "__main__":
    main()
