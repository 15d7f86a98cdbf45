"""Train the judge: ``python -m ops.train.judge --out DIR``; an eye that never saw a drawn picture.

It learns on renders alone, of every combination, also those that are kept from the model: what
stands where in which colour, and whether outlines are true: half
of its lessons are renders bent by smooth waves of one to four pixels. Blur and noise come to both
halves, so that it judges the outline, not the sharpness.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from ops.train.descent import clock, slope
from ops.train.pool import LABELS, Drawing, Pool, to_float
from ops.train.report import Log, Options, phase_arguments, phase_device, settings_for
from ops.train.scene import draw_any
from ops.train.words import BACKGROUNDS, NOUNS, PAINTS

SIDE: Final = 128
KEPT: Final = Path(__file__).with_name("judge.safetensors")
"""The judge that comes with the recipe, so that figures can be compared without training one."""

_SEED: Final = 37
_PEAK: Final = 2e-3
_BATCH: Final = 384


@dataclass(frozen=True, slots=True)
class Verdict:
    """Scores (logits) a picture: objects and paints for the whole, the left and the right half."""

    nouns: Tensor
    paints: Tensor
    ground: Tensor
    bent: Tensor


def _block(inner: int, outer: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, 2, 1), nn.BatchNorm2d(outer), nn.ReLU(),
        nn.Conv2d(outer, outer, 3, 1, 1), nn.BatchNorm2d(outer), nn.ReLU(),
        nn.Conv2d(outer, outer, 3, 1, 1), nn.BatchNorm2d(outer), nn.ReLU(),
    )  # fmt: skip


class Judge(nn.Module):
    """A small convolutional network on pictures of 128 pixels, [n, 3, 128, 128] in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.detail = nn.Sequential(_block(3, 32), _block(32, 64), _block(64, 128))
        self.sense = _block(128, 192)
        self.noun = nn.Linear(2 * 192, len(NOUNS))
        self.paint = nn.Linear(2 * 192, len(PAINTS))
        self.ground = nn.Linear(2 * 192, len(BACKGROUNDS))
        self.bent = nn.Linear(2 * (128 + 192), 1)

    @override
    def forward(self, pictures: Tensor) -> Verdict:
        """Judge the pictures; nouns and paints come as [n, 3, classes]: whole, left, right."""
        detail = self.detail(pictures)
        seen = self.sense(detail)
        half = seen.shape[-1] // 2
        parts = torch.stack(
            [_pooled(seen), _pooled(seen[..., :half]), _pooled(seen[..., half:])], 1
        )
        whole = parts[:, 0]
        outline = torch.cat([whole, _pooled(detail)], 1)
        return Verdict(
            self.noun(parts), self.paint(parts), self.ground(whole), self.bent(outline)[:, 0]
        )


def _pooled(seen: Tensor) -> Tensor:
    return torch.cat([seen.mean((2, 3)), seen.amax((2, 3))], 1)


def bend(pictures: Tensor, pixels: Tensor) -> Tensor:
    """Bend pictures by smooth random waves of so many pixels (root mean square), [n]."""
    count, _, height, width = pictures.shape
    device = pictures.device
    shift = torch.zeros(count, 2, height, width, device=device)
    for waves in (5, 9):
        coarse = torch.randn(count, 2, waves, waves, device=device)
        shift += functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
    shift *= (pixels / shift.square().mean((1, 2, 3)).sqrt())[:, None, None, None] * 2 / width
    level = torch.eye(2, 3, device=device).expand(count, 2, 3)
    grid = functional.affine_grid(level, list(pictures.shape), align_corners=False) + shift.permute(
        0, 2, 3, 1
    )
    return functional.grid_sample(
        pictures, grid, mode="bicubic", padding_mode="reflection", align_corners=False
    )


