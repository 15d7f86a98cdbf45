from datetime import UTC, datetime

import pytest

from engines.base import EngineName
from engines.spec import GenerationSpec
from scheduler.errors import BadKeyError
from scheduler.job import Job, JobId, Lane
from service.store.keys import Keys, meta_of, plain, png_of, thumb_of

SPEC = GenerationSpec("p", "m", 8, 8, 1, 1.0, 0, "euler")
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
JOB = Job(JobId("j"), 1, SPEC, EngineName("fake"), Lane.NORMAL, AT)
KEY = "images/20260102_030405_0123abcd"


def test_keys_follow_from_the_job() -> None:
    keys = Keys()
    assert keys.png(JOB, 0) == f"images/{JOB.stem(0)}.png"
    assert keys.meta(JOB, 0) == f"images/{JOB.stem(0)}.json"
    assert keys.thumb(JOB, 3) == f"images/{JOB.stem(3)}.thumb.webp"
    assert keys.png(JOB, 0).startswith("images/20260102_030405_")
    assert keys.png(JOB, 0) != keys.png(JOB, 1)


def test_one_key_leads_to_the_others() -> None:
    assert meta_of(f"{KEY}.png") == f"{KEY}.json"
    assert thumb_of(f"{KEY}.png") == f"{KEY}.thumb.webp"
    assert png_of(f"{KEY}.json") == f"{KEY}.png"


@pytest.mark.parametrize("ending", [".png", ".json", ".thumb.webp"])
def test_our_own_keys_are_admitted(ending: str) -> None:
    assert Keys().check(KEY + ending) == KEY + ending


def test_what_we_give_out_is_admitted() -> None:
    for keys in (Keys(), Keys(""), Keys("a/b.c-d/")):
        for key in (keys.png(JOB, 0), keys.meta(JOB, 7), keys.thumb(JOB, 1)):
            assert keys.check(key) == plain(key) == key


@pytest.mark.parametrize(
    "key",
    [
        "", KEY, f"/{KEY}.png", f"{KEY}.exe", f"{KEY}.png.exe", f"{KEY}.png/", f"{KEY}.png\n",
        f"{KEY}.png\0", f"x{KEY}.png", f"images/{KEY}.png", f"images/../{KEY}.png",
        "images/%2e%2e/20260102_030405_0123abcd.png", "images\\20260102_030405_0123abcd.png",
        "images/../20260102_030405_0123abcd.png", "images/20260102_030405_0123ABCD.png",
        "images/20260102_030405_0123abc.png", "other/20260102_030405_0123abcd.png",
        "20260102_030405_0123abcd.png", "images/2026010२_030405_0123abcd.png",
        "imagesX20260102_030405_0123abcd.png", "images/passwd.png", "images/.png",
    ],
)  # fmt: skip
def test_foreign_keys_are_refused(key: str) -> None:
    with pytest.raises(BadKeyError) as refused:
        Keys().check(key)
    assert refused.value.code == "bad_key"


def test_a_prefix_is_taken_literally() -> None:
    with pytest.raises(BadKeyError):
        Keys("a.c").check("abc/20260102_030405_0123abcd.png")


def test_only_pictures_pass_as_pictures() -> None:
    assert Keys().check_png(f"{KEY}.png") == f"{KEY}.png"
    for key in (f"{KEY}.json", f"{KEY}.thumb.webp", "images/../x.png"):
        with pytest.raises(BadKeyError):
            Keys().check_png(key)


def test_a_prefix_gets_its_slash() -> None:
    assert [Keys(p).prefix for p in ("images", "images/", "", "/", "a/b")] == [
        "images/", "images/", "", "", "a/b/",
    ]  # fmt: skip


@pytest.mark.parametrize("prefix", ["/images", "a//b", "..", "a/../b", "ä", "a b", ".x", "//"])
def test_a_prefix_that_no_store_could_hold_stops_the_start(prefix: str) -> None:
    with pytest.raises(ValueError, match="no prefix for keys"):
        Keys(prefix)
