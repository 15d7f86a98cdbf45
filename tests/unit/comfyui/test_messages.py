"""The text frames were recorded from a ComfyUI 0.3.64, and cut to what is looked at."""

import json
import struct

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.comfyui.messages import (
    FEATURE_FLAGS,
    Cached,
    Ended,
    Executing,
    Message,
    Preview,
    Stepped,
    parse,
)

ID = "d22acda8-2b7c-4a9f-8d1e-0a2c4f6b8d10"
META = orjson.dumps({"node_id": "5", "prompt_id": ID, "image_type": "image/jpeg"})


def text(kind: str, **data: object) -> str:
    return orjson.dumps({"type": kind, "data": data}).decode()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            text("executing", node="5", display_node="5", prompt_id=ID),
            Executing(ID, "5"),
        ),
        (text("executing", node=None, prompt_id=ID), Executing(ID, None)),
        (text("executing", node="5"), Executing(None, "5")),
        (text("execution_cached", nodes=["1", "2"], prompt_id=ID), Cached(ID, ("1", "2"))),
        (text("progress", value=1, max=4, prompt_id=ID, node="5"), Stepped(ID, "5", 1, 4)),
        (
            text(
                "progress_state",
                prompt_id=ID,
                nodes={
                    "1": {"value": 1, "max": 1, "state": "finished"},
                    "5": {"value": 2, "max": 4, "state": "running"},
                },
            ),
            Stepped(ID, "5", 2, 4),
        ),
        (text("progress_state", prompt_id=ID, nodes={}), None),
        (text("execution_success", prompt_id=ID, timestamp=1), Ended(ID)),
        (text("execution_error", prompt_id=ID, node_id="5"), Ended(ID)),
        (text("execution_interrupted", prompt_id=ID, node_id="5"), Ended(ID)),
        (text("status", status={"exec_info": {"queue_remaining": 1}}), None),
        (text("executed", node="7", output={"images": []}, prompt_id=ID), None),
        (text("feature_flags", supports_preview_metadata=True), None),
        ("[]", None),
        ("no JSON", None),
        (text("progress", value="x", max=4, prompt_id=ID, node="5"), None),
    ],
)
def test_text_frames(frame: str, message: Message | None) -> None:
    assert parse(frame) == message


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (struct.pack(">II", 1, 1) + b"JPEG", Preview(None, None, "image/jpeg", b"JPEG")),
        (struct.pack(">II", 1, 2) + b"PNG", Preview(None, None, "image/png", b"PNG")),
        (struct.pack(">II", 2, 1) + b"JPEG", Preview(None, None, "image/jpeg", b"JPEG")),
        (
            struct.pack(">II", 4, len(META)) + META + b"JPEG",
            Preview(ID, "5", "image/jpeg", b"JPEG"),
        ),
        (struct.pack(">II", 1, 1), None),
        (struct.pack(">II", 1, 9) + b"?", None),
        (struct.pack(">II", 3, 1) + b"5hello", None),
        (struct.pack(">II", 4, 99) + META, None),
        (struct.pack(">II", 4, 3) + b"{]}JPEG", None),
        (b"\0\0", None),
    ],
)
def test_binary_frames(frame: bytes, message: Message | None) -> None:
    assert parse(frame) == message


@given(st.binary() | st.text())
def test_no_frame_is_an_exception(frame: bytes | str) -> None:
    parse(frame)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=8),
        lambda v: (
            st.lists(v, max_size=3)
            | st.dictionaries(st.sampled_from(["node", "nodes", "prompt_id", "value", "max"]), v)
        ),
        max_leaves=8,
    ),
    st.sampled_from(["executing", "execution_cached", "progress", "progress_state"]),
)
def test_no_shape_is_an_exception(data: object, kind: str) -> None:
    parse(json.dumps({"type": kind, "data": data}))


def test_the_first_frame_asks_for_previews_that_name_their_prompt() -> None:
    assert orjson.loads(FEATURE_FLAGS) == {
        "type": "feature_flags",
        "data": {"supports_preview_metadata": True},
    }
