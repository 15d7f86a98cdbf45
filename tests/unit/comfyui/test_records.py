"""The bodies have the shapes that a ComfyUI 0.3.64 was seen to send."""

from typing import Any

import pytest

from engines.comfyui.records import (
    Drawn,
    Failed,
    File,
    Interrupted,
    Waiting,
    read_history,
    read_options,
    read_queue,
    read_refusal,
)
from engines.errors import EngineError, InvalidSpecError, ModelNotFoundError, OutOfMemoryError

ID = "b4c750c2-c474-4c7a-ac4c-59a78e26162c"


def history(status: dict[str, Any] | None, **outputs: object) -> dict[str, Any]:
    return {ID: {"prompt": [0, ID, {}, {}, []], "outputs": outputs, "status": status, "meta": {}}}


def failed(kind: str, message: str) -> dict[str, Any]:
    about = {"node_type": "KSampler", "exception_type": kind, "exception_message": message}
    messages = [["execution_start", {"prompt_id": ID}], ["execution_error", about]]
    return history({"status_str": "error", "completed": False, "messages": messages})


def complaint(kind: str, name: str, value: object = None) -> dict[str, Any]:
    extra = {"input_name": name, "input_config": None, "received_value": value}
    return {"type": kind, "message": "Not so", "details": f"{name}: bad", "extra_info": extra}


def refused(*errors: dict[str, Any], node_class: str = "KSampler") -> dict[str, Any]:
    node = {"errors": list(errors), "dependent_outputs": ["9"], "class_type": node_class}
    error = {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed"}
    return {"error": error, "node_errors": {"4": node}}


def test_a_success_lists_the_pictures_of_each_node() -> None:
    image = {"filename": "1_00001_.png", "subfolder": "kitty", "type": "output"}
    status = {"status_str": "success", "completed": True, "messages": []}
    found = read_history(history(status, **{"7": {"images": [image]}, "8": {"text": ["x"]}}), ID)
    assert found == Drawn({"7": (File("1_00001_.png", "kitty", "output"),), "8": ()})


def test_a_history_without_a_status_is_a_success() -> None:
    assert read_history(history(None), ID) == Drawn({})


def test_no_entry_is_no_outcome() -> None:
    assert read_history({}, ID) is None


def test_an_interruption_is_an_error_with_a_message() -> None:
    messages = [["execution_interrupted", {"prompt_id": ID}]]
    status = {"status_str": "error", "completed": False, "messages": messages}
    assert read_history(history(status), ID) == Interrupted()


@pytest.mark.parametrize(
    ("kind", "message", "error"),
    [
        ("torch.OutOfMemoryError", "Allocation on device", OutOfMemoryError),
        ("torch.cuda.OutOfMemoryError", "Allocation on device", OutOfMemoryError),
        ("RuntimeError", "MPS backend out of memory", OutOfMemoryError),
        ("safetensors._safetensors_rust.SafetensorError", "header too large", EngineError),
    ],
)
def test_an_error_keeps_the_servers_words(kind: str, message: str, error: type) -> None:
    found = read_history(failed(kind, message), ID)
    assert isinstance(found, Failed)
    assert type(found.error) is error
    assert message in found.error.detail
    assert "KSampler" in found.error.detail


@pytest.mark.parametrize(
    ("running", "pending", "found"),
    [
        ([], [], None),
        ([ID], [], Waiting.RUNNING),
        ([], ["other", ID], Waiting.PENDING),
        (["other"], [ID], Waiting.BEHIND),
        (["other"], [], None),
    ],
)
def test_the_queue(running: list[str], pending: list[str], found: Waiting | None) -> None:
    body = {
        "queue_running": [[0, name, {}, {}, []] for name in running],
        "queue_pending": [[0, name, {}, {}, []] for name in pending],
    }
    assert read_queue(body, ID) is found


@pytest.mark.parametrize(
    "declared",
    [[["a", "b"], {"tooltip": "x"}], [["a", "b"]], ["COMBO", {"options": ["a", "b"]}]],
)
def test_both_shapes_of_combos(declared: list[Any]) -> None:
    for kind in ("required", "optional"):
        body = {"Node": {"input": {kind: {"name": declared}}}}
        assert read_options(body, "Node", "name") == ["a", "b"]


def test_no_node_no_options() -> None:
    assert read_options({}, "Node", "name") == []
    assert read_options({"Node": {"input": {"required": {"n": ["INT", {}]}}}}, "Node", "n") == []


def test_an_acceptance_is_no_refusal() -> None:
    assert read_refusal({"prompt_id": ID, "number": 1, "node_errors": {}}) is None


@pytest.mark.parametrize(
    ("name", "field"),
    [("ckpt_name", "model"), ("lora_name", "loras"), ("control_net_name", "controls")],
)
def test_a_missing_file_is_a_model_that_was_not_found(name: str, field: str) -> None:
    found = read_refusal(refused(complaint("value_not_in_list", name, "nope")))
    assert isinstance(found, ModelNotFoundError)
    assert found.field == field
    assert f"the server has no {name} 'nope'" in found.detail


@pytest.mark.parametrize(
    ("error", "field"),
    [
        (complaint("value_not_in_list", "sampler_name", "eulr"), "sampler"),
        (complaint("value_bigger_than_max", "width", 99999), "width"),
        (complaint("custom_validation_failed", "image"), "init_image"),
        (complaint("required_input_missing", "clip"), ""),
        ({"type": "exception_during_validation", "message": "Exception", "details": "'77'"}, ""),
    ],
)
def test_other_complaints_are_invalid_specs(error: dict[str, Any], field: str) -> None:
    found = read_refusal(refused(error))
    assert type(found) is InvalidSpecError
    assert found.field == field
    assert found.detail.startswith("KSampler (4): ")


def test_all_complaints_are_told() -> None:
    found = read_refusal(
        refused(
            complaint("value_not_in_list", "sampler_name", "eulr"),
            complaint("value_not_in_list", "ckpt_name", "nope"),
        )
    )
    assert isinstance(found, ModelNotFoundError)
    assert "eulr" in found.detail


def test_a_refusal_without_nodes_tells_its_own_words() -> None:
    error = {"type": "invalid_prompt", "message": "node X does not exist", "details": "Node '#12'"}
    found = read_refusal({"error": error, "node_errors": {}})
    assert isinstance(found, InvalidSpecError)
    assert found.detail == "node X does not exist: Node '#12'"
    assert isinstance(read_refusal({"error": "no prompt"}), InvalidSpecError)


def test_complaints_beside_an_acceptance_are_a_refusal() -> None:
    body = refused(complaint("value_not_in_list", "ckpt_name", "nope"))
    assert read_refusal({"prompt_id": ID, "node_errors": body["node_errors"]}) is not None
    bare = {"prompt_id": ID, "node_errors": {"4": {"errors": [], "class_type": "KSampler"}}}
    assert isinstance(read_refusal(bare), InvalidSpecError)
