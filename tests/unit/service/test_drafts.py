"""Input pictures of requests: brought along, or one of ours, wherever those lie."""

import base64
from pathlib import Path

import pytest

from engines.card import test_card as a_card
from engines.inputs import Inputs
from service.bodies import GenerateBody
from service.drafts import Drafts
from service.problems import RequestError
from service.store.files import FileStore
from service.store.keys import Keys

CARD = a_card(width=64, height=64, seed=1)


@pytest.mark.parametrize("prefix", ["images/", "/"])
async def test_an_input_may_be_brought_along_or_be_one_of_ours(tmp_path: Path, prefix: str) -> None:
    objects, inputs, keys = FileStore(tmp_path / "a"), Inputs(tmp_path / "inputs"), Keys(prefix)
    await objects.open()
    key = f"{keys.prefix}20260131_174500_0123abcd.png"
    await objects.put(key, CARD, content_type="image/png")
    drafts = Drafts(inputs=inputs, objects=objects, keys=keys)
    brought = base64.b64encode(CARD).decode()
    for image in (brought, f"data:image/png;base64,{brought}", key):
        draft = await drafts.read(GenerateBody(prompt="a cat", init_image=image))
        assert draft.init_image is not None
        assert inputs.read(draft.init_image) == CARD
    with pytest.raises(RequestError) as refused:
        await drafts.read(GenerateBody(prompt="a cat", init_image=f"{keys.prefix}../a.png"))
    assert (refused.value.code, refused.value.field) == ("bad_key", "init_image")
