"""Who draws what: by engine, profile, model and default; and who takes over."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typing_extensions import override

from engines.base import EVERY_KIND, EngineName, Feature, ModelInfo, SizeBounds
from engines.config import Config, ConfigError, EngineConfig, Profile, read_config
from engines.errors import EngineDownError, InvalidSpecError, ModelNotFoundError
from engines.fake import FakeEngine
from engines.inputs import Inputs
from engines.models import Models
from engines.registry import Built, EngineSettings, build_engines
from engines.router import Router, Standing
from engines.spec import Draft, Hires, InputRef, Lora, Tiling, Upscale


class Painter(FakeEngine):
    """A fake engine with models of its own; without any it does not answer."""

    def __init__(self, name: str, *models: ModelInfo) -> None:
        super().__init__(name=EngineName(name))
        self.has, self.gone = models, not models

    @override
    async def models(self) -> Sequence[ModelInfo]:
        if self.gone:
            raise EngineDownError("away")
        return self.has


SMALL = ModelInfo("small", aliases=("tiny",), bounds=SizeBounds(128, 256), refused_samplers=("p",))
BIG, BROKEN = ModelInfo("big"), ModelInfo("broken", error="cut off")


async def route(
    *engines: Painter,
    profiles: Sequence[Profile] = (),
    closed: frozenset[str] | None = None,
    load: dict[str, int] | None = None,
    weights: dict[str, float] | None = None,
    disable: tuple[Feature, ...] = (),
    models: Models | None = None,
) -> Router:
    built = {
        e.name: Built(
            e,
            EngineConfig(
                name=e.name, kind="fake", weight=(weights or {}).get(e.name, 1), disable=disable
            ),
            "local",
        )
        for e in engines
    }
    if models is None:
        models = Models({e.name: e for e in engines})
        await models.refresh()
    return Router(
        engines=built,
        default=engines[0].name,
        models=models,
        profiles=profiles,
        standing=lambda n: Standing(
            closed=closed is None or n in closed, load=(load or {}).get(n, 0)
        ),
    )


async def test_the_request_s_engine_wins_then_the_model_s_home_then_the_default() -> None:
    router = await route(Painter("a", SMALL), Painter("b", BIG))
    assert router.settle(Draft("p")).engine == "a"
    assert router.settle(Draft("p", model="big")).engine == "b"
    named = router.settle(Draft("p", engine="b"))
    assert (named.engine, named.pinned, named.spec.model) == ("b", True, "big")
    assert router.settle(Draft("p", model="tiny")).spec.model == "small"


async def test_a_profile_fills_in_what_the_request_leaves_open() -> None:
    portrait = Profile(name="portrait", engine="b", steps=33, prefix="a portrait of ", cfg=4)
    router = await route(Painter("a", SMALL), Painter("b", BIG), profiles=[portrait])
    chosen = router.settle(Draft("a cat", profile="portrait", cfg=9.0))
    assert chosen.engine == "b"
    assert not chosen.pinned
    assert (chosen.spec.prompt, chosen.spec.steps, chosen.spec.cfg) == (
        "a portrait of a cat",
        33,
        9,
    )
    assert router.settle(Draft("a cat", profile="portrait", model="small")).engine == "a"


async def test_auto_goes_by_the_prompt() -> None:
    profiles = [
        Profile(name="texture", when=(r"\bseamless\b",), steps=7),
        Profile(name="portrait", when=("face", "person"), steps=9),
    ]
    router = await route(Painter("a", SMALL), profiles=profiles)
    assert router.settle(Draft("A Seamless brick wall", profile="auto")).spec.steps == 7
    assert router.settle(Draft("the face of a clock", profile="auto")).spec.steps == 9
    assert router.settle(Draft("a ball", profile="auto")).spec.steps == SMALL.defaults.steps


@pytest.mark.parametrize(
    ("draft", "field", "error"),
    [
        (Draft("p", engine="z"), "engine", InvalidSpecError),
        (Draft("p", profile="z"), "profile", InvalidSpecError),
        (Draft("p", model="z"), "model", ModelNotFoundError),
        (Draft("p", engine="a", model="broken"), "model", InvalidSpecError),
        (Draft("p", sampler="p"), "sampler", InvalidSpecError),
        (Draft("p", mask=InputRef("m")), "mask", InvalidSpecError),
        (Draft("p", width=4096, height=4096, hires=Hires(4)), "hires", InvalidSpecError),
        (
            Draft("p", width=2048, height=2048, hires=Hires(4), upscale=Upscale(2)),
            "upscale",
            InvalidSpecError,
        ),
    ],
)
async def test_what_cannot_be_is_refused_by_name(
    draft: Draft, field: str, error: type[InvalidSpecError]
) -> None:
    router = await route(Painter("a", SMALL, BROKEN))
    with pytest.raises(error) as refused:
        router.settle(draft)
    assert refused.value.field == field


async def test_a_broken_model_does_not_stand_before_a_good_one_of_its_name() -> None:
    broken = ModelInfo("broken", aliases=("tiny",), error="cut off")
    router = await route(Painter("a", broken, SMALL))
    assert router.settle(Draft("p", model="tiny")).spec.model == "small"


@pytest.mark.parametrize(("cfg", "told"), [(1.0, ["negative_prompt_unused"]), (1.5, [])])
async def test_a_negative_prompt_without_guidance_is_said_to_be_unread(
    cfg: float, told: list[str]
) -> None:
    router = await route(Painter("a", SMALL))
    draft = Draft("p", negative_prompt="n", cfg=cfg, width=128, height=128)
    assert [short.code for short in router.settle(draft).shortfalls] == told


async def test_what_is_not_honoured_is_said() -> None:
    router = await route(Painter("a", SMALL), disable=(Feature.LORA, Feature.TILING))
    draft = Draft("p", model="sdxl_base", width=1001, loras=(Lora("l"),), tiling=Tiling.X)
    settled = router.settle(draft)
    assert [(s.code, s.field) for s in settled.shortfalls] == [
        ("model_substituted", "model"),
        ("size_rounded", "width"),
        ("size_outside_model", "width"),
        ("size_outside_model", "height"),
        ("unsupported", "loras"),
        ("unsupported", "tiling"),
    ]
    assert (settled.spec.width, settled.spec.loras) == (1000, ())
    router = await route(Painter("a", SMALL), disable=(Feature.IMG2IMG,))
    with pytest.raises(InvalidSpecError, match="img2img"):
        router.settle(Draft("p", init_image="0" * 64))  # type: ignore[arg-type]


async def test_an_engine_that_is_away_gets_the_job_unchecked() -> None:
    settled = (await route(Painter("a"))).settle(Draft("p", model="anything"))
    assert settled.spec.model == "anything"
    assert [s.code for s in settled.shortfalls] == ["model_unchecked"]


async def test_work_goes_where_there_is_least_of_it_for_the_weight() -> None:
    engines = (Painter("a", BIG), Painter("b", BIG))
    draft = Draft("p", model="big")
    assert (await route(*engines, load={"a": 5, "b": 3})).settle(draft).engine == "b"
    router = await route(*engines, load={"a": 5, "b": 3}, weights={"a": 2})
    assert router.settle(draft).engine == "a"
    assert (await route(*engines, closed=frozenset("b"))).settle(draft).engine == "b"


async def test_another_engine_takes_over_only_if_it_can_and_works() -> None:
    engines = (Painter("a", BIG), Painter("b", BIG), Painter("c", SMALL))
    router = await route(*engines)
    spec = router.settle(Draft("p", model="big")).spec
    assert router.alternative(EngineName("a"), spec) == "b"
    router = await route(*engines, closed=frozenset("ac"))
    assert router.alternative(EngineName("a"), spec) is None


def with_files(name: str, *files: ModelInfo) -> Painter:
    """An engine that has the model `big`, and lists all its files."""
    painter = Painter(name, BIG, *files)
    painter.capabilities = replace(painter.capabilities, lists=EVERY_KIND)
    return painter


INK = ModelInfo("ink.safetensors", kind="lora", aliases=("ink",))
WITH_INK = Draft("p", model="big", loras=(Lora("ink"),))


async def test_of_a_model_s_homes_one_that_has_all_files_draws() -> None:
    engines = (with_files("a"), with_files("b", INK))
    router = await route(*engines)
    assert router.settle(Draft("p", model="big")).engine == "a"
    settled = router.settle(WITH_INK)
    assert (settled.engine, settled.shortfalls) == ("b", ())
    assert router.alternative(EngineName("b"), settled.spec) is None
    assert router.alternative(EngineName("a"), settled.spec) == "b"
    busy = await route(*engines, closed=frozenset("a"), load={"b": 99})
    assert busy.settle(WITH_INK).engine == "b"
    with pytest.raises(ModelNotFoundError) as refused:
        router.settle(replace(WITH_INK, engine="a"))
    assert refused.value.field == "loras.0.name"


async def test_only_an_engine_that_can_say_so_has_not() -> None:
    down, up = with_files("a"), with_files("b")
    models = Models({e.name: e for e in (down, up)})
    await models.refresh()
    router = await route(down, up, models=models)
    with pytest.raises(ModelNotFoundError):
        router.settle(WITH_INK)
    down.gone = True
    await models.look_again(patience_seconds=60)
    settled = router.settle(WITH_INK)
    assert settled.engine == "a"
    assert [(s.code, s.field) for s in settled.shortfalls] == [("model_unchecked", "loras.0.name")]
    unknown = router.settle(Draft("p", engine="a", model="new"))
    assert [s.code for s in unknown.shortfalls] == ["model_unchecked"]
    assert unknown.spec.model == "new"


async def test_an_engine_that_does_not_list_a_kind_is_not_asked_for_it() -> None:
    router = await route(Painter("a", BIG))
    assert router.settle(WITH_INK).shortfalls == ()


async def test_a_model_that_can_be_fetched_is_not_refused() -> None:
    painter = with_files("a")
    painter.capabilities = replace(painter.capabilities, fetches="[a-z]+/[a-z]+")
    router = await route(painter)
    settled = router.settle(Draft("p", model="owner/model"))
    assert settled.spec.model == "owner/model"
    assert [s.code for s in settled.shortfalls] == ["model_unchecked"]
    for name in ("owner/model/more", "model"):
        with pytest.raises(ModelNotFoundError):
            router.settle(Draft("p", model=name))


async def test_a_workflow_that_brings_its_own_files_is_asked_for_no_other() -> None:
    painter = with_files("a")
    painter.has = (replace(BIG, whole=True),)
    assert (await route(painter)).settle(WITH_INK).spec.loras == (Lora("ink"),)


async def test_what_an_engine_cannot_do_it_needs_no_file_for() -> None:
    router = await route(with_files("a"), disable=(Feature.LORA,))
    assert [s.code for s in router.settle(WITH_INK).shortfalls] == ["unsupported"]


def test_the_file_builds_several_engines_of_a_kind(tmp_path: Path) -> None:
    path = tmp_path / "kitty.toml"
    path.write_text(
        '[[engines]]\nname = "comfy-a"\nkind = "comfyui"\nurl = "http://127.0.0.1:8188"\n'
        '[[engines]]\nname = "comfy-b"\nkind = "comfyui"\nurl = "http://studio:8188"\nweight = 2\n'
        '[[profiles]]\nname = "portrait"\nengine = "comfy-b"\nwhen = ["face"]\n'
    )
    config = read_config(path)
    settings = EngineSettings(default="", models_dir=tmp_path, data_dir=tmp_path)
    built = build_engines(settings, config, inputs=Inputs(tmp_path))
    assert {name: one.gpu for name, one in built.items() if name.startswith("comfy")} == {
        "comfy-a": "local",
        "comfy-b": "studio",
    }
    assert config.profiles[0].matches("A FACE")


@pytest.mark.parametrize(
    "text",
    [
        "[[engines]",
        '[[engines]]\nname = "a"\nkind = "crayons"\n',
        '[[engines]]\nname = "a"\nkind = "fake"\ncolour = "red"\n',
        '[[engines]]\nname = "a"\nkind = "comfyui"\n',
        '[[profiles]]\nname = "a"\nwhen = ["("]\n',
        '[[profiles]]\nname = "a"\n[[profiles]]\nname = "a"\n',
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kitty.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_config(path)
    assert "\n" not in str(refused.value).strip()
    assert read_config(None) == Config()


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "kitty.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError):
        read_config(path)
