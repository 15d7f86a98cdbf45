import json
from dataclasses import replace
from pathlib import Path

import pytest

import engines.comfyui
from engines.comfyui.canvas import Names
from engines.comfyui.shelf import Shelf
from engines.comfyui.sketch import class_of, inputs_of
from engines.comfyui.template import Template, read_template
from engines.errors import InvalidSpecError, ModelNotFoundError
from engines.spec import Control, GenerationSpec, Hires, InputRef, Lora
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

A, B = InputRef("a" * 64), InputRef("b" * 64)
NAMES = Names(checkpoint="", sampler="", scheduler="", prefix="kitty/1", images={A: "a", B: "b"})
UNCLEAR = with_nodes(
    classic(n3__positive=["20", 0]),
    n20=node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["21", 0]),
    n21=node("CLIPTextEncode", "Where", text="at dusk", clip=["4", 1]),
)


def template(graph: Graph, sidecar: object = None) -> Template:
    side = None if sidecar is None else json.dumps(sidecar).encode()
    return read_template("boats", json.dumps(graph).encode(), side)


def asked(of: Template, **wishes: object) -> GenerationSpec:
    """Return a spec that asks for what the author had set, but for the wishes."""
    plain = of.defaults
    spec = GenerationSpec(
        prompt="a cat",
        model=of.model,
        width=plain.width,
        height=plain.height,
        steps=plain.steps,
        cfg=plain.cfg,
        seed=7,
        sampler=plain.sampler,
    )
    return replace(spec, **wishes)  # type: ignore[arg-type]


def filled(of: Template, names: Names = NAMES, **wishes: object) -> tuple[Graph, list[str]]:
    workflow, shortfalls = of.fill(asked(of, **wishes), names)
    return workflow.graph, [s.field for s in shortfalls]


def test_a_spec_is_written_where_it_belongs() -> None:
    of = template(classic())
    graph, missing = filled(
        of,
        replace(NAMES, checkpoint="b.ckpt", sampler="euler", scheduler="beta"),
        negative_prompt="dogs",
        width=520,
        height=300,
        steps=9,
        cfg=3.0,
    )
    assert not missing
    sampler = dict(inputs_of(graph, "3"))
    assert (sampler["seed"], sampler["steps"], sampler["cfg"]) == (7, 9, 3.0)
    assert (sampler["sampler_name"], sampler["scheduler"]) == ("euler", "beta")
    assert sampler["denoise"] == 1.0
    assert (inputs_of(graph, "6")["text"], inputs_of(graph, "7")["text"]) == ("a cat", "dogs")
    assert (inputs_of(graph, "5")["width"], inputs_of(graph, "5")["height"]) == (520, 304)
    assert inputs_of(graph, "4")["ckpt_name"] == "b.ckpt"
    assert inputs_of(graph, "9")["filename_prefix"] == "kitty/1"


def test_the_template_itself_is_not_written_to() -> None:
    of = template(classic())
    filled(of)
    assert of.graph == classic()


def test_what_the_author_set_are_the_defaults_and_stays() -> None:
    of = template(classic())
    assert of.defaults.sampler == "heun/karras"
    assert (of.defaults.width, of.defaults.height) == (640, 448)
    assert (of.defaults.steps, of.defaults.cfg) == (25, 5.5)
    graph, missing = filled(of)
    assert not missing
    assert inputs_of(graph, "3")["sampler_name"] == "heun"
    assert inputs_of(graph, "4")["ckpt_name"] == "sd/tiny.safetensors"


def test_a_workflow_is_known_by_its_content() -> None:
    assert template(classic()).digest == template(classic()).digest
    assert template(classic()).digest != template(classic(n3__steps=1)).digest


def test_every_pass_takes_the_seed_and_the_first_the_steps() -> None:
    workflow, _ = template(TWO_PASSES).fill(asked(template(TWO_PASSES), steps=10), NAMES)
    assert inputs_of(workflow.graph, "11")["seed"] == 7
    assert workflow.passes == {"3": 10, "11": 12}


