"""Events, items and queue status, read from what a server of 6.14.2 sent."""

import base64
from typing import Any

import pytest

from engines.errors import EngineProtocolError
from engines.invokeai.messages import (
    Changed,
    Disturbed,
    Queue,
    Stepped,
    read_event,
    read_item,
    read_queue,
)

JPEG = b"\xff\xd8\xff\xe0 a small picture"
PROGRESS = {
    "timestamp": 1795464183,
    "queue_id": "default",
    "item_id": 1,
    "batch_id": "b-one",
    "origin": "o",
    "destination": "d-one",
    "user_id": "system",
    "session_id": "6e6d7db9",
    "invocation": {"id": "a1f0", "type": "denoise_latents"},
    "invocation_source_id": "denoise",
    "message": "Denoising",
    "percentage": 0.25,
    "image": {
        "width": 512,
        "height": 512,
        "dataURL": "data:image/jpeg;base64," + base64.b64encode(JPEG).decode(),
    },
    "device": None,
}
ITEM = {
    "item_id": 1,
    "status": "completed",
    "batch_id": "b-one",
    "started_at": "2026-11-23 20:03:02.763",
    "session": {
        "results": {
            "14bb5410": {"noise": {"latents_name": "t", "seed": 5}, "type": "noise_output"},
            "da835de4": {
                "image": {"image_name": "ad706626.png"},
                "width": 64,
                "height": 64,
                "type": "image_output",
            },
        },
        "source_prepared_mapping": {"noise": ["14bb5410"], "out": ["da835de4"], "not_yet": []},
    },
}


def test_progress_has_share_words_and_preview() -> None:
    assert read_event("invocation_progress", PROGRESS) == Stepped(
        "b-one", "denoise", "Denoising", 0.25, JPEG
    )


@pytest.mark.parametrize("share", [None, "half", 1.5, -1])
def test_progress_without_a_known_end_has_no_share(share: object) -> None:
    message = read_event("invocation_progress", {**PROGRESS, "percentage": share, "image": None})
    assert message == Stepped("b-one", "denoise", "Denoising")


@pytest.mark.parametrize("url", ["data:image/png;base64,AAAA", "data:image/jpeg;base64,!", ""])
def test_a_preview_that_is_no_jpeg_is_none(url: str) -> None:
    message = read_event("invocation_progress", {**PROGRESS, "image": {"dataURL": url}})
    assert isinstance(message, Stepped)
    assert message.preview is None


def test_status_changes_and_bulk_cancels_are_followed() -> None:
    status = {"batch_id": "b-one", "item_id": 1, "status": "completed", "status_sequence": 2}
    assert read_event("queue_item_status_changed", status) == Changed("b-one", "completed")
    assert read_event("queue_items_canceled", {"canceled_item_ids": [1]}) == Disturbed()
    assert read_event("queue_cleared", {"queue_id": "default"}) == Disturbed()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("invocation_progress", {"batch_id": "b"}),
        ("invocation_progress", None),
        ("queue_item_status_changed", {"status": "completed"}),
        ("model_load_started", {}),
    ],
)
def test_what_is_not_followed_or_malformed_is_none(name: str, data: object) -> None:
    assert read_event(name, data) is None


def test_an_items_pictures_are_filed_under_our_nodes() -> None:
    item = read_item(ITEM)
    assert item.images == {"out": "ad706626.png"}
    assert item.ended
    assert item.begun


def test_an_item_that_waits_has_not_begun() -> None:
    item = read_item({"item_id": 2, "batch_id": "b", "status": "pending", "started_at": None})
    assert not item.ended
    assert not item.begun
    assert item.images == {}


@pytest.mark.parametrize(
    "data", [None, [], {}, {**ITEM, "status": "sleeping"}, {**ITEM, "item_id": "1"}]
)
def test_what_is_no_item_is_a_breach_of_protocol(data: object) -> None:
    with pytest.raises(EngineProtocolError):
        read_item(data)


STATUS: dict[str, Any] = {
    "queue": {"queue_id": "default", "item_id": None, "pending": 0, "in_progress": 0},
    "processor": {"is_started": True, "is_processing": True},
}


def test_the_worker_may_be_busy_with_what_the_database_calls_cancelled() -> None:
    assert read_queue(STATUS) == Queue(current=None, processing=True, started=True)


@pytest.mark.parametrize("data", [None, {}, {**STATUS, "processor": {}}, {**STATUS, "queue": 1}])
def test_what_is_no_status_is_a_breach_of_protocol(data: object) -> None:
    with pytest.raises(EngineProtocolError):
        read_queue(data)
