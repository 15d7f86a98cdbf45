"""What is written about the settings is what the code does."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from service.settings import Settings, read_settings

ROOT = Path(__file__).parents[2]
NAMES = {name.upper() for name in Settings.model_fields}
EXAMPLE = re.findall(
    r"^#([A-Z0-9_]+)=(.*)$", (ROOT / "ops" / "settings.env.example").read_text(), re.MULTILINE
)
ROWS = re.findall(
    r"^\| `([A-Z0-9_]+)` \| (?:`([^`]*)`)? ?\| (.+) \|$",
    (ROOT / "README.md").read_text(),
    re.MULTILINE,
)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without any setting."""
    for name in NAMES & set(os.environ):
        monkeypatch.delenv(name)
    return monkeypatch


def test_every_setting_stands_in_the_example_once() -> None:
    names = [name for name, _ in EXAMPLE]
    assert sorted(names) == sorted(NAMES)


def test_every_setting_stands_in_the_readme_once() -> None:
    assert sorted(name for name, _, _ in ROWS) == sorted(NAMES)


def test_the_example_shows_the_defaults(bare: pytest.MonkeyPatch) -> None:
    defaults = read_settings()
    for name, value in EXAMPLE:
        bare.setenv(name, value)
    assert read_settings() == defaults


def test_the_readme_shows_the_same_defaults() -> None:
    derived = {"MODELS_DIR"}
    shown = {name: value for name, value, _ in ROWS if name not in derived}
    assert shown == {name: value for name, value in EXAMPLE if name not in derived}


@pytest.mark.parametrize("document", ["README.md", "ops/engines.md"])
def test_links_to_files_lead_somewhere(document: str) -> None:
    path = ROOT / document
    targets = re.findall(r"\]\(([^)#:]+)\)", path.read_text())
    assert targets or document != "README.md"
    assert [target for target in targets if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("script", ["ops/run", "ops/check", "ops/setup", ".ci/run"])
def test_scripts_explain_themselves_from_any_folder(script: str, tmp_path: Path) -> None:
    run = subprocess.run([ROOT / script, "--help"], cwd=tmp_path, capture_output=True, check=True)
    assert run.stdout.decode().startswith(f"Usage: {script}")


def test_the_constraints_pin_exactly_what_can_be_installed() -> None:
    lines = (ROOT / "ops" / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert "torch==2.13.0" in pins
    assert [pin for pin in pins if not re.fullmatch(r"[a-z0-9-]+==[0-9][A-Za-z0-9.]*", pin)] == []
