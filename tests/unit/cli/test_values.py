"""What options are given becomes what the service is sent, or a word about what is wrong."""

import base64
from pathlib import Path

import pytest
import typer

from service.cli.options import option_of
from service.cli.values import Fields, number, picture, whole, word

HIRES = Fields({"scale": number, "steps": whole, "upscaler": word})
CONTROL = Fields({"model": word, "image": word, "weight": number}, needed=("model", "image"))


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("1.5", {"scale": 1.5}),
        ("scale=2", {"scale": 2.0}),
        ("2,steps=8,upscaler=latent", {"scale": 2.0, "steps": 8, "upscaler": "latent"}),
        ("2, steps=8", {"scale": 2.0, "steps": 8}),
        ("steps=8,scale=3", {"steps": 8, "scale": 3.0}),
        ("2,upscaler=a=b, c", {"scale": 2.0, "upscaler": "a=b, c"}),
    ],
)
def test_fields_are_read_by_name_and_the_first_without(text: str, fields: object) -> None:
    assert HIRES.read(text) == fields


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("much", "scale: 'much' is no number"),
        ("inf", "scale: 'inf' is no number"),
        ("2,steps=1.5", "steps: '1.5' is no whole number"),
        ("2,upscaler=", "upscaler: nothing is given"),
        ("2,scale=3", "scale is there twice"),
        ("2,strengh=1", "'strengh' is none of scale, steps, upscaler"),
        ("strengh=1", "'strengh' is none of scale, steps, upscaler"),
    ],
)
def test_a_field_that_is_wrong_is_named(text: str, complaint: str) -> None:
    with pytest.raises(typer.BadParameter, match=complaint):
        HIRES.read(text)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(typer.BadParameter, match="image= is missing in 'canny,weight=1'"):
        CONTROL.read("canny,weight=1")


def test_a_picture_is_a_file_or_the_key_of_a_stored_one(tmp_path: Path) -> None:
    path, key = tmp_path / "20260131_174500_0123abcd.png", "images/20260131_174500_0123abcd.png"
    assert picture(key) == key
    path.write_bytes(b"bytes")
    assert base64.standard_b64decode(picture(str(path))) == b"bytes"


def test_what_is_no_picture_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    for text, complaint in (
        (str(tmp_path / "nowhere.png"), "does not exist"),
        (str(tmp_path), "Is a directory"),
        (str(tmp_path / "empty.png"), "is empty"),
        ("a\0b", "null byte"),
    ):
        with pytest.raises(typer.BadParameter, match=complaint):
            picture(text)


@pytest.mark.parametrize(
    ("field", "option"),
    [
        ("width", "--width"),
        ("negative_prompt", "--negative"),
        ("hires.scale", "--hires scale"),
        ("loras.1.weight", "--lora 2 weight"),
        ("controls.0.image", "--control 1 image"),
    ],
)
def test_a_field_has_the_name_of_its_option(field: str, option: str) -> None:
    assert option_of(field) == option
