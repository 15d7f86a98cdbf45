"""The command line as people and scripts use it, against a service of its own."""

import signal
from pathlib import Path

import pytest
from PIL import Image

from tests.journey.command_line import SMALL, Cli, on_terminal
from tests.journey.running import Client, Service, client_of

HANGS = "[fail hang]"


@pytest.fixture
def cli(service: Service, tmp_path: Path) -> Cli:
    return Cli(service.url, tmp_path / "cache")


async def test_draw_save_list_select_and_fetch(cli: Cli, client: Client, tmp_path: Path) -> None:
    out = tmp_path / "cube.png"
    drawn = await cli("images.generate", "a red cube", *SMALL, "--seed", "7", "--out", str(out))
    assert drawn.status == 0, drawn.err
    with Image.open(out) as picture:
        assert picture.size == (96, 64)
    key = drawn.out.split()[0]
    assert "seed 7" in drawn.out

    listed = await cli("images.list")
    assert listed.out.startswith(f"1\t{key}\t96x64\t")
    assert listed.out.rstrip().endswith("\ta red cube")

    selected = (await cli("images.select", "1", "--json")).json["imageRef"]
    assert selected["key"] == key
    async with client.session.get(selected["downloadUrl"]) as answer:
        assert await answer.read() == out.read_bytes()


async def test_json_is_all_that_scripts_get_on_stdout(cli: Cli, tmp_path: Path) -> None:
    words = ("images.generate", "two", *SMALL, "--count", "2", "--json", "--tag", "a", "--tag", "b")
    job = (await cli(*words, "--out", str(tmp_path / "x.png"))).json
    assert (job["state"], len(job["artifacts"]), job["tags"]) == ("succeeded", 2, ["a", "b"])
    assert job["files"] == [str(tmp_path / "x.png"), str(tmp_path / "x-2.png")]
    seeds = [artifact["seed"] for artifact in job["artifacts"]]
    assert seeds[1] == seeds[0] + 1


async def test_the_request_carries_every_option(cli: Cli, client: Client, tmp_path: Path) -> None:
    start = tmp_path / "start.png"
    Image.new("RGB", (96, 64), "teal").save(start)
    words = (*SMALL, "--negative", "blur", "--cfg", "3.5", "--sampler", "ddim", "--lane")
    more = ("background", "--priority", "5", "--lora", "ink:0.5", "--strength", "0.4")
    drawn = await cli("images.generate", "x", *words, *more, "--init-image", str(start), "--json")
    job = drawn.json
    meta_key = job["artifacts"][0]["meta_key"]
    _, sidecar = await client.json("GET", f"/api/images/file/{meta_key}")
    spec = sidecar["spec"]
    assert (job["lane"], job["priority"]) == ("background", 5)
    assert (spec["negative_prompt"], spec["cfg"], spec["sampler"]) == ("blur", 3.5, "ddim")
    assert (spec["strength"], len(spec["init_image"])) == (0.4, 64)
    assert spec["loras"] == [{"name": "ink", "weight": 0.5}]


async def test_numbers_mean_what_the_last_list_showed(cli: Cli, client: Client) -> None:
    first = (await client.draw("the first"))["artifacts"][0]["key"]
    assert (await cli("images.select", "1")).out.startswith(first)
    await cli("images.list")
    second = (await client.draw("the second"))["artifacts"][0]["key"]
    assert (await cli("images.select", "1")).out.startswith(first)
    assert (await cli("images.select", second)).out.startswith(second)
    await cli("images.list")
    assert (await cli("images.select", "1")).out.startswith(second)
    beyond = await cli("images.select", "3")
    assert beyond.status == 2
    assert "the list has 1 to 2" in beyond.err


async def test_a_failed_job_is_exit_1_and_says_why(cli: Cli) -> None:
    said = await cli("images.generate", "[fail out_of_memory]", *SMALL)
    assert said.status == 1
    assert "as the prompt asked" in said.err
    problem = (await cli("images.generate", "[fail out_of_memory]", *SMALL, "--json")).json
    assert problem["code"] == "out_of_memory"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("images.generate", "x", "--width", "99999"), "width: Input should be"),
        (("images.generate", "x", "--width", "wide"), "--width"),
        (("images.generate", "x", "--engine", "nobody"), "engine"),
        (("images.generate", "x", "--lora", "ink:much"), "write name:0.8"),
        (("images.generate", "x", "--init-image", "/nowhere.png"), "does not exist"),
        (("images.generate", "x", "--out", "/nowhere/x.png"), "no folder /nowhere"),
        (("images.jobs", "--state", "failed,odd"), "no state 'odd', only queued, running"),
        (("images.status", "nobody"), "no job nobody"),
        (("images.select", "1"), "no pictures yet"),
        (("images.select", "images/../../etc/passwd"), ""),
        (("--base", "localhost:8089", "images.list"), "http://host:8089"),
        (("images.paint",), "No such command"),
    ],
)
async def test_what_makes_no_sense_is_exit_2(
    cli: Cli, words: tuple[str, ...], complaint: str
) -> None:
    said = await cli(*words)
    assert (said.status, said.out) == (2, "")
    assert complaint in said.err
    assert "Traceback" not in said.err


async def test_a_refusal_in_json_is_the_problem_document(cli: Cli) -> None:
    said = await cli("images.generate", "x", "--width", "99999", "--json")
    assert (said.status, said.json["status"], said.json["field"]) == (2, 422, "width")


