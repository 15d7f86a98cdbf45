"""The renderer draws one picture from the same dice, with straight edges and smooth shadows."""

# ruff: noqa: S311 - the dice draw pictures, not secrets
from random import Random

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ops.train.render import render
from ops.train.scene import Scene, Thing, draw_scene
from ops.train.stage import RECORD, stage
from ops.train.words import NOUNS

CPU = torch.device("cpu")


def noun(name: str) -> int:
    return next(i for i, each in enumerate(NOUNS) if each.names[0] == name)


def draw(scene: Scene, side: int, seed: int = 5) -> NDArray[np.float64]:
    records = np.array([stage(Random(seed), scene, 1.0)], RECORD)
    return render(records, side, side, CPU)[0].double().numpy()


def test_same_dice_same_picture() -> None:
    first, second = (
        render(np.array([stage(dice, draw_scene(dice), 1.5)], RECORD), 48, 32, CPU)
        for dice in (Random(9), Random(9))
    )
    assert first.shape == (1, 32, 48, 3)
    assert torch.equal(first, second)


def test_other_dice_other_picture() -> None:
    scene = Scene(things=(Thing(noun=0, paint=0),), background=3)
    assert np.abs(draw(scene, 32, seed=1) - draw(scene, 32, seed=2)).max() > 20


@pytest.mark.parametrize("name", [each.names[0] for each in NOUNS])
def test_each_object_stands_in_the_picture(name: str) -> None:
    picture = draw(Scene(things=(Thing(noun=noun(name), paint=0),), background=3), 40)
    redder = picture[..., 0] - picture[..., 2] > 30
    assert 0.01 < redder.mean() < 0.5
    assert not redder[0].any()


def test_colours_are_those_asked_for() -> None:
    picture = draw(Scene(things=(Thing(noun=noun("ball"), paint=0),), background=3), 32)
    red, green, blue = picture[17, 16]
    assert red > 2 * green
    assert red > 2 * blue
    assert picture[1, 1, 2] > picture[1, 1, 0] + 40


def test_a_second_colour_is_painted_only_when_asked_for() -> None:
    plain = draw(Scene(things=(Thing(noun=noun("ball"), paint=0),), background=1), 48)
    striped = draw(Scene(things=(Thing(noun=noun("ball"), paint=0, second=10),), background=1), 48)

    def white(picture: NDArray[np.float64]) -> float:
        return float((picture[14:32, 14:34].min(-1) > 150).mean())

    assert white(plain) < 0.05
    assert white(striped) > 0.2


def test_the_upright_edge_of_a_cube_is_straight() -> None:
    picture = draw(
        Scene(things=(Thing(noun=noun("cube"), paint=0),), background=3, view="level"), 96
    )
    redness = np.clip((picture[..., 0] - picture[..., 2] + 140) / 280, 0, 1)
    rows = np.arange(45, 60)
    edge = 48 - redness[rows, :48].sum(-1)
    line = np.polyval(np.polyfit(rows, edge, 1), rows)
    assert np.abs(edge - line).max() < 0.35


def turns(row: NDArray[np.float64]) -> int:
    """How often a row of light changes between brightening and darkening."""
    steps = np.diff(np.convolve(row, np.ones(5) / 5, "valid"))
    signs = np.sign(steps[np.abs(steps) > 0.25])
    return int((np.diff(signs) != 0).sum())


def test_a_soft_shadow_has_no_rings() -> None:
    hoop = Scene(things=(Thing(noun=noun("ring"), paint=0),), background=1)
    picture = draw(hoop, 128).mean(-1)
    # Along a row the ground brightens towards the middle, darkens into the shadow, brightens out
    # of it and darkens towards the rim: three turns. Each ring would add two.
    assert max(turns(picture[row]) for row in (98, 100, 102, 104)) <= 3
