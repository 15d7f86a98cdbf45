"""The judge's lessons and the plain colour measurement mean what they say."""

import numpy as np
import torch

from ops.train.exam import papers
from ops.train.judge import KEPT, Judge, bend, load_judge
from ops.train.measure import Palette, corners, lab, measurable, middle
from ops.train.outline import traceable
from ops.train.pool import LABELS, to_float
from ops.train.render import render
from ops.train.scene import is_held

CPU = torch.device("cpu")


def test_lab_of_white_and_red() -> None:
    white, red = lab(torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0]]))
    assert torch.allclose(white, torch.tensor([100.0, 0.0, 0.0]), atol=0.1)
    assert torch.allclose(red, torch.tensor([53.2, 80.1, 67.2]), atol=0.5)


def test_bending_moves_pixels_by_as_much_as_asked() -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(0, 1, 128).expand(4, 3, 128, 128).contiguous()
    moved = bend(ramp, torch.tensor([0.0, 1.0, 2.0, 4.0])) - ramp
    shift = moved[:, 0, 20:-20, 20:-20].square().mean((1, 2)).sqrt() * 127
    assert shift[0] < 0.01
    assert 0.5 < shift[1] < 1.7
    assert shift[1] < shift[2] < shift[3]


def test_the_exam_asks_what_it_says() -> None:
    seen, held, pairs, solids = papers(6)
    assert not any(is_held(question.scene) for question in seen.questions)
    assert all(is_held(question.scene) for question in held.questions)
    assert all(len(question.scene.things) == 2 for question in pairs.questions)
    assert all(traceable(question.scene) for question in solids.questions)
    assert seen.labels.shape == (6, len(LABELS))


def test_mean_colours_of_renders_are_recognized() -> None:
    paper = papers(24)[0]
    pictures = to_float(render(paper.records, 48, 48, CPU))
    facts = torch.from_numpy(paper.labels.astype(np.int64))
    ground = facts[:, LABELS.index("ground")]
    answers = Palette(corners(pictures), ground).nearest(corners(pictures))
    assert (answers == ground).float().mean() > 0.95
    plain = measurable(facts)
    assert plain.any()
    paint = facts[plain, LABELS.index("paint")]
    assert torch.equal(
        Palette(middle(pictures[plain]), paint).nearest(middle(pictures[plain])), paint
    )


def test_the_judge_looks_at_the_whole_and_at_both_halves() -> None:
    verdict = Judge().eval()(torch.zeros(2, 3, 128, 128))
    assert verdict.nouns.shape[:2] == verdict.paints.shape[:2] == (2, 3)
    assert verdict.bent.shape == (2,)


@torch.no_grad()
def test_the_kept_judge_names_what_renders_show_and_sees_that_they_are_bent() -> None:
    judge, paper = load_judge(KEPT, CPU), papers(24)[0]
    pictures = to_float(render(paper.records, 128, 128, CPU))
    facts, verdict = torch.from_numpy(paper.labels.astype(np.int64)), judge(pictures)
    assert (verdict.nouns[:, 0].argmax(-1) == facts[:, LABELS.index("noun")]).sum() >= 23
    assert (verdict.paints[:, 0].argmax(-1) == facts[:, LABELS.index("paint")]).sum() >= 22
    torch.manual_seed(0)
    bent = judge(bend(pictures, torch.full((24,), 1.5))).bent
    assert bent.min() > verdict.bent.median()
