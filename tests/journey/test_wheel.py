"""The built wheel is complete: installed elsewhere, one command of it draws a picture."""

import asyncio
import shutil
import socket
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from PIL import Image

from tests.journey.running import ROOT, environment

PARTS = ("engines", "scheduler", "service", "templates", "pyproject.toml", "README.md", "LICENSE")


async def run(*command: str | Path, cwd: Path, **settings: str) -> str:
    """Return what a command prints, the error stream aside; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=cwd,
        env=environment(cwd / "data", **settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.fixture
async def programs(tmp_path: Path) -> Path:
    """The folder of programs of a virtualenv that has the wheel, and others' packages lent."""
    source = tmp_path / "source"
    source.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / part, source / part, ignore=ignored)
        else:
            shutil.copy(ROOT / part, source)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    wheel = ("wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, source)
    await run(*pip, *wheel, cwd=source)
    [built] = tmp_path.glob("*.whl")  # noqa: ASYNC240 - nothing else is going on here
    shutil.rmtree(source)
    place = tmp_path / "venv"
    venv.create(place, symlinks=True)
    programs = place / "bin"
    await run(*pip, "--python", programs / "python", "install", "--no-deps", built, cwd=tmp_path)
    own = Path(sysconfig.get_path("purelib", vars={"base": str(place)}))
    (own / "lent.pth").write_text(sysconfig.get_path("purelib"))
    return programs


async def test_an_installed_wheel_draws_with_its_built_in_model(
    programs: Path, tmp_path: Path
) -> None:
    somewhere = tmp_path / "somewhere"
    somewhere.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    alone = {"PYTHONPATH": "", "IMAGE_ENGINE": "", "SERVICE_PORT": str(port)}
    path = await run(
        *(programs / "python", "-P", "-c", "import service; print(service.__file__)"),
        cwd=somewhere,
        **alone,
    )
    assert Path(path.strip()).is_relative_to(programs.parent)
    words = ("--once", "a red ball on a blue background")
    out = await run(programs / "kitty-images-run", *words, cwd=somewhere, **alone)
    with Image.open(out.splitlines()[-1]) as picture:
        assert picture.size == (192, 192)
        red, _, blue = picture.convert("RGB").getpixel((96, 96))
    assert red > 2 * blue
    assert [left.name for left in somewhere.iterdir()] == ["data"]
