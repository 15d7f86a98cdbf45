"""The grammar keeps some combinations back, and a caption says what its scene shows."""

# ruff: noqa: S311 - the dice draw pictures, not secrets
from collections.abc import Iterator
from random import Random

import pytest

from ops.train.caption import caption, empty_caption
from ops.train.pool import LABELS, labels
from ops.train.scene import (
    Scene,
    draw_any,
    draw_lesson,
    draw_scene,
    held_ground,
    held_paint,
    is_hard,
    is_held,
)
from ops.train.words import BACKGROUNDS, NOUNS, PAINTS


def scenes(*, held: bool, count: int = 400) -> Iterator[tuple[Random, Scene]]:
    dice = Random(17)
    for _ in range(count):
        yield dice, draw_scene(dice, held=held)


def test_each_object_keeps_one_colour_and_one_background_back() -> None:
    for i, noun in enumerate(NOUNS):
        assert PAINTS[held_paint(i)].words[0] not in noun.natural
        assert BACKGROUNDS[held_ground(i)].words[0] not in {"white", "grey"}


def test_training_never_shows_what_is_held_out() -> None:
    dice = Random(17)
    lessons = [draw_lesson(dice) for _ in range(400)]
    for scene in [*(scene for _, scene in scenes(held=False)), *lessons]:
        for thing in scene.things:
            assert thing.paint != held_paint(thing.noun)
            assert scene.table or scene.background != held_ground(thing.noun)


def test_the_exam_shows_what_is_held_out() -> None:
    assert all(is_held(scene) for _, scene in scenes(held=True, count=50))


def test_lessons_show_more_of_what_is_hard() -> None:
    dice = Random(17)
    hard = [sum(is_hard(draw(dice)) for _ in range(2000)) for draw in (draw_scene, draw_lesson)]
    assert hard[1] > 1.3 * hard[0]


def test_an_examiner_sees_both_what_is_held_out_and_what_is_not() -> None:
    dice = Random(17)
    held = [is_held(draw_any(dice)) for _ in range(400)]
    assert any(held)
    assert not all(held)


def test_a_caption_names_each_object_and_its_colours() -> None:
    for dice, scene in scenes(held=False):
        text = caption(dice, scene, noise=False)
        for thing in scene.things:
            noun = NOUNS[thing.noun]
            assert any(name in text for name in (*noun.names, *noun.plurals))
            if scene.says_paint:
                assert any(word in text for word in (*PAINTS[thing.paint].words, "wooden"))
            if thing.second is not None:
                assert any(word in text for word in PAINTS[thing.second].words)


def test_a_caption_names_the_background_only_if_the_scene_says_so() -> None:
    silent = {"background", "backdrop", "wall", "studio"}
    for dice, scene in scenes(held=False):
        said = set(caption(dice, scene, noise=False).removeprefix("a studio").split())
        if not scene.says_ground:
            assert not said & (silent - {"studio"})
        elif not scene.table:
            words = " ".join(BACKGROUNDS[scene.background].words).split()
            assert said & {*words, *(f"{word}," for word in words), *(f"{word}." for word in words)}


def test_two_objects_have_their_own_labels() -> None:
    for _, scene in scenes(held=False):
        row = dict(zip(LABELS, labels(scene), strict=True))
        assert row["noun"] == scene.things[0].noun
        if len(scene.things) == 2:
            assert row["other_noun"] == scene.things[1].noun


def test_groups_are_of_one_colour() -> None:
    groups = [scene for _, scene in scenes(held=False) if scene.group]
    assert groups
    assert all(thing.second is None for scene in groups for thing in scene.things)


@pytest.mark.parametrize("seed", range(3))
def test_an_empty_caption_names_no_object(seed: int) -> None:
    text = empty_caption(Random(seed))
    assert not any(name in text.split() for noun in NOUNS for name in noun.names)
