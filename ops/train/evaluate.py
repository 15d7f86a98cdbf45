"""Examine a model: ``python -m ops.train.evaluate --model DIR --out DIR``.

Everything is reported for real renders too, and for renders bent on purpose: the judge's limits.
"""

import argparse
import json
from pathlib import Path
from typing import Final

import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor
from torch.nn import functional

from engines.diffusers.recipes import RECIPES
from ops.train.drawing import GUIDANCE, SAMPLER, draw, open_model
from ops.train.exam import Paper, papers
from ops.train.judge import KEPT, SIDE, Judge, bend, load_judge
from ops.train.measure import Palette, corners, measurable, middle
from ops.train.outline import traceable, wobble
from ops.train.pool import LABELS, Drawing, to_float
from ops.train.render import render
from ops.train.report import Log, Options, phase_arguments, phase_device
from ops.train.scene import draw_any
from ops.train.sheet import save_sheet
from ops.train.words import NOUNS

_EDGED: Final = ("cube", "pyramid", "gear", "house", "star", "chair")
_FALSE_ALARMS: Final = 0.03
"""The share of true outlines that the judge calls bent: the price of a strict eye."""
_BENDS: Final = (1.0, 1.5, 2.0, 3.0)

Scores = dict[str, float]


class EvaluateOptions(Options):
    """The phase's own arguments."""

    model: Path
    judge: Path
    count: int
    sides: list[int]
    guidance: float
    sampler: str


class Examiner:
    """Marks pictures against a paper's truth."""

    @torch.no_grad()
    def __init__(self, judge: Judge, device: torch.device, renders: int) -> None:
        """Take a judge, and so many fresh renders to set its threshold and the palettes by."""
        self._judge, self._device = judge, device
        with Drawing(sizes=[(SIDE, SIDE, renders)], seed=71, processes=0, draw=draw_any) as drawing:
            pool = drawing.pool(0, device)
        pictures, facts = to_float(pool.pictures), pool.labels
        ground = facts[:, LABELS.index("ground")]
        self._grounds = Palette(corners(pictures[ground >= 0]), ground[ground >= 0])
        plain = measurable(facts)
        self._paints = Palette(middle(pictures[plain]), facts[plain, LABELS.index("paint")])
        bent = torch.cat([judge(part).bent for part in torch.split(pictures, 500)])
        self.threshold = bent.quantile(1 - _FALSE_ALARMS).item()

    @torch.no_grad()
    def mark(self, pictures: Tensor, paper: Paper) -> tuple[Scores, Tensor]:
        """Return the share of right answers by kind, and which outlines are true, [n]."""
        truth = torch.from_numpy(paper.labels).to(self._device)
        small = functional.interpolate(pictures, (SIDE, SIDE), mode="bilinear", antialias=True)
        seen = [self._judge(part) for part in torch.split(small, 500)]
        nouns, paints = (
            torch.cat([getattr(v, name) for v in seen]).argmax(-1) for name in ("nouns", "paints")
        )
        ground = torch.cat([v.ground for v in seen]).argmax(-1) == truth[:, LABELS.index("ground")]
        true_outline = torch.cat([v.bent for v in seen]) <= self.threshold
        place = slice(0, 1) if int(truth[0, 0]) == 1 else slice(1, 3)
        noun_columns = [LABELS.index("noun"), LABELS.index("other_noun")][
            : place.stop - place.start
        ]
        paint_columns = [LABELS.index("paint"), LABELS.index("other_paint")][
            : place.stop - place.start
        ]
        noun = (nouns[:, place] == truth[:, noun_columns]).all(1)
        paint = (paints[:, place] == truth[:, paint_columns]).all(1)
        marks = {
            "object": noun,
            "colour": paint,
            "background": ground,
            "all": noun & paint & ground,
        }
        marks |= {
            "outline": true_outline,
            "all, outline true": noun & paint & ground & true_outline,
        }
        return {k: _share(v) for k, v in marks.items()} | self._measured(
            pictures, truth, paper
        ), true_outline

    def _measured(self, pictures: Tensor, truth: Tensor, paper: Paper) -> Scores:
        """Return what plain colour measurement says, without the judge."""
        ground = self._grounds.nearest(corners(pictures)) == truth[:, LABELS.index("ground")]
        scores = {"background by mean colour": _share(ground)}
        if (plain := measurable(truth)).any():
            paint = (
                self._paints.nearest(middle(pictures[plain])) == truth[plain, LABELS.index("paint")]
            )
            scores["colour by mean colour"] = _share(paint)
        if all(traceable(question.scene) for question in paper.questions):
            wobbles = torch.tensor([wobble(picture) for picture in pictures.cpu()])
            middling, worst = wobbles.quantile(
                torch.tensor([0.5, 0.95]), interpolation="nearest"
            ).tolist()
            scores |= {"wobble, median": round(middling, 3), "wobble, 95 %": round(worst, 3)}
        return scores


