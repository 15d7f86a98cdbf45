"""Prompts in the fake server's queue: ours as it was sent, and somebody else's."""

import pytest

from tests.fakes.comfyui import FakeComfyUi
from tests.fakes.comfyui_worker import Item
from tests.unit.comfyui.graphs import classic

both_kinds = pytest.mark.parametrize("server", ["older", "newer"], indirect=True)


def posted(server: FakeComfyUi) -> dict[str, object]:
    [body] = server.bodies
    assert isinstance(body, dict)
    return body


def put(server: FakeComfyUi, prompt_id: str) -> Item:
    """Let somebody else queue a prompt."""
    graph = classic(n5__width=64, n5__height=64)
    item = Item(prompt_id=prompt_id, graph=graph, client_id=None, outputs=["9"])
    server.stage.accepted()
    server.worker.put(item)
    return item
