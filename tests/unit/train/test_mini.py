"""The shipped model draws what it is asked for, and its card and files are as promised."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from numpy.typing import NDArray
from safetensors import safe_open

from engines.mini import MODEL_DIR
from ops.train.words import BACKGROUNDS, NOUNS, PAINTS

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own deprecations
LORA_DIR = Path(__file__).parents[2] / "data" / "mini"

Picture = NDArray[np.float64]
Draw = Callable[..., Picture]


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    loaded = StableDiffusionPipeline.from_pretrained(
        MODEL_DIR, dtype=torch.float32, local_files_only=True
    )
    loaded.set_progress_bar_config(disable=True)
    return loaded


@pytest.fixture
def draw(pipe: StableDiffusionPipeline) -> Draw:
    def drawn(prompt: str, seed: int = 1, side: int = 128) -> Picture:
        dice = torch.Generator().manual_seed(seed)
        out = pipe(
            prompt,
            width=side,
            height=side,
            num_inference_steps=10,
            guidance_scale=2.0,
            generator=dice,
            output_type="np",
        )
        return np.asarray(out.images[0], dtype=np.float64)

    return drawn


def middle(picture: Picture) -> Picture:
    side = len(picture)
    box = slice(int(0.44 * side), int(0.58 * side))
    colour: Picture = picture[box, box].mean((0, 1))
    return colour


def test_a_red_ball_on_blue(draw: Draw) -> None:
    picture = draw("a red ball on a blue background")
    red, green, blue = middle(picture)
    assert red > 2 * max(green, blue)
    corner = picture[:12, :12].mean((0, 1))
    assert corner[2] > corner[0] + 0.15


def test_the_seed_decides(draw: Draw) -> None:
    one, same, other = (draw("a yellow star on white", seed) for seed in (3, 3, 4))
    assert np.array_equal(one, same)
    assert np.abs(one - other).mean() > 0.01


def test_two_objects_have_their_own_colours(draw: Draw) -> None:
    picture = draw("a red ball and a blue cube on white")
    left, right = picture[56:76, 28:40].mean((0, 1)), picture[56:76, 88:100].mean((0, 1))
    assert left[0] > 2 * left[2]
    assert right[2] > 2 * right[0]


def test_a_lora_changes_just_its_colour(pipe: StableDiffusionPipeline, draw: Draw) -> None:
    before = draw("a red ball on a white background")
    pipe.load_lora_weights(LORA_DIR, weight_name="magenta.safetensors")
    try:
        magenta = middle(draw("a magenta ball on a white background"))
        after = draw("a red ball on a white background")
    finally:
        pipe.unload_lora_weights()
    assert magenta[0] > 1.8 * magenta[1]
    assert magenta[2] > 1.4 * magenta[1]
    assert np.abs(middle(after) - middle(before)).max() < 0.12


def test_the_folder_is_small_and_half_precise() -> None:
    assert sum(file.stat().st_size for file in MODEL_DIR.rglob("*")) < 25_000_000
    for weights in MODEL_DIR.rglob("*.safetensors"):
        with safe_open(weights, "pt") as tensors:
            assert {tensors.get_tensor(name).dtype for name in tensors.keys()} == {torch.float16}  # noqa: SIM118


def test_the_text_encoder_is_named_as_clip_is() -> None:
    with safe_open(MODEL_DIR / "text_encoder" / "model.safetensors", "pt") as tensors:
        assert all(name.startswith("text_model.") for name in tensors.keys())  # noqa: SIM118


def test_the_card_names_every_word() -> None:
    card = (MODEL_DIR / "README.md").read_text(encoding="utf-8")
    for said in (*NOUNS, *PAINTS, *BACKGROUNDS):
        word = said.names[0] if hasattr(said, "names") else said.words[0]
        assert word in card


def test_the_contact_sheet_is_light() -> None:
    assert (MODEL_DIR / "contact.png").stat().st_size < 700_000


def test_the_defaults_are_those_of_the_card() -> None:
    defaults = json.loads((MODEL_DIR / "kitty.json").read_text(encoding="utf-8"))["defaults"]
    assert 2 <= defaults["cfg"] <= 3
    assert 128 <= defaults["width"] <= 256