def test_pictures_and_strength_are_written_together() -> None:
    graph, missing = filled(template(IMG2IMG), init_image=A, mask=B, strength=0.2, steps=20)
    assert not missing
    assert (inputs_of(graph, "13")["image"], inputs_of(graph, "12")["image"]) == ("a", "b")
    assert (inputs_of(graph, "3")["denoise"], inputs_of(graph, "3")["steps"]) == (0.2, 4)
    graph, _ = filled(template(IMG2IMG))
    assert (inputs_of(graph, "13")["image"], inputs_of(graph, "3")["denoise"]) == ("in.png", 0.6)


def test_control_pictures_go_to_the_control_nets() -> None:
    graph, _ = filled(template(CONTROLLED), controls=(Control("", B),))
    assert inputs_of(graph, "11")["image"] == "b"


@pytest.mark.parametrize(
    ("graph", "wishes", "field"),
    [
        (classic(), {"init_image": A}, "init_image"),
        (classic(), {"controls": (Control("", A),)}, "controls"),
        (CONTROLLED, {"controls": (Control("", A), Control("", B))}, "controls"),
    ],
)
def test_without_its_own_pictures_nothing_is_drawn(
    graph: Graph, wishes: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        filled(template(graph), **wishes)
    assert caught.value.field == field


def test_what_a_workflow_does_not_take_is_a_shortfall() -> None:
    _, missing = filled(
        template(FLUX),
        replace(NAMES, checkpoint="x"),
        negative_prompt="dogs",
        cfg=3.0,
        loras=(Lora("x"),),
        hires=Hires(),
        clip_skip=1,
    )
    assert missing == ["negative_prompt", "cfg", "loras", "hires", "clip_skip"]


def test_a_scheduler_without_a_place_is_a_shortfall_of_the_sampler() -> None:
    graph = classic()
    del graph["3"]["inputs"]["scheduler"]
    names = replace(NAMES, sampler="euler", scheduler="karras")
    assert filled(template(graph), names)[1] == ["sampler"]


def test_what_nobody_asked_for_is_no_shortfall() -> None:
    assert filled(template(FLUX))[1] == []


def test_a_preview_becomes_a_file_of_our_name() -> None:
    graph, _ = filled(template(with_nodes(classic(), n9=node("PreviewImage", images=["8", 0]))))
    assert class_of(graph, "9") == "SaveImage"
    assert inputs_of(graph, "9")["filename_prefix"] == "kitty/1"


def test_a_workflow_without_a_result_draws_nothing() -> None:
    graph = classic()
    del graph["9"]
    with pytest.raises(InvalidSpecError, match="saves no picture"):
        filled(template(graph))


# -- declarations


@pytest.mark.parametrize(
    "place",
    ["21.text", "Where.text", {"node": 21, "field": "text"}, ["21.text"]],
)
def test_a_declaration_names_its_node_by_id_or_title(place: object) -> None:
    graph, missing = filled(template(UNCLEAR, {"prompt": place}))
    assert not missing
    assert (inputs_of(graph, "21")["text"], inputs_of(graph, "6")["text"]) == ("a cat", "a boat")


def test_a_declaration_names_its_node_by_class_where_there_is_one() -> None:
    graph, _ = filled(template(classic(), {"seed": "KSampler.seed", "size": "EmptyLatentImage"}))
    assert inputs_of(graph, "3")["seed"] == 7


def test_a_declaration_may_stand_in_the_workflow_which_then_runs_without_it() -> None:
    of = template({**UNCLEAR, "kitty": {"prompt": ["6.text", "21.text"], "negative": None}})
    assert "kitty" not in of.graph
    graph, missing = filled(of, negative_prompt="dogs")
    assert [inputs_of(graph, n)["text"] for n in ("6", "21")] == ["a cat", "a cat"]
    assert missing == ["negative_prompt"]


def test_an_output_is_declared_by_its_node() -> None:
    graph = with_nodes(classic(), n10=node("SaveImage", "Final", images=["8", 0]))
    workflow, _ = template(graph, {"output": "Final"}).fill(asked(template(classic())), NAMES)
    assert workflow.output == "10"
    assert inputs_of(workflow.graph, "9")["filename_prefix"] == "ComfyUI"


def test_a_recorded_post_is_a_workflow() -> None:
    assert template({"prompt": classic(), "client_id": "x"}).graph == classic()


@pytest.mark.parametrize(
    ("graph", "sidecar", "words"),
    [
        (UNCLEAR, None, "prompt: 21.text .*'Where'.* = 'at dusk', 6.text .*'Say'.* = 'a boat'"),
        (classic(), {"prompt": "Nowhere.text"}, "no node 'Nowhere', only 3 .KSampler."),
        (classic(), {"prompt": "CLIPTextEncode.text"}, "may be any of the nodes 6, 7"),
        (classic(), {"seed": "3.noise_seed"}, "node 3 has no input 'noise_seed', only seed"),
        (classic(), {"promt": "6.text"}, "no role 'promt', only size, prompt"),
        (classic(), {"prompt": 6}, 'not to "node.field"'),
        (classic(), ["prompt"], "binding is no JSON object"),
        ({"nodes": [], "links": []}, None, r"Export \(API\)"),
        ({"1": {"class_type": "X"}}, None, "node '1' has no class_type or no inputs"),
        ({}, None, "no JSON object with nodes"),
    ],
)
def test_what_is_wrong_with_a_workflow_is_said_clearly(
    graph: Graph, sidecar: object, words: str
) -> None:
    with pytest.raises(InvalidSpecError, match=words) as caught:
        template(graph, sidecar)
    assert str(caught.value).startswith("workflow 'boats': ")
    assert caught.value.field == "model"


def test_no_json_is_said_clearly() -> None:
    with pytest.raises(InvalidSpecError, match="no JSON"):
        read_template("boats", b"{")


# -- the folder


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_a_folder_of_workflows_is_listed_as_models(tmp_path: Path) -> None:
    write(tmp_path / "boats.json", classic())
    write(tmp_path / "dusk.json", UNCLEAR)
    write(tmp_path / "fixed.json", UNCLEAR)
    write(tmp_path / "fixed.bind.json", {"prompt": "6.text"})
    boats, dusk, fixed = Shelf(workflow=None, folder=tmp_path).models()
    assert [m.name for m in (boats, dusk, fixed)] == [
        f"workflow:{n}" for n in ("boats", "dusk", "fixed")
    ]
    assert boats.defaults.steps == 25
    assert (boats.error, fixed.error) == ("", "")
    assert "several inputs could be meant" in dusk.error


def test_named_workflows_draw_what_names_them_and_the_one_for_all_the_rest(tmp_path: Path) -> None:
    write(tmp_path / "boats.json", classic())
    everything = write(tmp_path / "all.json", FLUX)
    shelf = Shelf(workflow=everything, folder=tmp_path)
    found = [shelf.template(model) for model in ("workflow:boats", "workflow:all", "tiny", "")]
    assert [t and t.name for t in found] == ["boats", "all", "all", "all"]
    assert [m.name for m in shelf.models()] == ["workflow:all", "workflow:boats"]
    assert Shelf(workflow=None, folder=tmp_path).template("tiny") is None


def test_an_edited_workflow_counts_at_once(tmp_path: Path) -> None:
    shelf = Shelf(workflow=write(tmp_path / "all.json", classic()), folder=None)
    write(tmp_path / "all.json", classic(n3__steps=3))
    found = shelf.template("")
    assert found is not None
    assert found.defaults.steps == 3


def test_a_missing_workflow_is_named_with_those_there_are(tmp_path: Path) -> None:
    write(tmp_path / "boats.json", classic())
    with pytest.raises(ModelNotFoundError, match="no workflow 'cars'; there are boats"):
        Shelf(workflow=None, folder=tmp_path).template("workflow:cars")
    with pytest.raises(InvalidSpecError, match="'gone': No such file"):
        Shelf(workflow=tmp_path / "gone.json", folder=None).template("")


def test_the_example_needs_its_binding_and_is_sound_with_it() -> None:
    folder = Path(engines.comfyui.__file__).parent / "workflows"
    [example] = Shelf(workflow=None, folder=folder).models()
    assert (example.name, example.error) == ("workflow:two-pass", "")
    with pytest.raises(InvalidSpecError, match=r"prompt: 2\.text .*3\.text"):
        read_template("two-pass", (folder / "two-pass.json").read_bytes())
