"""Every phase of the recipe runs in smoke mode on a CPU, each from what the one before it left."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from safetensors.torch import load_file

from engines.mini import MODEL_DIR
from ops.train import autoencoder, contact, decoder, denoiser, evaluate, export, judge, lora

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own deprecations


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    autoencoder.main(["--out", str(out), "--smoke", "--steps", "6"])
    arguments = ["--vae", str(out / "vae"), "--out", str(out), "--smoke", "--steps", "3"]
    denoiser.main([*arguments, "--end", "0.5"])
    denoiser.main([*arguments, "--begin", "0.5", "--resume"])
    judge.main(["--out", str(out), "--smoke", "--steps", "2"])
    export.export(vae=out / "vae", trained=out, out=out / "model")
    return out


def events(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_the_autoencoder_reports_its_fidelity(trained: Path) -> None:
    assert any("psnr" in event for event in events(trained / "autoencoder.jsonl"))
    assert not (trained / "vae" / autoencoder.UNFINISHED).exists()


def test_the_second_run_of_the_denoiser_resumes_the_first(trained: Path) -> None:
    done = [e["step"] for e in events(trained / "denoiser.jsonl") if e["event"] == "denoiser done"]
    assert done == [3, 6]


def test_the_decoder_changes_and_the_latents_do_not(trained: Path, tmp_path: Path) -> None:
    decoder.main(["--model", str(trained), "--out", str(tmp_path), "--smoke", "--steps", "3"])
    weights = Path("vae", "diffusion_pytorch_model.safetensors")
    old, new = load_file(trained / weights), load_file(tmp_path / weights)
    drawing = {name for name in old if name.startswith(("decoder.", "post_quant_conv."))}
    assert {name for name in old if not torch.equal(old[name], new[name])} == drawing
    scales = [
        json.loads((folder / "vae" / "config.json").read_text(encoding="utf-8"))["scaling_factor"]
        for folder in (trained, tmp_path)
    ]
    assert scales[0] == scales[1]
    told = {e["event"] for e in events(tmp_path / "decoder.jsonl") if "psnr" in e}
    assert told == {"before", "after"}


def test_the_exported_model_draws(trained: Path) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(trained / "model", dtype=torch.float32)
    drawn = pipe("a red ball", width=64, height=64, num_inference_steps=2, output_type="np").images
    assert drawn.shape == (1, 64, 64, 3)
    names = load_file(trained / "model" / "text_encoder" / "model.safetensors").keys()
    assert all(name.startswith("text_model.") for name in names)
    configs = [file.read_text(encoding="utf-8") for file in (trained / "model").rglob("*.json")]
    assert not any(str(trained) in config for config in configs)


def test_the_cards_pictures_are_drawn_side_by_side(trained: Path, tmp_path: Path) -> None:
    contact.main(["--model", str(trained / "model"), "--out", str(tmp_path), "--smoke"])
    with Image.open(tmp_path / "contact.png") as sheet:
        assert sheet.size == (8 * 64, 64)
        left, right, free = (sheet.crop((x, 0, x + 64, 64)).tobytes() for x in (0, 64, 128))
    assert left != right
    assert set(free) == {255}


def test_the_model_is_examined(trained: Path) -> None:
    arguments = ["--model", str(trained / "model"), "--judge", str(trained / "judge.safetensors")]
    evaluate.main([*arguments, "--out", str(trained), "--count", "8", "--sides", "64"])
    results = json.loads((trained / "evaluation.json").read_text(encoding="utf-8"))
    assert results["controls"]["renders, seen"]["background by mean colour"] > 0.5
    assert 0 <= results["held out, 64"]["all"] <= 1


def test_a_colour_is_taught(tmp_path: Path) -> None:
    lora.main(["--model", str(MODEL_DIR), "--out", str(tmp_path), "--smoke", "--steps", "2"])
    tensors = load_file(tmp_path / f"{lora.WORD}.safetensors")
    assert all(tensor.abs().sum() > 0 for tensor in tensors.values())
    assert sum(tensor.numel() for tensor in tensors.values()) * 2 < 20_000
