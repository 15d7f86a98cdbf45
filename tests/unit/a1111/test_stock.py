"""Names, and what a server's listings say."""

from dataclasses import replace
from typing import get_args

import pytest

from engines.a1111.cards import model_cards
from engines.a1111.methods import METHODS, Method, find_method, samplers_of
from engines.a1111.stock import (
    Adapter,
    Checkpoint,
    read_aliases,
    read_checkpoints,
    read_loras,
)
from engines.errors import EngineProtocolError, InvalidSpecError, ModelNotFoundError
from engines.spec import Sampler
from tests.unit.a1111.stocks import OLD, STOCK


@pytest.mark.parametrize(
    "name",
    [
        "sd15_photo",
        "sd15/photo.safetensors [abcdef1234]",
        "photo.safetensors",
        "photo",
        "abcdef1234",
        "abcdef1234" + "0" * 54,
        "PHOTO",
    ],
)
def test_a_checkpoint_is_found_by_any_of_its_names(name: str) -> None:
    assert STOCK.checkpoint(name).name == "sd15_photo"


def test_a_missing_checkpoint_is_refused_with_what_comes_near() -> None:
    with pytest.raises(ModelNotFoundError, match=r"no checkpoint 'fotos'.*photo") as caught:
        STOCK.checkpoint("fotos", field="refiner")
    assert caught.value.field == "refiner"


def test_other_kinds_are_found_or_refused() -> None:
    assert STOCK.lora("Indian Ink").name == "ink"
    assert STOCK.controlnet("control_canny") == "control_canny [d14c016b]"
    assert STOCK.upscaler("Latent (bicubic)", field="hires") == "Latent (bicubic)"
    with pytest.raises(ModelNotFoundError):
        STOCK.upscaler("Latent", field="upscale")
    with pytest.raises(ModelNotFoundError):
        STOCK.lora("water")
    with pytest.raises(ModelNotFoundError):
        STOCK.controlnet("depth")


@pytest.mark.parametrize(
    ("wanted", "method"),
    [
        ("dpmpp_2m_karras", Method("DPM++ 2M", "Karras")),
        ("dpmpp_2m", Method("DPM++ 2M", "Uniform")),
        ("unipc", Method("UniPC", "Automatic")),
        ("Euler a", Method("Euler a", "Automatic")),
        ("k_euler_a", Method("Euler a", "Automatic")),
        ("euler a sgm uniform", Method("Euler a", "SGM Uniform")),
        ("DPM++ 2M Karras", Method("DPM++ 2M", "Karras")),
        ("DPM++ 2M sgm_uniform", Method("DPM++ 2M", "SGM Uniform")),
    ],
)
def test_samplers(wanted: str, method: Method) -> None:
    assert find_method(wanted, STOCK) == method


def test_before_schedulers_the_schedule_is_part_of_the_name() -> None:
    assert find_method("dpmpp_2m_karras", OLD) == Method("DPM++ 2M Karras", "")
    assert find_method("dpmpp_2m", OLD) == Method("DPM++ 2M", "")
    assert find_method("DPM++ 2M Karras", OLD) == Method("DPM++ 2M Karras", "")


@pytest.mark.parametrize("wanted", ["nope", "lcm", "Euler Nope", ""])
def test_a_sampler_that_would_fall_back_in_silence_is_refused(wanted: str) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        find_method(wanted, STOCK)
    assert caught.value.field == "sampler"
    assert caught.value.code == "invalid_spec"


def test_a_schedule_that_the_server_lacks_is_refused() -> None:
    bare = replace(STOCK, schedulers={"Automatic": (), "Uniform": ()})
    with pytest.raises(InvalidSpecError, match="no scheduler 'Karras'; it has Automatic, Uniform"):
        find_method("dpmpp_2m_karras", bare)


def test_what_is_read_is_listed_in_our_words_first() -> None:
    samplers = samplers_of(STOCK)
    ours = ("euler", "euler_a", "dpmpp_2m", "dpmpp_2m_karras", "unipc")
    assert samplers.names == (*ours, "DPM++ 2M", "Euler a", "Euler", "UniPC")
    assert samplers.reads("dpm++ 2m sgm uniform")
    assert not samplers.reads("heun")
    old = samplers_of(OLD)
    assert old.names == ("dpmpp_2m", "dpmpp_2m_karras", "DPM++ 2M", "DPM++ 2M Karras")


def test_a_family_that_a_name_gives_away_is_a_guess() -> None:
    named = replace(STOCK, checkpoints=(Checkpoint(title="a", name="juggernautXL"),))
    [card] = [card for card in model_cards(named) if card.kind == "checkpoint"]
    assert (card.base, card.guessed, card.defaults.width) == ("sdxl", True, 1024)
    assert not any(card.guessed for card in model_cards(STOCK))


def test_every_sampler_of_ours_has_a_translation() -> None:
    assert set(METHODS) == set(get_args(Sampler))


def test_listings_as_servers_send_them() -> None:
    model = {
        "title": "a.safetensors",
        "model_name": "a",
        "hash": None,
        "sha256": None,
        "filename": "/m/a.safetensors",
        "config": None,
    }
    assert read_checkpoints([model]) == (
        Checkpoint(title="a.safetensors", name="a", filename="/m/a.safetensors"),
    )
    loras = [
        {"name": "x", "alias": "X", "path": "p", "metadata": {"ss_base_model_version": "sd_v1"}},
        {"name": "y", "alias": "None", "path": "p", "metadata": {}},
        {"name": "z", "metadata": {"ss_base_model_version": "sdxl_base_v1-0"}},
    ]
    assert read_loras(loras) == (
        Adapter("x", "X", "sd15"),
        Adapter("y", "None"),
        Adapter("z", "", "sdxl"),
    )
    schedulers = [{"name": "karras", "label": "Karras", "aliases": None, "default_rho": 7.0}]
    assert read_aliases(schedulers, key="label") == {"Karras": ("karras",)}


@pytest.mark.parametrize("listing", [{"detail": "x"}, [1], [{"name": "x"}], None])
def test_a_listing_of_another_shape_is_the_servers_fault(listing: object) -> None:
    with pytest.raises(EngineProtocolError):
        read_checkpoints(listing)


def test_cards_name_everything_once() -> None:
    cards = model_cards(STOCK)
    assert [(c.kind, c.name) for c in cards] == [
        ("checkpoint", "sd15_photo"),
        ("checkpoint", "new"),
        ("lora", "ink"),
        ("lora", "oil"),
        ("controlnet", "control_canny"),
        ("upscaler", "Lanczos"),
        ("upscaler", "R-ESRGAN 4x+"),
    ]
    assert cards[0].answers_to("photo.safetensors")
    assert cards[0].digest.startswith("abcdef1234")
    assert cards[2].base == "sd15"
