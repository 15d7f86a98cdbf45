import io
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from PIL import Image

from engines.base import EngineName, Picture, Shortfall
from engines.spec import GenerationSpec, Hires, InputRef, Lora, Refiner
from scheduler.job import Job, JobId, Lane
from service.store.keys import Keys
from service.store.png import texts_of
from service.store.sidecar import Parcel, decode, pack, parameters

SPEC = GenerationSpec("a cat", "sd15", 512, 768, 30, 7.5, 9, "dpmpp_2m_karras")
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
JOB = Job(JobId("j"), 1, SPEC, EngineName("fake"), Lane.NORMAL, AT, count=2, tags=("a", "b"))
KEYS = Keys()


def packed(job: Job = JOB, index: int = 0, **facts: object) -> Parcel:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG")
    picture = Picture(out.getvalue(), 8, 8, 9 + index, facts=facts)  # type: ignore[arg-type]
    return pack(job, index, picture, KEYS)


def test_a_sidecar_comes_back_as_it_was() -> None:
    spec = replace(
        SPEC, loras=(Lora("x", 0.5),), hires=Hires(), refiner=Refiner("r"), init_image=InputRef("i")
    )
    sidecar = packed(replace(JOB, spec=spec), 1, vae={"a": [1, None, True]}).sidecar
    assert decode(sidecar.encode(), sidecar.meta_key) == sidecar
    assert sidecar.spec == spec.picture(1)


def test_the_same_picture_always_gives_the_same_bytes() -> None:
    later = replace(JOB, attempts=2, crashes=1)
    assert packed(later, 0, a=1) == packed(JOB, 0, a=1)
    assert packed(later, 0, a=1).sidecar.encode() == packed(JOB, 0, a=1).sidecar.encode()


def test_all_is_said_that_it_takes_to_draw_it_again() -> None:
    found = json.loads(packed(JOB, 1, model_hash="abc", version="1").sidecar.encode())
    assert found["spec"]["prompt"] == "a cat"
    assert found["seed"] == found["spec"]["seed"] == 10
    assert (found["engine"], found["facts"]) == ("fake", {"model_hash": "abc", "version": "1"})
    assert (found["created"], found["tags"]) == ("2026-01-02T03:04:05.678901Z", ["a", "b"])
    assert (found["key"], found["meta_key"]) == (KEYS.png(JOB, 1), KEYS.meta(JOB, 1))


def test_the_png_carries_the_same_but_for_what_follows_from_it() -> None:
    parcel = packed(JOB, 0, a=1)
    inside = json.loads(texts_of(parcel.png)["kitty"])
    beside = json.loads(parcel.sidecar.encode())
    for name in ("key", "meta_key", "size_bytes", "sha256"):
        assert beside.pop(name)
    assert inside == beside


def test_warnings_of_job_and_picture_are_kept_once() -> None:
    first, second = Shortfall("a", "b"), Shortfall("c", "d")
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG")
    picture = Picture(out.getvalue(), 8, 8, 9, shortfalls=(first, second))
    sidecar = pack(replace(JOB, shortfalls=(first,)), 0, picture, KEYS).sidecar
    assert sidecar.warnings == (first, second)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"\xff", b'{"job_id": 1}'])
def test_what_is_no_sidecar_is_none(data: bytes) -> None:
    assert decode(data, "images/a.json") is None


def test_a_sidecar_under_another_key_is_not_ours() -> None:
    sidecar = packed().sidecar
    assert decode(sidecar.encode(), KEYS.meta(JOB, 1)) is None
    bent = replace(sidecar, key="../../etc/passwd")
    assert decode(bent.encode(), sidecar.meta_key) is None


def test_automatic1111_reads_the_parameters() -> None:
    spec = replace(
        SPEC,
        negative_prompt="dogs",
        loras=(Lora("fur", 0.8),),
        hires=Hires(1.5, 0.4, 12),
        clip_skip=2,
    )
    sidecar = packed(replace(JOB, spec=spec), 0, model_hash="0123456789abcdef").sidecar
    assert parameters(sidecar) == (
        "a cat <lora:fur:0.8>\n"
        "Negative prompt: dogs\n"
        "Steps: 30, Sampler: DPM++ 2M Karras, CFG scale: 7.5, Seed: 9, Size: 512x768, "
        "Model hash: 0123456789, Model: sd15, Denoising strength: 0.4, Clip skip: 2, "
        "Hires upscale: 1.5, Hires steps: 12, Hires upscaler: Latent, Version: KITTY Images"
    )


def test_the_model_is_named_by_the_digest_that_was_counted() -> None:
    digest = "0123456789" * 6 + "abcd"
    assert "Model hash: 0123456789, " in parameters(packed(JOB, model_sha256=digest).sidecar)
    assert "Model hash" not in parameters(packed(JOB, model_sha256=None).sidecar)


def test_a_value_cannot_break_out_of_the_parameters() -> None:
    spec = replace(
        SPEC, model='a, Seed: 1\n"b"', init_image=InputRef("x"), refiner=Refiner("r", 0.7)
    )
    text = parameters(packed(replace(JOB, spec=spec)).sidecar)
    assert 'Model: "a, Seed: 1\\n\\"b\\"", Denoising strength: 0.75, Refiner: r, ' in text
    assert len(text.splitlines()) == 2
