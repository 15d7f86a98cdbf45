"""The outline's measure tells true renders from bent ones, and sees no dent where there is none."""

import math
from dataclasses import replace

import numpy as np
import torch

from ops.train.exam import papers
from ops.train.judge import bend
from ops.train.outline import traceable, wobble
from ops.train.pool import to_float
from ops.train.render import render
from ops.train.words import PAINTS

SOLIDS = papers(32)[3]


def test_a_bent_render_wobbles_more_than_a_true_one() -> None:
    torch.manual_seed(0)
    renders = to_float(render(SOLIDS.records, 128, 128, torch.device("cpu")))
    bent = bend(renders, torch.full((len(renders),), 3.0))
    true = np.array([wobble(each) for each in renders])
    assert true.max() < 0.5
    assert np.median([wobble(each) for each in bent]) > 2 * np.median(true)


def test_a_square_of_another_hue_has_no_dent_and_a_notched_one_has() -> None:
    picture = torch.ones(3, 256, 256)
    picture[1:, 60:200, 70:190] = -1
    picture[:, 120:130, 120:130] = 1  # a highlight in the middle is no dent
    assert wobble(picture) < 0.01
    picture[:, 60:100, 100:150] = 1
    assert wobble(picture) > 1


def test_a_picture_of_the_ground_alone_has_no_outline() -> None:
    assert math.isinf(wobble(torch.ones(3, 128, 128)))


def test_an_object_in_the_hue_of_its_ground_cannot_be_traced() -> None:
    white = next(i for i, paint in enumerate(PAINTS) if paint.words[0] == "white")
    scene = SOLIDS.questions[0].scene
    pale = replace(scene, background=0, things=(replace(scene.things[0], paint=white),))
    assert traceable(scene)
    assert not traceable(pale)
