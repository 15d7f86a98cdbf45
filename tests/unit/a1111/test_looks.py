"""What a look at a drawing shows: how far it is, and a preview."""

import base64
import io

import pytest
from PIL import Image

from engines.a1111.looks import progress, read_preview, read_state, read_task
from engines.base import Progress
from engines.errors import EngineProtocolError


def test_how_far_a_task_is() -> None:
    queued = {
        "active": False,
        "queued": True,
        "completed": False,
        "progress": None,
        "eta": None,
        "live_preview": None,
        "id_live_preview": -1,
        "textinfo": "In queue: 2/3",
    }
    task = read_task(queued)
    assert (task.active, task.queued, task.text) == (False, True, "In queue: 2/3")
    assert (task.fraction, task.preview, task.preview_id) == (0.0, "", -1)
    active = {**queued, "active": True, "progress": 0.25, "id_live_preview": 3}
    assert (read_task(active).fraction, read_task(active).preview_id) == (0.25, 3)
    with pytest.raises(EngineProtocolError):
        read_task({"detail": "Not Found"})
    with pytest.raises(EngineProtocolError):
        read_task([])


def test_what_the_server_does() -> None:
    state = {
        "skipped": False,
        "interrupted": False,
        "stopping_generation": False,
        "job": "scripts_txt2img",
        "job_count": -1,
        "job_timestamp": "20260101120000",
        "job_no": 0,
        "sampling_step": 0,
        "sampling_steps": 20,
    }
    assert read_state({"progress": 0.01, "state": state}).busy
    idle = {**state, "job": "", "job_count": 0, "interrupted": True}
    assert not read_state({"progress": 0.0, "state": idle}).busy
    assert read_state({"progress": 0.0, "state": idle}).interrupted
    with pytest.raises(EngineProtocolError):
        read_state({"progress": 0.0})


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [
        (0.0, Progress("loading", 10, 40)),
        (0.05, Progress("drawing", 11, 40)),
        (0.0999, Progress("drawing", 11, 40)),
        (0.55, Progress("drawing", 21, 40)),
        (1.0, Progress("decoding", 30, 40)),
    ],
)
def test_fractions_become_steps(fraction: float, expected: Progress) -> None:
    assert progress(fraction, done=10, steps=20, total=40) == expected


def uri(kind: str, size: tuple[int, int]) -> str:
    out = io.BytesIO()
    Image.new("RGB", size, (200, 10, 10)).save(out, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(out.getvalue()).decode()}"


@pytest.mark.parametrize(
    ("kind", "size", "small"),
    [("PNG", (64, 32), (64, 32)), ("WEBP", (1024, 512), (512, 256)), ("JPEG", (8, 8), (8, 8))],
)
def test_previews_are_small_jpegs(kind: str, size: tuple[int, int], small: tuple[int, int]) -> None:
    preview = read_preview(uri(kind, size))
    assert preview is not None
    with Image.open(io.BytesIO(preview)) as image:
        assert (image.format, image.size) == ("JPEG", small)


@pytest.mark.parametrize("nonsense", ["", "data:image/png;base64,", "data:x;base64,AAAA", "=="])
def test_a_preview_that_is_none_is_left_out(nonsense: str) -> None:
    assert read_preview(nonsense) is None


def test_a_preview_that_breaks_off_in_the_midst_is_left_out() -> None:
    out = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(out, "PNG")
    data = out.getvalue()
    where = data.index(b"IDAT")
    # Half of the pixels, and then what is no chunk.
    broken = data[: where - 4] + b"\0\0\0\x40" + data[where : where + 72] + b"\0\0\0\0!!!!"
    assert read_preview(f"data:x;base64,{base64.b64encode(broken).decode()}") is None
