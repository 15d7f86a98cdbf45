"""Prompts in compel's notation; the real parser reads them in `tests/contract/invokeai`."""

from dataclasses import replace

import pytest

from engines.invokeai.prompts import compel, read_prompts
from engines.spec import Lora
from tests.unit.invokeai.specs import SPEC


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("a cat", "a cat"),
        ("a (cat:1.2) on a mat", "a (cat)1.200 on a mat"),
        ("((a)) [b]", "(a)1.210 (b)0.909"),
        ("(a (b:1.5) c:1.2)", "(a)1.200 (b)1.800 (c)1.200"),
        (r"a \(b\)", r"a \(b\)"),
        ('say "hi"', r"say \"hi\""),
        ("C++ rocks", "C ++ rocks"),
        ("well-known", "well-known"),
        ("(a=b:1.3)", "(a)1.300 = (b)1.300"),
        ("a.swap(b)", "a. swap (b)1.100"),
        ("(a:1.2)5", "(a)1.200 5"),
        ("(a:-1)", "(a)0.000"),
        ("", ""),
    ],
)
def test_weights_go_behind_their_brackets_and_text_stays_text(ours: str, theirs: str) -> None:
    assert compel(ours) == theirs


def test_lora_tags_become_adapters() -> None:
    read = read_prompts(replace(SPEC, prompt="a cat <lora:ink:0.5> on a mat"))
    assert read.positive == "a cat on a mat"
    assert read.loras == (Lora("ink", 0.5),)
    assert read.shortfalls == ()


def test_a_lora_cannot_act_against_the_picture() -> None:
    read = read_prompts(replace(SPEC, negative_prompt="ugly <lora:ink:0.5>"))
    assert read.negative == "ugly"
    assert read.loras == ()
    assert [s.field for s in read.shortfalls] == ["negative_prompt"]


@pytest.mark.parametrize("prompt", ["[a:b:0.5]", "[a:3]", "[a|b]", "a BREAK b", "a AND b"])
def test_prompts_that_change_on_the_way_are_a_shortfall(prompt: str) -> None:
    [shortfall] = read_prompts(replace(SPEC, prompt=prompt)).shortfalls
    assert (shortfall.code, shortfall.field) == ("prompt_schedule", "prompt")


def test_weights_below_zero_are_a_shortfall() -> None:
    [shortfall] = read_prompts(replace(SPEC, prompt="(a:-1)")).shortfalls
    assert (shortfall.code, shortfall.field) == ("prompt_weight", "prompt")
