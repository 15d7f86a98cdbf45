"""What a server answers, in the shapes that real ones answer in."""

import base64
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from engines.a1111.answers import Drawn, check, failure, read_drawn, read_enlarged
from engines.a1111.looks import progress, read_preview, read_state, read_task
from engines.a1111.payloads import plan
from engines.base import Progress
from engines.errors import BadPictureError, EngineProtocolError
from engines.http import Answer
from engines.spec import Control, InputRef, Lora, Refiner
from tests.unit.a1111.stocks import SPEC, STOCK

INFO = {
    "prompt": "a lighthouse",
    "seed": 1234,
    "all_seeds": [1234],
    "sampler_name": "DPM++ 2M",
    "sd_model_name": "photo",
    "sd_model_hash": "abcdef1234",
    "sd_vae_name": None,
    "extra_generation_params": {"Schedule type": "Karras"},
    "index_of_first_image": 0,
    "infotexts": ["a lighthouse\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, Seed: 1234"],
    "job_timestamp": "20260101120000",
    "clip_skip": 1,
    "version": "v1.10.1",
}


def answer(body: object, status: int = 200) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, data, "application/json", "POST /sdapi/v1/txt2img")


def drawn_body(images: list[bytes], **info: object) -> dict[str, Any]:
    return {
        "images": [base64.b64encode(image).decode() for image in images],
        "parameters": {},
        "info": json.dumps({**INFO, **info}),
    }


def drawn(**info: object) -> Drawn:
    return Drawn(b"png", {**INFO, **info})


def test_the_picture_is_the_first_after_a_grid() -> None:
    body = drawn_body([b"grid", b"picture", b"map"], index_of_first_image=1)
    result = read_drawn(answer(body))
    assert result.picture == b"picture"
    assert result.seed == 1234
    assert result.scheduler == "Karras"


def test_info_may_hold_what_json_may_not() -> None:
    body = drawn_body([b"x"])
    body["info"] = body["info"].replace('"clip_skip": 1', '"clip_skip": NaN')
    assert read_drawn(answer(body)).seed == 1234


def test_an_answer_without_a_picture() -> None:
    with pytest.raises(BadPictureError):
        read_drawn(answer(drawn_body([])))


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        [],
        {"images": []},
        {"images": ["x"], "info": "{"},
        {"images": ["???"], "info": "[]"},
        {"images": 5, "info": "{}"},
        {"images": ["a"], "info": "{}"},
    ],
)
def test_an_answer_of_another_shape(body: object) -> None:
    with pytest.raises(EngineProtocolError):
        read_drawn(answer(body))


def test_an_enlarged_picture() -> None:
    assert read_enlarged(answer({"image": base64.b64encode(b"x").decode()})) == b"x"
    with pytest.raises(EngineProtocolError):
        read_enlarged(answer({"html_info": ""}))


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (
            500,
            {
                "error": "OutOfMemoryError",
                "detail": "",
                "body": "",
                "errors": "CUDA out of memory. Tried to allocate 1 GiB",
            },
            "out_of_memory",
            "CUDA out of memory. Tried to allocate 1 GiB",
        ),
        (
            500,
            {"error": "RuntimeError", "errors": "MPS backend out of memory (MPS allocated: 1 GB)"},
            "out_of_memory",
            "MPS backend out of memory (MPS allocated: 1 GB)",
        ),
        (
            500,
            {"error": "NansException", "errors": "A tensor with NaNs was produced in Unet."},
            "bad_picture",
            "A tensor with NaNs was produced in Unet.",
        ),
        (
            422,
            {"error": "HTTPException", "detail": "Script 'x' not found", "errors": ""},
            "invalid_spec",
            "Script 'x' not found",
        ),
        (
            422,
            {"detail": [{"loc": ["body", "steps"], "msg": "not an integer"}], "body": {}},
            "invalid_spec",
            '[{"loc": ["body", "steps"], "msg": "not an integer"}]',
        ),
        (
            500,
            {"error": "HTTPException", "detail": "Invalid encoded image", "errors": ""},
            "invalid_spec",
            "Invalid encoded image",
        ),
        (
            401,
            {"error": "HTTPException", "detail": "Incorrect username or password"},
            "engine_protocol",
            "the server refuses the credentials: Incorrect username or password",
        ),
        (500, {"error": "KeyError", "errors": "'x'"}, "engine_protocol", "500 'x'"),
        (500, b"Internal Server Error", "engine_protocol", "500 Internal Server Error"),
        (502, b"", "engine_protocol", "502 status 502"),
        (500, [1], "engine_protocol", "500 [1]"),
    ],
)
def test_failures(status: int, body: object, code: str, words: str) -> None:
    error = failure(answer(body, status))
    assert error.code == code
    assert error.detail == words


def test_a_missing_api_is_explained() -> None:
    assert "--api" in failure(answer({"detail": "Not Found"}, 404)).detail


def test_what_was_drawn_as_asked_has_no_shortfalls() -> None:
    planned = plan(SPEC, STOCK, lambda _: b"")
    assert check(drawn(), planned, seed=1234) == ()
    assert check(drawn(sd_model_hash=None), planned, seed=1234) == ()
    without = {"extra_generation_params": {}, "infotexts": ["no settings"]}
    assert check(drawn(**without), planned, seed=1234) == ()


@pytest.mark.parametrize(
    "info",
    [
        {"seed": 1235},
        {"sd_model_hash": "0000000000"},
        {"sd_model_hash": None, "sd_model_name": "other"},
        {"sampler_name": "Euler"},
        {"extra_generation_params": {"Schedule type": "Automatic"}},
        {"extra_generation_params": {}, "infotexts": ["x\nSchedule type: Uniform, Seed: 1"]},
    ],
)
def test_what_was_drawn_otherwise_is_refused(info: dict[str, Any]) -> None:
    planned = plan(SPEC, STOCK, lambda _: b"")
    with pytest.raises(BadPictureError):
        check(drawn(**info), planned, seed=1234)


def test_what_was_passed_over_in_silence_is_told() -> None:
    spec = replace(
        SPEC,
        loras=(Lora("ink"), Lora("oil")),
        refiner=Refiner("new"),
        controls=(Control("control_canny", InputRef("x")),),
    )
    planned = plan(spec, STOCK, lambda _: b"")
    extra = {"Lora hashes": "oil: 012345678901"}
    short = check(drawn(extra_generation_params=extra), planned, seed=1234)
    assert [s.field for s in short] == ["controls", "refiner", "loras"]
    assert "'ink'" in short[2].detail
    done = {"Lora hashes": "ink: 0, oil: 1", "Refiner": "new", "ControlNet 0": "canny"}
    assert check(drawn(extra_generation_params=done), planned, seed=1234) == ()


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
