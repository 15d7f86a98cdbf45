"""What a server answers, in the shapes that real ones answer in."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from engines.a1111.answers import Drawn, check, failure, read_drawn, read_enlarged
from engines.a1111.payloads import plan
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
