from dataclasses import replace

import pytest

from engines.comfyui.wording import weighted, worded
from engines.spec import GenerationSpec, Lora

SPEC = GenerationSpec(
    prompt="", model="m", width=64, height=64, steps=1, cfg=1, seed=0, sampler="euler"
)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("a (cat:1.2), ((dog))", "a (cat:1.2), ((dog))"),
        ("a [far] cat", "a (far:0.909091) cat"),
        ("[a (b:1.5)]", "(a :0.909091)(b:1.36364)"),
        (r"[x] \(y\)", r"(x:0.909091) \(y\)"),
    ],
)
def test_square_brackets_become_weights(ours: str, theirs: str) -> None:
    assert weighted(ours) == theirs


def test_adapters_leave_the_prompt_and_join_the_others() -> None:
    spec = replace(SPEC, prompt="a cat <lora:ink:0.7>", loras=(Lora("oil"),))
    found = worded(spec)
    assert found.prompt == "a cat"
    assert found.loras == (Lora("oil"), Lora("ink", 0.7))
