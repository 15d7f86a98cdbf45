from typing import Any

import pytest

from engines.comfyui.binding import Role
from engines.comfyui.guess import guess, sampler_nodes
from tests.unit.comfyui.graphs import (
    CONTROLLED,
    FLUX,
    IMG2IMG,
    TWO_PASSES,
    Graph,
    classic,
    node,
    with_nodes,
)


def guessed(graph: Graph) -> dict[str, list[str]]:
    found = {}
    for role, made in guess(graph).items():
        assert not made.unclear, role
        if made.targets:
            found[role.value] = [f"{t.node}.{t.field}".rstrip(".") for t in made.targets]
    return found


def unclear(graph: Graph) -> dict[Role, set[str]]:
    return {
        role: {f"{t.node}.{t.field}".rstrip(".") for t in made.targets}
        for role, made in guess(graph).items()
        if made.unclear
    }


CLASSIC = {
    "prompt": ["6.text"],
    "negative": ["7.text"],
    "seed": ["3.seed"],
    "width": ["5.width"],
    "height": ["5.height"],
    "steps": ["3.steps"],
    "cfg": ["3.cfg"],
    "sampler": ["3.sampler_name"],
    "scheduler": ["3.scheduler"],
    "strength": ["3.denoise"],
    "model": ["4.ckpt_name"],
    "output": ["9"],
}


def test_the_classic_workflow() -> None:
    assert guessed(classic()) == CLASSIC


def test_positive_and_negative_are_told_apart_by_the_sampler_not_by_their_order() -> None:
    found = guessed(classic(n3__positive=["7", 0], n3__negative=["6", 0]))
    assert (found["prompt"], found["negative"]) == (["7.text"], ["6.text"])


def test_text_is_found_behind_conditioning_nodes_and_control_nets() -> None:
    found = guessed(CONTROLLED)
    assert found == CLASSIC | {"control": ["11.image"]}


def test_several_control_nets_take_their_pictures_in_the_order_of_their_application() -> None:
    graph = with_nodes(
        CONTROLLED,
        n13=node(
            "ControlNetApplyAdvanced",
            positive=["6", 0],
            negative=["7", 0],
            control_net=["10", 0],
            image=["14", 0],
        ),
        n14=node("LoadImage", image="depth.png"),
    )
    assert guessed(graph)["control"] == ["14.image", "11.image"]


def test_of_two_passes_the_first_takes_the_settings_and_both_the_seed() -> None:
    assert guessed(TWO_PASSES) == CLASSIC | {"seed": ["3.seed", "11.seed"]}
    assert sampler_nodes(TWO_PASSES) == ["3", "11"]


def test_pictures_to_start_from_and_masks() -> None:
    found = guessed(IMG2IMG)
    assert (found["image"], found["mask"]) == (["13.image"], ["12.image"])
    assert "width" not in found


def test_samplers_in_parts() -> None:
    assert guessed(FLUX) == {
        "prompt": ["4.clip_l", "4.t5xxl"],
        "seed": ["6.noise_seed"],
        "width": ["5.width"],
        "height": ["5.height"],
        "steps": ["8.steps"],
        "sampler": ["7.sampler_name"],
        "scheduler": ["8.scheduler"],
        "strength": ["8.denoise"],
        "model": ["1.unet_name"],
        "output": ["12"],
    }


def test_values_in_nodes_of_their_own_are_followed() -> None:
    graph = with_nodes(
        classic(n6__text=["20", 0], n3__seed=["21", 0], n5__width=["22", 0]),
        n20=node("PrimitiveString", value="a boat"),
        n21=node("Seed Everywhere", seed=5),
        n22=node("PrimitiveInt", value=640),
    )
    found = guessed(graph)
    assert (found["prompt"], found["seed"]) == (["20.value"], ["21.seed"])
    assert found["width"] == ["22.value"]


def test_a_value_that_is_computed_is_left_alone() -> None:
    graph = with_nodes(
        classic(n3__steps=["20", 0]),
        n20=node("MathInt", a=["21", 0], value=2),
        n21=node("PrimitiveInt", value=3),
    )
    assert "steps" not in guessed(graph)


def test_adapters_between_sampler_and_checkpoint_do_not_hide_it() -> None:
    graph = with_nodes(
        classic(n3__model=["20", 0]),
        n20=node("LoraLoader", model=["4", 0], clip=["4", 1], lora_name="x"),
    )
    assert guessed(graph)["model"] == ["4.ckpt_name"]


@pytest.mark.parametrize(
    "negative", [["6", 0], ["20", 0]], ids=["the same text", "the same text, zeroed"]
)
def test_a_negative_made_of_the_positive_takes_no_words(negative: list[Any]) -> None:
    graph = with_nodes(
        classic(n3__negative=negative), n20=node("ConditioningZeroOut", conditioning=["6", 0])
    )
    found = guessed(graph)
    assert found["prompt"] == ["6.text"]
    assert "negative" not in found


def test_two_texts_that_are_combined_are_unclear() -> None:
    graph = with_nodes(
        classic(n3__positive=["20", 0]),
        n20=node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["21", 0]),
        n21=node("CLIPTextEncode", text="at dusk", clip=["4", 1]),
    )
    assert unclear(graph) == {Role.PROMPT: {"6.text", "21.text"}}


def test_two_results_are_unclear_but_a_preview_beside_one_is_not() -> None:
    second = node("SaveImage", images=["8", 0], filename_prefix="b")
    assert unclear(with_nodes(classic(), n10=second)) == {Role.OUTPUT: {"9", "10"}}
    beside = node("PreviewImage", images=["8", 0])
    assert guessed(with_nodes(classic(), n10=beside))["output"] == ["9"]


def test_what_does_not_lead_to_the_result_does_not_count() -> None:
    graph = with_nodes(
        classic(),
        n20=node("CLIPTextEncode", text="left over", clip=["4", 1]),
        n21={**classic()["3"], "inputs": {**classic()["3"]["inputs"], "positive": ["20", 0]}},
    )
    assert guessed(graph) == CLASSIC


def test_two_pictures_to_start_from_are_unclear() -> None:
    graph = with_nodes(
        IMG2IMG,
        n14=node("ImageBlend", image=["13", 0], source=["15", 0]),
        n15=node("LoadImage", image="b.png"),
    )
    assert unclear(graph) == {Role.IMAGE: {"13.image", "15.image"}}


def test_without_a_sampler_the_only_text_is_the_prompt() -> None:
    graph = {
        "1": node("MakePicture", prompt="a boat"),
        "2": node("SaveImage", images=["1", 0], filename_prefix="x"),
    }
    assert guessed(graph) == {"prompt": ["1.prompt"], "output": ["2"]}


def test_wires_in_a_ring_are_followed_once() -> None:
    graph = with_nodes(
        classic(n3__positive=["20", 0]),
        n20=node("ConditioningConcat", conditioning_to=["21", 0]),
        n21=node("ConditioningConcat", conditioning_to=["20", 0]),
    )
    assert guess(graph)[Role.NEGATIVE].targets