def _share(right: Tensor) -> float:
    return round(right.float().mean().item(), 4)


def _by_noun(paper: Paper, right: Tensor) -> Scores:
    noun = torch.from_numpy(paper.labels)[:, LABELS.index("noun")]
    names = {name: next(i for i, n in enumerate(NOUNS) if n.names[0] == name) for name in _EDGED}
    return {name: _share(right.cpu()[noun == i]) for name, i in names.items() if (noun == i).any()}


def _controls(
    examiner: Examiner, exam: list[Paper], device: torch.device, pipe: StableDiffusionPipeline
) -> dict[str, Scores]:
    """Mark true renders of every paper; of the first, those through the autoencoder and bent."""
    renders = [to_float(render(paper.records, SIDE, SIDE, device)) for paper in exam]
    paper, pictures = exam[0], renders[0]
    with torch.no_grad():
        coded = torch.cat(
            [
                pipe.vae(part.to(pipe.dtype)).sample.float().clamp(-1, 1)
                for part in torch.split(pictures, 100)
            ]
        )
    control = {"through the autoencoder": coded}
    for pixels in _BENDS:
        control[f"bent by {pixels} pixels"] = bend(
            pictures, torch.full((len(pictures),), pixels, device=device)
        )
    marks = {f"renders, {name}": examiner.mark(each, paper)[0] for name, each in control.items()}
    true = zip(exam, renders, strict=True)
    return {f"renders, {p.name}": examiner.mark(each, p)[0] for p, each in true} | marks


def main(arguments: list[str] | None = None) -> None:
    """Run the phase."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=Path, required=True, help="a StableDiffusionPipeline folder"
    )
    parser.add_argument("--judge", type=Path, default=KEPT, help="another judge.safetensors")
    parser.add_argument("--count", type=int, default=600, help="questions a paper")
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 192, 256])
    parser.add_argument("--guidance", type=float, default=GUIDANCE)
    parser.add_argument("--sampler", choices=RECIPES, default=SAMPLER)
    options = phase_arguments(parser, arguments, EvaluateOptions(), seconds=0)
    device, log = phase_device(), Log(options.out, "evaluate")
    torch.backends.cudnn.benchmark = False
    pipe = open_model(options.model, device=device, sampler=options.sampler)
    exam = papers(options.count)
    examiner = Examiner(load_judge(options.judge, device), device, 5 * options.count)
    controls = _controls(examiner, exam, device, pipe)
    results: dict[str, object] = {"controls": controls}
    for side in options.sides:
        for paper in exam:
            prompts = [question.prompt for question in paper.questions]
            pictures = draw(pipe, prompts, side, options.guidance)
            scores, true_outline = examiner.mark(pictures, paper)
            results[f"{paper.name}, {side}"] = scores | {
                "edged outlines": _by_noun(paper, true_outline)
            }
            log.say("marked", side=side, paper=paper.name, **scores)
            if side == options.sides[0]:
                save_sheet(options.out / f"{paper.name.replace(' ', '_')}.png", pictures[:40], 8)
    (options.out / "evaluation.json").write_text(
        json.dumps(results, indent=1) + "\n", encoding="utf-8"
    )
    log.say(
        "controls",
        **{name: [scores["all"], scores["outline"]] for name, scores in controls.items()},
    )


if __name__ == "__main__":
    main()
