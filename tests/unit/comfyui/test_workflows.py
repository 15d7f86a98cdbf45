"""Drawing with the user's own workflows."""

import json
from dataclasses import replace
from pathlib import Path

from engines.comfyui.client import Client
from engines.comfyui.resolver import Resolver
from engines.comfyui.template import read_template
from engines.http import Server
from engines.inputs import Inputs
from tests.contract.bench_comfyui import SPEC, engine_on
from tests.fakes.comfyui import FakeComfyUi
from tests.fakes.drawing import draw
from tests.unit.comfyui.graphs import classic, node, with_nodes
from tests.unit.comfyui.queueing import posted


async def test_a_workflow_for_everything_draws_with_the_model_asked_for(
    server: FakeComfyUi, tmp_path: Path
) -> None:
    path = tmp_path / "boats.json"
    path.write_text(json.dumps(classic(n4__ckpt_name="xl.safetensors")))
    server.shelf.folders["checkpoints"].append("xl.safetensors")
    engine = engine_on(server, tmp_path, workflow=path)
    [first, *_] = await engine.models()
    assert first.name == "workflow:boats"
    plain = first.defaults
    spec = replace(SPEC, width=plain.width, height=plain.height, sampler=plain.sampler)
    for model, checkpoint in (("workflow:boats", "xl"), ("", "xl"), ("tiny", "sd/tiny")):
        server.bodies.clear()
        picture, _ = await draw(engine, replace(spec, model=model))
        graph = posted(server)["prompt"]
        assert isinstance(graph, dict)
        assert graph["4"]["inputs"]["ckpt_name"] == f"{checkpoint}.safetensors"
        assert graph["6"]["inputs"]["text"] == SPEC.prompt
        assert picture.shortfalls == ()
        assert picture.facts["workflow"] == "boats"
        assert picture.facts["checkpoint"] == f"{checkpoint}.safetensors"
        assert picture.facts["sampler"] == "heun/karras"
        assert (picture.width, picture.height) == (640, 448)
    await engine.aclose()


async def test_what_a_workflow_draws_needs_no_other_file(
    server: FakeComfyUi, tmp_path: Path
) -> None:
    """A request may name any LoRA or ControlNet: their files are the workflow's own business."""
    (tmp_path / "boats.json").write_text(json.dumps(classic()))
    for settings, whole in (
        ({"workflows_dir": tmp_path}, {"workflow:boats"}),
        ({"workflow": tmp_path / "boats.json"}, {"workflow:boats", "sd/tiny.safetensors"}),
    ):
        engine = engine_on(server, tmp_path, **settings)
        drawn = [model for model in await engine.models() if model.kind == "checkpoint"]
        assert {model.name for model in drawn} == {"workflow:boats", "sd/tiny.safetensors"}
        assert {model.name for model in drawn if model.whole} == whole
        await engine.aclose()


async def test_a_workflow_that_draws_another_size_says_so(
    server: FakeComfyUi, tmp_path: Path
) -> None:
    graph = with_nodes(
        classic(n9__images=["10", 0]),
        n10=node("ImageScale", image=["8", 0], width=96, height=80, upscale_method="area"),
    )
    (tmp_path / "fixed.json").write_text(json.dumps(graph))
    engine = engine_on(server, tmp_path, workflows_dir=tmp_path)
    picture, _ = await draw(engine, replace(SPEC, model="workflow:fixed"))
    assert (picture.width, picture.height) == (96, 80)
    assert [(s.code, s.field) for s in picture.shortfalls] == [("size_changed", "width")]
    await engine.aclose()


async def test_a_sampler_that_only_the_workflow_knows_stays_where_it_is(
    server: FakeComfyUi, tmp_path: Path
) -> None:
    graph = classic(n3__sampler_name="authors_own")
    template = read_template("own", json.dumps(graph).encode())
    client = Client(server=Server(base_url=server.url))
    resolver = Resolver(client=client, inputs=Inputs(tmp_path))
    spec = replace(SPEC, model=template.model, sampler=template.defaults.sampler)
    assert (await resolver.template_names(spec, "1", template)).sampler == ""
    other = replace(spec, sampler="euler_a")
    names = await resolver.template_names(other, "1", template)
    assert (names.sampler, names.scheduler) == ("euler_ancestral", "normal")
    await client.aclose()


async def test_a_workflow_that_draws_several_pictures_gives_the_first_and_says_so(
    server: FakeComfyUi, tmp_path: Path
) -> None:
    (tmp_path / "two.json").write_text(json.dumps(classic(n5__batch_size=2)))
    engine = engine_on(server, tmp_path, workflows_dir=tmp_path)
    picture, _ = await draw(engine, replace(SPEC, model="workflow:two"))
    assert [s.code for s in picture.shortfalls] == ["pictures_dropped"]
    await engine.aclose()


async def test_an_unsound_workflow_for_everything_makes_the_engine_unhealthy(
    server: FakeComfyUi, tmp_path: Path
) -> None:
    path = tmp_path / "boats.json"
    path.write_text("{}")
    engine = engine_on(server, tmp_path, workflow=path)
    health = await engine.probe()
    assert not health.ok
    assert health.version == "0.38.1"
    assert "workflow 'boats'" in health.detail
    await engine.aclose()
