"""What is set wrong stops the start with one line that names it."""

from pathlib import Path

import pytest

from tests.journey.running import Service


async def refusal(service: Service) -> str:
    """Return the one line in which a service says why it does not start."""
    with pytest.raises(AssertionError) as stopped:
        await service.start()
    assert await service.end() == 2
    said = str(stopped.value).split("\nassert")[0]
    assert said.strip().count("\n") == 0
    return said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERVICE_PORT", "many"),
        ("STATUS_WORDS", "klingon"),
        ("S3_ENDPOINT_URL", "minio:9000"),
        ("S3_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("OPEN_NETWORKS", "everywhere"),
        ("IMAGE_ENGINE", "crayons"),
        ("DATA_DIR", "/dev/null/kitty"),
        ("S3_BUCKET", "{a bucket"),
        ("MAX_BODY_MB", "inf"),
        ("API_TOKEN", " "),
        ("API_TOKEN", "secret\t"),
        ("MODELS_DIR", "/dev/null/models"),
        ("MODELS_DIR", "/dev/null"),
        ("COMFY_WORKFLOW_JSON", "/dev/null/workflow.json"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "redis://:pass/word@127.0.0.1"),
        ("REDIS_URL", "redis://127.0.0.1/0?retries=3"),
    ],
)
async def test_a_wrong_setting_stops_the_start(tmp_path: Path, name: str, value: str) -> None:
    said = await refusal(Service(tmp_path, **{name: value}))
    assert name in said or name.replace("ENDPOINT_URL", "ACCESS_KEY") in said


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PUBLIC_URL", "studio.local", "not an address like http://127.0.0.1:9090"),
        ("ENGINE_BASE_URL", "ftp://studio.local", "not an address like http://127.0.0.1:9090"),
        ("IMAGE_ENGINE", "comfyui", "comfyui needs COMFY_BASE_URL"),
        ("IMAGE_ENGINE", "InvokeAI", "invokeai needs ENGINE_BASE_URL"),
        ("OPEN_NETWORKS", "home", "'home' does not appear to be an IPv4 or IPv6 network"),
    ],
)
async def test_the_line_says_what_would_be_right(
    tmp_path: Path, name: str, value: str, words: str
) -> None:
    said = await refusal(Service(tmp_path, **{name: value}))
    assert said.strip() == f"kitty-images: {name}: {words}"


@pytest.mark.parametrize("name", ["spool", "kitty.sqlite3", "in-use"])
async def test_a_data_folder_that_cannot_be_used_stops_the_start(tmp_path: Path, name: str) -> None:
    if name == "spool":
        (tmp_path / name).touch()
    else:
        (tmp_path / name).mkdir()
    said = await refusal(Service(tmp_path))
    assert "DATA_DIR" in said