def _lesson(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return pictures as a model might have drawn them, and which of them are bent."""
    count, device = len(pictures), pictures.device
    bent = torch.rand(count, device=device) < 0.5  # noqa: PLR2004 - a fair coin
    wide = 1 + 3 * torch.rand(count, device=device)
    seen = bend(pictures, torch.where(bent, wide, 0.2 * torch.rand(count, device=device)))
    soft = functional.avg_pool2d(seen, 3, 1, 1)
    seen = torch.lerp(seen, soft, torch.rand(count, 1, 1, 1, device=device))
    gain = 1 + 0.05 * torch.randn(count, 1, 1, 1, device=device)
    return seen * gain + 0.03 * torch.rand(count, 1, 1, 1, device=device) * torch.randn_like(
        seen
    ), bent


def _loss(verdict: Verdict, facts: Tensor, bent: Tensor) -> Tensor:
    column = {name: facts[:, i].long() for i, name in enumerate(LABELS)}
    single = column["count"] == 1
    pair = column["count"] == 2  # noqa: PLR2004 - a pair is two
    total = 2 * functional.binary_cross_entropy_with_logits(verdict.bent, bent.float())
    total = total + functional.cross_entropy(verdict.ground, column["ground"], ignore_index=-1)
    for scores, name in ((verdict.nouns, "noun"), (verdict.paints, "paint")):
        for place, (which, said) in enumerate(
            ((single, name), (pair, name), (pair, f"other_{name}"))
        ):
            wanted = torch.where(which, column[said], -1)
            losses = functional.cross_entropy(
                scores[:, place], wanted, ignore_index=-1, reduction="sum"
            )
            total = total + losses / which.sum().clamp(min=1)
    return total


def train(pool: Pool, options: Options, log: Log, batch: int) -> Judge:
    """Train a judge on a pool of pictures of 128 pixels."""
    device = pool.pictures.device
    # Its convolutions are fastest with the channel innermost.
    judge = Judge().to(device)
    judge.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's own gap
    optimizer = torch.optim.AdamW(judge.parameters(), _PEAK, weight_decay=0.05)
    for step, spent in enumerate(clock(options.seconds, options.steps, device)):
        for group in optimizer.param_groups:
            group["lr"] = slope(spent, step, peak=_PEAK, warm_steps=50, decay=0.9)
        chosen = torch.randint(0, len(pool), (batch,), device=device)
        pictures, bent = _lesson(to_float(pool.pictures[chosen]))
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            verdict = judge(pictures.contiguous(memory_format=torch.channels_last))
        floats = Verdict(*(getattr(verdict, name).float() for name in Verdict.__slots__))
        loss = _loss(floats, pool.labels[chosen], bent)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        if step % 200 == 0:
            right = ((floats.bent > 0) == bent).float().mean().item()
            log.say("judge", step=step, loss=round(loss.item(), 4), outlines_right=round(right, 3))
    judge.eval()
    return judge


def load_judge(file: Path, device: torch.device) -> Judge:
    """Return the judge that a run of this phase saved."""
    judge = Judge()
    judge.load_state_dict(load_file(file))
    return judge.float().eval().to(device)


def main(arguments: list[str] | None = None) -> None:
    """Run the phase."""
    options = phase_arguments(
        argparse.ArgumentParser(description=__doc__), arguments, Options(), seconds=80
    )
    device, scale = phase_device(), settings_for(options)
    log = Log(options.out, "judge")
    with Drawing(
        sizes=[(SIDE, SIDE, scale.pictures(100_000))],
        seed=_SEED,
        processes=scale.processes,
        draw=draw_any,
    ) as drawing:
        torch.manual_seed(_SEED)
        pool = drawing.pool(0, device)
    judge = train(pool, options, log, 4 if scale.smoke else _BATCH)
    save_file(
        {name: tensor.half().contiguous() for name, tensor in judge.state_dict().items()},
        options.out / "judge.safetensors",
    )
    log.say("judge done")


if __name__ == "__main__":
    main()
