"""A folder of the user's workflows."""

import json
from pathlib import Path

import pytest

import engines.comfyui
from engines.comfyui.shelf import Shelf
from engines.comfyui.template import read_template
from engines.errors import InvalidSpecError, ModelNotFoundError
from tests.unit.comfyui.authored import UNCLEAR
from tests.unit.comfyui.graphs import FLUX, classic


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
