"""The file of engines: what it builds, and what is wrong with it."""

from pathlib import Path

import pytest

from engines.config import Config, ConfigError, read_config
from engines.inputs import Inputs
from engines.registry import EngineSettings, build_engines


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
