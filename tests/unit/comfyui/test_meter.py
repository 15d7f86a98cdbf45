from hypothesis import given
from hypothesis import strategies as st

from engines.base import Progress
from engines.comfyui.messages import Cached, Ended, Executing, Message, Preview, Stepped
from engines.comfyui.meter import Meter

ID = "ours"
CLASSES = {
    "1": "CheckpointLoaderSimple",
    "2": "CLIPTextEncode",
    "4": "EmptyLatentImage",
    "5": "KSampler",
    "6": "VAEDecode",
    "8": "KSampler",
    "9": "ImageUpscaleWithModel",
}


def meter() -> Meter:
    return Meter(prompt_id=ID, classes=CLASSES, passes={"5": 4, "8": 2})


def told(*messages: Message) -> list[Progress]:
    by = meter()
    for message in messages:
        by.read(message)
    return by.take()


def preview(prompt_id: str | None, image: bytes = b"JPEG") -> Preview:
    return Preview(prompt_id, None, "image/jpeg", image)


def test_phases_follow_the_nodes_and_steps_add_up() -> None:
    messages = [Executing(ID, node) for node in ("1", "2", "4", "5")]
    assert told(*messages, Stepped(ID, "5", 4, 4), Executing(ID, "6"), Stepped(ID, "8", 1, 2)) == [
        Progress("loading", 0, 6),
        Progress("encoding", 0, 6),
        Progress("drawing", 0, 6),
        Progress("drawing", 4, 6),
        Progress("decoding", 4, 6),
        Progress("drawing", 5, 6),
    ]


def test_nothing_is_told_twice() -> None:
    assert told(Stepped(ID, "5", 1, 4), Stepped(ID, "5", 1, 4)) == [Progress("drawing", 1, 6)]
    by = meter()
    by.read(Stepped(ID, "5", 1, 4))
    assert by.take()
    assert by.take() == []


def test_others_prompts_tell_nothing() -> None:
    assert told(Executing("x", "1"), Stepped("x", "5", 1, 4), Cached("x", ("5",))) == []
    assert told(preview("x"), preview(None), Executing(None, "5"), Ended(ID)) == []


def test_what_names_no_prompt_is_ours_while_ours_runs() -> None:
    found = told(Executing(ID, "5"), preview(None), Stepped(None, "5", 1, 4))
    assert [p.preview for p in found] == [None, b"JPEG", None]
    assert told(Executing(ID, "5"), Executing(ID, None), preview(None)) == [
        Progress("drawing", 0, 6)
    ]


def test_only_the_latest_preview_is_kept() -> None:
    found = told(
        Stepped(ID, "5", 1, 4), preview(ID, b"one"), Stepped(ID, "5", 2, 4), preview(ID, b"two")
    )
    assert [p.preview for p in found] == [None, None, b"two"]


def test_cached_passes_count_as_drawn() -> None:
    found = told(Cached(ID, ("1", "5")), Stepped(ID, "8", 1, 2))
    assert found == [Progress("drawing", 5, 6)]


def test_the_server_knows_better_how_many_steps_there_are() -> None:
    assert told(Stepped(ID, "5", 1, 10))[-1] == Progress("drawing", 1, 12)


def test_a_node_that_has_only_begun_does_not_know_its_steps() -> None:
    assert told(Stepped(ID, "5", 0, 1)) == [Progress("drawing", 0, 6)]


def test_tiles_of_other_nodes_are_no_steps() -> None:
    assert told(Stepped(ID, "5", 4, 4), Stepped(ID, "9", 3, 9))[-1] == Progress("decoding", 4, 6)


def test_a_finished_picture_has_taken_all_its_steps() -> None:
    by = meter()
    by.complete()
    assert by.take() == [Progress("drawing", 6, 6)]
    by.complete()
    assert by.take() == []


def test_the_end_is_only_ours() -> None:
    by = meter()
    assert by.ends(Ended(ID))
    assert by.ends(Executing(ID, None))
    assert not by.ends(Ended("x"))
    assert not by.ends(Executing("x", None))
    assert not by.ends(Executing(ID, "5"))


NAMES = st.sampled_from([ID, "x", None])
NODES = st.sampled_from([*CLASSES, "77"])
MESSAGES = st.one_of(
    st.builds(Executing, NAMES, NODES | st.none()),
    st.builds(Cached, st.sampled_from([ID, "x"]), st.lists(NODES).map(tuple)),
    st.builds(Stepped, NAMES, NODES, st.integers(-2, 9), st.integers(-2, 9)),
    st.builds(Preview, NAMES, st.none(), st.just("image/jpeg"), st.binary(max_size=2)),
)


@given(st.lists(MESSAGES))
def test_whatever_comes_progress_never_falls(messages: list[Message]) -> None:
    found = told(*messages)
    assert [p.step for p in found] == sorted(p.step for p in found)
    assert all(0 <= p.step <= p.steps for p in found)
