"""Model records: what clients see of them, and which one a name means."""

import pytest

from engines.errors import InvalidSpecError, ModelNotFoundError
from engines.invokeai.records import Record, describe_all, find, read_record, require_drawn
from tests.unit.invokeai.specs import LORA, LORA_XL, RECORDS, SD15, made

ANSWER = {
    "key": "52dfef27-d327-40fd-9beb-1ddad13db8dc",
    "hash": "blake3:eabf",
    "path": "/models/Dream Shaper v8.safetensors",
    "file_size": 27216814,
    "name": "Dream Shaper",
    "type": "main",
    "base": "sd-1",
    "trigger_phrases": ["b", "a"],
    "default_settings": {"vae": None, "width": 640, "height": 512, "scheduler": "dpmpp_2m_k"},
}


def read() -> Record:
    record = read_record(ANSWER)
    assert record is not None
    return record


def test_a_record_is_read_with_what_nodes_need() -> None:
    record = read()
    assert record.identifier == {
        "key": ANSWER["key"],
        "hash": "blake3:eabf",
        "name": "Dream Shaper",
        "base": "sd-1",
        "type": "main",
    }
    assert record.settings == {"width": 640, "height": 512, "scheduler": "dpmpp_2m_k"}


def test_a_record_without_a_key_is_none() -> None:
    assert read_record({k: v for k, v in ANSWER.items() if k != "key"}) is None


def test_clients_see_family_defaults_and_further_names() -> None:
    [info] = describe_all([read()])
    assert (info.name, info.kind, info.base) == ("Dream Shaper", "checkpoint", "sd15")
    assert (info.defaults.width, info.defaults.height) == (640, 512)
    assert info.defaults.sampler == "dpmpp_2m_karras"
    assert info.trigger_words == ("a", "b")
    for name in (ANSWER["key"], "blake3:eabf", "Dream Shaper v8", "Dream Shaper v8.safetensors"):
        assert info.answers_to(str(name))


def test_namesakes_go_by_their_family_or_else_by_their_key() -> None:
    twin = Record("other-key", "h", "ink", "sd-1", "lora")
    names = [info.name for info in describe_all([LORA, LORA_XL])]
    assert names == ["ink (sd-1)", "ink (sdxl)"]
    assert [find(n, [LORA, LORA_XL], kind="lora", field="loras") for n in names] == [LORA, LORA_XL]
    assert [i.name for i in describe_all([LORA, twin, LORA_XL])] == [
        LORA.key,
        twin.key,
        "ink (sdxl)",
    ]


def test_namesakes_answer_to_what_the_model_s_family_decides() -> None:
    """A model has no other model beside it that could decide."""
    loras = describe_all([LORA, LORA_XL])
    assert [info.answers_to("ink") for info in loras] == [True, True]
    models = describe_all([made("twin"), made("twin", base="sdxl")])
    assert [info.answers_to("twin") for info in models] == [False, False]
    assert [info.answers_to("twin (sdxl)") for info in models] == [False, True]


def test_what_no_spec_can_name_is_not_shown_and_what_is_not_drawn_says_so() -> None:
    infos = describe_all([made("clip", "clip_vision", "any"), made("dev", base="flux")])
    assert [info.name for info in infos] == ["dev"]
    assert "flux" in infos[0].error
    with pytest.raises(InvalidSpecError, match="flux"):
        require_drawn(made("dev", base="flux"))


@pytest.mark.parametrize("name", ["main:sd-1:dream", "blake3:dream", "dream", "DREAM"])
def test_a_model_is_found_by_key_hash_and_name(name: str) -> None:
    assert find(name, RECORDS, kind="main", field="model") is SD15


def test_the_literal_reading_wins_over_the_loose_one() -> None:
    shouted = made("DREAM")
    assert find("DREAM", [SD15, shouted], kind="main", field="model") is shouted


def test_a_name_that_means_several_lists_them() -> None:
    with pytest.raises(ModelNotFoundError, match="sdxl") as caught:
        find("ink", RECORDS, kind="lora", field="loras")
    assert caught.value.field == "loras"


def test_an_absent_model_is_told_its_neighbours() -> None:
    with pytest.raises(ModelNotFoundError, match="near it: dream"):
        find("draem", RECORDS, kind="main", field="model")
    with pytest.raises(ModelNotFoundError, match="it has none"):
        find("draem", [], kind="main", field="model")
