"""Small things that the command line reads and remembers."""

import time
from pathlib import Path

import pytest
import typer

from service.cli import listing
from service.cli.exits import RefusedError, UnwillingError
from service.cli.generate import destinations
from service.cli.values import LoraChoice


@pytest.mark.parametrize(
    ("text", "name", "weight"),
    [("ink", "ink", 1.0), ("ink:0.8", "ink", 0.8), ("a:b:-1", "a:b", -1.0)],
)
def test_a_lora_is_a_name_and_perhaps_a_weight(text: str, name: str, weight: float) -> None:
    assert LoraChoice.read(text) == LoraChoice(name, weight)


def test_a_lora_with_a_strange_weight_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="'strong' is no weight"):
        LoraChoice.read("ink:strong")


def test_pictures_go_to_the_file_and_further_ones_beside_it(tmp_path: Path) -> None:
    keys = ["images/a.png", "images/b.png", "images/c.png"]
    out = tmp_path / "x.png"
    assert destinations(out, keys) == [out, tmp_path / "x-2.png", tmp_path / "x-3.png"]


def test_pictures_go_into_a_folder_under_their_own_names(tmp_path: Path) -> None:
    keys = ["images/a.png", "images/b.png"]
    assert destinations(tmp_path, keys) == [tmp_path / "a.png", tmp_path / "b.png"]


def test_every_further_fault_becomes_a_hint() -> None:
    faults = [{"field": "width", "detail": "too small"}, {"field": "cfg", "detail": "no number"}]
    error = RefusedError({"status": 422, "detail": "width: too small", "errors": faults})
    assert (str(error), error.hints) == ("width: too small", ["cfg: no number"])


def test_who_is_not_let_in_is_told_about_the_token() -> None:
    assert "API_TOKEN" in UnwillingError({"status": 401, "detail": "no"}).hints[0]


class TestListing:
    """The numbers of the last list."""

    @pytest.fixture(autouse=True)
    def cache(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        return tmp_path / "kitty-images" / "listing.json"

    def test_is_remembered_for_its_service_alone(self) -> None:
        listing.remember("http://a", ["1", "2"])
        assert listing.recall("http://a") == ["1", "2"]
        assert listing.recall("http://b") is None

    def test_is_forgotten_after_an_hour(self, monkeypatch: pytest.MonkeyPatch) -> None:
        listing.remember("http://a", ["1"])
        later = time.time() + listing.LIFE_SECONDS + 1
        monkeypatch.setattr(time, "time", lambda: later)
        assert listing.recall("http://a") is None

    @pytest.mark.parametrize("rubbish", [b"", b"[]", b"{}", b'{"base": "http://a"}', b"\xff"])
    def test_is_none_when_the_file_is_rubbish(self, cache: Path, rubbish: bytes) -> None:
        cache.parent.mkdir()
        cache.write_bytes(rubbish)
        assert listing.recall("http://a") is None

    def test_may_fail_to_be_kept(self, cache: Path) -> None:
        cache.parent.write_text("a file where the folder should be")
        listing.remember("http://a", ["1"])
        assert listing.recall("http://a") is None
