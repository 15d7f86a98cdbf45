"""What `ops/run` does once everything is set up."""

import asyncio
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

from tests.journey.running import ROOT, Service, environment


@pytest.fixture
def port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        number: int = server.getsockname()[1]
    return number


@asynccontextmanager
async def started(
    data: Path, *words: str, **settings: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run it; it is not left behind."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service.cli.first_run", *words),
        stdin=asyncio.subprocess.PIPE,
        env=environment(data, **settings),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.communicate()


async def is_up(port: int) -> bool:
    """Say whether somebody listens there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def test_once_prints_the_path_last_and_leaves_nothing_running(
    tmp_path: Path, port: int
) -> None:
    async with started(tmp_path, "--once", "a card", SERVICE_PORT=str(port)) as process:
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    with Image.open(out.decode().splitlines()[-1]) as picture:
        assert picture.format == "PNG"
    assert b"test card" in err
    assert f"http://127.0.0.1:{port}/vision".encode() in err
    assert not await is_up(port)


async def test_it_serves_until_ctrl_c_and_draws_only_into_an_empty_gallery(
    tmp_path: Path, port: int
) -> None:
    pictures = set()
    for _ in range(2):
        async with started(tmp_path, SERVICE_PORT=str(port)) as process:
            assert process.stdout is not None
            line = (await process.stdout.readline()).decode()
            gallery = (await process.stdout.readline()).decode().split()[1]
            pictures.add(Path(line.removeprefix("picture").strip()))
            async with aiohttp.ClientSession() as session, session.get(gallery) as page:
                assert page.status == 200
            process.send_signal(signal.SIGINT)
            await process.communicate()
        assert process.returncode == 0
        assert not await is_up(port)
    assert len(pictures) == 1
    assert pictures.pop().is_file()


async def test_a_picture_that_fails_is_exit_1(tmp_path: Path, port: int) -> None:
    words = ("--once", "[fail out_of_memory]")
    async with started(tmp_path, *words, SERVICE_PORT=str(port)) as process:
        out, err = await process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert b"as the prompt asked" in err


async def test_a_wrong_setting_is_one_line_and_exit_2(tmp_path: Path) -> None:
    async with started(tmp_path, SERVICE_PORT="eighty") as process:
        out, err = await process.communicate()
    assert (process.returncode, out) == (2, b"")
    assert re.fullmatch(r"ops/run: SERVICE_PORT: [^\n]+\n", err.decode())


async def test_a_data_folder_that_cannot_be_is_one_line_and_exit_2(
    tmp_path: Path, port: int
) -> None:
    file = tmp_path / "file"
    file.touch()
    async with started(file / "data", SERVICE_PORT=str(port)) as process:
        out, err = await process.communicate()
    assert (process.returncode, out) == (2, b"")
    assert re.fullmatch(r"ops/run: DATA_DIR: [^\n]+/file/data: [^\n]+\n", err.decode())


async def test_the_settings_file_is_read_and_the_environment_wins(
    tmp_path: Path, port: int
) -> None:
    file = tmp_path / "settings.env"
    lines = "SERVICE_PORT=1\nS3_PREFIX=mine/\nQUEUE_MAX=\nCOMFYUI_BASE_URL=x\nHF_HOME=/tmp"
    file.write_text(f"# mine\n{lines}\n")
    words = ("--settings", str(file), "--once", "a card")
    async with started(tmp_path, *words, SERVICE_PORT=str(port)) as process:
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert "/kitty-artifacts/mine/" in out.decode()
    told = [line for line in err.decode().splitlines() if "no setting" in line]
    assert [line.split(None, 1)[1] for line in told] == [
        "settings.env: there is no setting COMFYUI_BASE_URL; COMFY_BASE_URL is one"
    ]
    assert f"http://127.0.0.1:{port}/vision" in err.decode()


async def test_a_taken_port_ends_it_with_the_service_s_own_words(tmp_path: Path, port: int) -> None:
    async with deaf(port), started(tmp_path, SERVICE_PORT=str(port)) as process:
        _, err = await process.communicate()
    assert process.returncode == 2
    assert b"cannot listen on" in err


async def test_a_port_where_another_service_refuses_us_is_a_taken_one(tmp_path: Path) -> None:
    stranger = TestServer(web.Application())
    async with stranger, started(tmp_path, SERVICE_PORT=str(stranger.port)) as process:
        _, err = await process.communicate()
    assert process.returncode == 2
    assert b"Traceback" not in err
    assert b"cannot listen on" in err


async def test_a_setting_that_only_the_service_knows_to_be_wrong_is_exit_2(
    tmp_path: Path, port: int
) -> None:
    settings = {"SERVICE_PORT": str(port), "IMAGE_ENGINE": "crayons"}
    async with started(tmp_path, **settings) as process:
        _, err = await process.communicate()
    assert process.returncode == 2
    assert b"IMAGE_ENGINE: 'crayons'" in err


async def test_a_log_that_takes_nothing_is_suspected(tmp_path: Path, port: int) -> None:
    (tmp_path / "service.log").symlink_to("/dev/null")
    async with deaf(port), started(tmp_path, SERVICE_PORT=str(port)) as process:
        _, err = await process.communicate()
    assert process.returncode == 2
    assert b"is the disk full?" in err


@asynccontextmanager
async def deaf(port: int) -> AsyncIterator[None]:
    """Listen and hang up on everybody."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(hang_up, "127.0.0.1", port)
    async with server:
        yield


async def test_a_service_that_runs_already_is_used_and_left_alone(tmp_path: Path) -> None:
    async with Service(tmp_path) as running:
        port = running.url.rsplit(":", 1)[1]
        async with started(tmp_path, "--once", "a card", SERVICE_PORT=port) as process:
            out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        with Image.open(out.decode().splitlines()[-1]) as picture:
            assert picture.format == "PNG"
        assert b"runs already" in err
        assert await is_up(int(port))


async def test_ctrl_c_before_anything_is_imported_says_nothing(tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    slow.mkdir()
    (slow / "dotenv.py").write_text("print('importing', flush=True)\ninput()\n")
    settings = {"PYTHONPATH": f"{slow}:{ROOT}"}
    async with started(tmp_path / "data", **settings) as process:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"importing\n"
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    assert (process.returncode, out, err) == (130, b"", b"")