async def test_nobody_there_is_exit_3(cli: Cli) -> None:
    said = await cli("images.list", IMAGES_BASE="http://127.0.0.1:1")
    assert said.status == 3
    assert "nobody answers at http://127.0.0.1:1" in said.err


async def test_no_wait_prints_the_id_for_status_and_cancel(cli: Cli, client: Client) -> None:
    said = await cli("images.generate", HANGS, *SMALL, "--no-wait")
    job_id = said.out.strip()
    await client.until(job_id, "running")
    assert " running" in (await cli("images.status", job_id)).out
    for _ in range(2):
        assert " cancelled" in (await cli("images.cancel", job_id)).out
    assert (await cli("images.status", job_id, "--follow")).status == 1
    assert (await cli("images.jobs", "--json")).json["items"][0]["state"] == "cancelled"


async def test_a_paused_queue_is_told_to_those_who_wait_in_it(cli: Cli) -> None:
    assert "is paused, 0 waiting" in (await cli("queue.pause")).out
    process = await cli.start("images.generate", "later", *SMALL)
    assert process.stderr is not None
    said = (await process.stderr.readuntil(b": ")).decode()
    assert "kitty-cli queue.resume" in said
    job_id = said.split()[-1].removesuffix(":")
    assert "kitty-cli queue.resume" in (await cli("images.status", job_id)).err
    assert (await cli("queue.resume", "--json")).json["paused"] is False
    await process.communicate()
    assert process.returncode == 0


async def test_a_search_that_finds_nothing_says_so(cli: Cli) -> None:
    assert "No pictures" in (await cli("images.list")).out
    for filters in (("--search", "x"), ("--model", "x"), ("--tag", "x")):
        assert (await cli("images.list", *filters)).out == "Nothing matches.\n"


async def test_help_is_broken_where_the_terminal_ends(cli: Cli) -> None:
    for words, sentence in (
        ((), "API_TOKEN is the token that it was started with"),
        ((), "the service refused the request"),
        (("gpu.run",), "126 if it cannot be run, 127 if there is no such program."),
    ):
        assert sentence in (await cli(*words, "--help", COLUMNS="200")).out


async def test_ctrl_c_leaves_the_job_and_says_how_to_find_it(cli: Cli, client: Client) -> None:
    process = await cli.start("images.generate", HANGS, *SMALL)
    assert process.stderr is not None
    job_id = (await process.stderr.readuntil(b": ")).decode().removesuffix(": ")
    await client.until(job_id, "running")
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130
    assert err.decode().splitlines()[-1].strip() == f"kitty-cli images.cancel {job_id}"
    assert (await client.job(job_id))["state"] == "running"
    assert "cancelled" in (await cli("images.cancel", job_id)).out


async def test_models_and_engines_are_listed(cli: Cli) -> None:
    assert "test-card" in (await cli("images.models")).out
    engines = (await cli("images.engines", "--json")).json["items"]
    assert "fake" in [engine["engine"] for engine in engines]
    assert "well" in (await cli("images.engines")).out


async def test_kitty_s_own_names_work(cli: Cli) -> None:
    drawn = await cli("generate-image", "a cube", *SMALL)
    key = drawn.out.split()[0]
    assert key in (await cli("list-images")).out
    assert (await cli("select-image", "1")).out.startswith(key)


async def test_the_token_comes_from_the_environment(tmp_path: Path) -> None:
    async with Service(tmp_path / "data", API_TOKEN="sesame") as service:
        cli = Cli(service.url, tmp_path / "cache")
        shut = await cli("images.list")
        assert shut.status == 2
        assert "API_TOKEN" in shut.err
        assert (await cli("images.list", API_TOKEN="sesame")).status == 0
        drawn = await cli("images.generate", "x", *SMALL, API_TOKEN="sesame")
        assert drawn.status == 0
        assert "not answer" not in drawn.err


async def test_on_a_terminal_there_is_a_bar_and_then_the_picture(tmp_path: Path) -> None:
    async with Service(tmp_path / "data", FAKE_STEP_SECONDS="0.05") as service:
        cli = Cli(service.url, tmp_path / "cache")
        seen = await on_terminal(cli, "images.generate", "x", *SMALL, "--steps", "20")
    assert "step " in seen
    assert "━" in seen
    assert seen.index("step ") < seen.index("\x1b_Ga=T,f=100")


async def test_help_names_every_exit_status_and_needs_no_service(cli: Cli) -> None:
    said = await cli("--help", IMAGES_BASE="http://127.0.0.1:1")
    assert said.status == 0
    words = " ".join(said.out.split())
    for part in ("0 done", "1 the job failed", "2 wrong usage", "3 the service", "4 the", "130"):
        assert part in words.replace("│ ", "")


async def test_two_services_do_not_share_a_list(cli: Cli, client: Client, tmp_path: Path) -> None:
    await client.draw("here")
    await cli("images.list")
    async with Service(tmp_path / "other") as other, client_of(other) as there:
        key = (await there.draw("there"))["artifacts"][0]["key"]
        assert (await cli("images.select", "1", IMAGES_BASE=other.url)).out.startswith(key)


async def test_a_prompt_gives_no_orders_to_a_terminal(cli: Cli, client: Client) -> None:
    job_id = (await client.draw("a \x1b]0;mine\x07\x9b2J\x1b[8m card"))["job_id"]
    for words in (("images.list",), ("images.jobs",), ("images.select", "1")):
        seen = await on_terminal(cli, *words)
        assert "a ]0;mine2J[8m card" in seen, words
    for words in (("images.list",), ("images.status", job_id)):
        assert "a ]0;mine2J[8m card" in (await cli(*words)).out
