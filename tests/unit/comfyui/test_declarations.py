"""What a user declares of a workflow that cannot be guessed."""

import pytest

from engines.comfyui.sketch import inputs_of
from engines.comfyui.template import read_template
from engines.errors import InvalidSpecError
from tests.unit.comfyui.authored import NAMES, UNCLEAR, asked, filled, template
from tests.unit.comfyui.graphs import Graph, classic, node, with_nodes


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
