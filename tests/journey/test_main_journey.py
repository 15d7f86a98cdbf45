"""From the prompt to the picture in somebody's hands, over HTTP, on both stores."""

import io
import json
from pathlib import Path

import aiohttp
from PIL import Image

from tests.journey.running import Client, Service, client_of


async def test_a_picture_is_drawn_listed_selected_and_fetched(
    tmp_path: Path, storage: dict[str, str]
) -> None:
    async with Service(tmp_path, **storage) as service, client_of(service) as client:
        older = await client.draw("an older card")
        job = await client.draw("a newer card", seed=77, width=96, height=64)
        assert (job["status"], job["progress"], job["seed"]) == ("done", 1.0, 77)
        (artifact,) = job["artifacts"]
        assert job["result"] == {"png_key": artifact["key"], "meta_key": artifact["meta_key"]}
        _, listed = await client.json("GET", "/api/images/latest?limit=1")
        assert [item["key"] for item in listed["items"]] == [artifact["key"]]
        _, rest = await client.json(
            "GET", "/api/images/latest", params={"limit": 1, "cursor": listed["next_cursor"]}
        )
        assert [item["key"] for item in rest["items"]] == [older["artifacts"][0]["key"]]
        _, selected = await client.json(
            "POST", "/api/images/select", json={"object_key": artifact["key"]}
        )
        url = selected["imageRef"]["downloadUrl"]
        async with aiohttp.ClientSession() as stranger, stranger.get(url) as answer:
            png = await answer.read()
        with Image.open(io.BytesIO(png)) as picture:
            assert picture.size == (96, 64)
            assert "Seed: 77" in picture.info["parameters"]
        async with client.session.get(artifact["url"]) as answer:
            assert await answer.read() == png
        async with client.session.get(f"/api/images/file/{artifact['meta_key']}") as answer:
            sidecar = json.loads(await answer.read())
        assert sidecar["spec"]["prompt"] == "a newer card"
        assert sidecar["sha256"] == artifact["sha256"]
        assert (await client.job(job["job_id"]))["spec"] == sidecar["spec"]


async def test_a_job_of_several_pictures_counts_up_the_seed(client: Client) -> None:
    job = await client.draw(count=5, seed=2**32 - 2)
    assert [a["seed"] for a in job["artifacts"]] == [2**32 - 2, 2**32 - 1, 0, 1, 2]
    assert len({a["key"] for a in job["artifacts"]}) == 5


async def test_the_guide_s_request_works_as_written(client: Client) -> None:
    body = {
        "prompt": "studio photo of a steel water bottle on white, soft shadow",
        "model": "sdxl_base",
        "steps": 30,
        "cfg": 7.0,
        "width": 1024,
        "height": 1024,
        "seed": 42,
    }
    answer = await client.submit(**body)
    assert [w["code"] for w in answer["warnings"]] == ["model_substituted"]
    job = await client.ended(answer["job_id"])
    assert job["artifacts"][0]["width"] == 1024


async def test_kitty_s_words_are_spoken_when_asked_for(tmp_path: Path) -> None:
    async with Service(tmp_path, STATUS_WORDS="kitty") as service, client_of(service) as client:
        job = await client.draw(size="square", style="photo")
        assert job["status"] == "finished"
        assert set(job["result"]) == {"png_key", "meta_key"}
        fields = {w["field"] for w in job["warnings"]}
        assert fields == {"size", "style"}


async def test_a_thumbnail_is_small_and_made_once(client: Client, tmp_path: Path) -> None:
    artifact = (await client.draw(width=1024, height=512))["artifacts"][0]
    for _ in range(2):
        async with client.session.get(artifact["thumb_url"]) as answer:
            assert answer.content_type == "image/webp"
            with Image.open(io.BytesIO(await answer.read())) as small:
                assert small.size == (320, 160)
    assert len(list((tmp_path / "thumbs").iterdir())) == 1
    gone = artifact["thumb_url"].replace(".png", "0.png")
    assert (await client.json("GET", gone))[0] in (400, 404)


async def test_a_file_is_sent_in_ranges_and_not_twice(client: Client) -> None:
    artifact = (await client.draw())["artifacts"][0]
    async with client.session.get(artifact["url"], headers={"Range": "bytes=1-3"}) as answer:
        assert (answer.status, await answer.read()) == (206, b"PNG")
        etag = answer.headers["ETag"]
    async with client.session.get(artifact["url"], headers={"If-None-Match": etag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    beyond = {"Range": f"bytes={artifact['size']}-"}
    async with client.session.get(artifact["url"], headers=beyond) as answer:
        assert answer.status == 416
