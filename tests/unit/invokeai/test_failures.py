"""Refusals and failed items in our codes, with the server's own words."""

import orjson
import pytest

from engines.errors import EngineProtocolError, InvalidSpecError
from engines.http import Answer
from engines.invokeai.failures import failure, refusal
from engines.invokeai.messages import Item


@pytest.mark.parametrize(
    ("kind", "message", "code"),
    [
        ("OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB", "out_of_memory"),
        ("RuntimeError", "MPS backend out of memory (MPS allocated: 18.13 GB)", "out_of_memory"),
        ("Exception", "Unknown model: 52dfef27", "model_not_found"),
        ("Exception", "Unknown lora: 52dfef27!", "model_not_found"),
        ("AssertionError", "", "engine_error"),
    ],
)
def test_a_failed_item_has_a_code_and_its_words(kind: str, message: str, code: str) -> None:
    error = failure(Item(1, "b", "failed", error_type=kind, error_message=message))
    assert error.code == code
    assert kind in error.detail
    assert message in error.detail


def answer(status: int, body: object) -> Answer:
    return Answer(status, orjson.dumps(body), "application/json", "POST /enqueue_batch")


def test_a_refused_graph_blames_the_specs_field() -> None:
    place = ["body", "batch", "graph", "nodes", "denoise", "denoise_latents", "cfg_scale"]
    problem = {"type": "value_error", "loc": place, "msg": "Value error, must be greater than 1"}
    error = refusal(answer(422, {"detail": [problem]}))
    assert isinstance(error, InvalidSpecError)
    assert error.field == "cfg"
    assert error.detail == "denoise.denoise_latents.cfg_scale: Value error, must be greater than 1"


@pytest.mark.parametrize("body", [{"detail": "no"}, {"detail": [{}]}, "no", None])
def test_a_refusal_of_another_form_keeps_its_text(body: object) -> None:
    error = refusal(answer(422, body))
    assert isinstance(error, InvalidSpecError)
    assert error.field == ""
    assert error.detail == orjson.dumps(body).decode()


def test_what_is_no_picture_and_what_went_wrong_are_told_apart() -> None:
    assert refusal(answer(415, {"detail": "Not an image"})).code == "invalid_spec"
    error = refusal(answer(500, {"detail": "Unexpected error while enqueuing batch"}))
    assert isinstance(error, EngineProtocolError)
    assert "while enqueuing" in error.detail
