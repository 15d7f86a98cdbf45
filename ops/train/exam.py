"""The exam: prompts with known answers, many of them combinations that training never showed."""

# ruff: noqa: S311 - the dice choose questions, not secrets
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from ops.train.caption import caption
from ops.train.outline import traceable
from ops.train.pool import labels
from ops.train.scene import Scene, draw_scene
from ops.train.stage import RECORD, stage

_SEED = 101


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, the scene it describes, and the renderer's record of one such scene."""

    prompt: str
    scene: Scene
    record: NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Paper:
    """Questions of one kind, their true labels [n, 8] and their records [n]."""

    name: str
    questions: tuple[Question, ...]

    @property
    def labels(self) -> NDArray[np.int16]:
        """What each picture has to show, in the order of ``pool.LABELS``."""
        return np.array([labels(question.scene) for question in self.questions], np.int16)

    @property
    def records(self) -> NDArray[np.void]:
        """One render of each scene, as the renderer reads it."""
        return np.array([question.record for question in self.questions], RECORD)


def _single(scene: Scene) -> bool:
    return len(scene.things) == 1 and _said(scene)


def _pair(scene: Scene) -> bool:
    return len(scene.things) == 2 and not scene.group and _said(scene)  # noqa: PLR2004 - a pair is two


def _said(scene: Scene) -> bool:
    """Whether the caption names all that is asked: exact colours, and a plain ground."""
    exact = all(thing.shade == 0 and thing.finish != "metallic" for thing in scene.things)
    return exact and scene.says_paint and scene.says_ground and not scene.table


def _paper(name: str, count: int, fits: Callable[[Scene], bool], *, held: bool) -> Paper:
    dice = Random(f"{_SEED} {name}")
    questions: list[Question] = []
    while len(questions) < count:
        if fits(scene := draw_scene(dice, held=held)):
            questions.append(Question(caption(dice, scene), scene, stage(dice, scene, 1.0)))
    return Paper(name, tuple(questions))


def papers(count: int) -> list[Paper]:
    """Return the papers: one object seen, one held out, two objects, and solids to be traced.

    Of the last a quarter as many: tracing takes longer than drawing, and two figures come of it.
    """
    return [
        _paper("seen", count, _single, held=False),
        _paper("held out", count, _single, held=True),
        _paper("two objects", count, _pair, held=False),
        _paper(
            "solids", -(-count // 4), lambda scene: _said(scene) and traceable(scene), held=False
        ),
    ]
