"""A quickened network computes what it computed before."""

import gc
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from engines.diffusers import quicken as quicken_module
from engines.diffusers.quicken import quicken
from tests.fakes import plain_kernels


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Kernels in plain PyTorch that record which of them were called."""
    called: list[str] = []

    class Recorded:
        @staticmethod
        def normalise(x: torch.Tensor, norm: Any, **more: Any) -> torch.Tensor:
            called.append("silu" if more["silu"] else "norm")
            return plain_kernels.normalise(x, norm, **more)

        @staticmethod
        def gate(x: torch.Tensor) -> torch.Tensor:
            called.append("gate")
            return plain_kernels.gate(x)

    monkeypatch.setitem(sys.modules, "engines.diffusers.kernels", Recorded)
    monkeypatch.setattr(sys.modules["engines.diffusers"], "kernels", Recorded, raising=False)
    return called


@pytest.mark.parametrize("model", ["tiny-sd15", "tiny-sdxl"])
def test_a_network_answers_the_same(models_dir: Path, kernels: list[str], model: str) -> None:
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(
        models_dir / model, subfolder="unet", use_safetensors=True
    )
    unet = unet.eval().to(memory_format=torch.channels_last)
    torch.manual_seed(0)
    inputs: dict[str, Any] = {
        "sample": torch.randn(2, 4, 8, 8),
        "timestep": torch.tensor([3.0, 500.0]),
        "encoder_hidden_states": torch.randn(2, 77, unet.config.cross_attention_dim),
    }
    if model == "tiny-sdxl":
        inputs["added_cond_kwargs"] = {
            "text_embeds": torch.randn(2, 32),
            "time_ids": torch.randn(2, 6),
        }
    with torch.inference_mode():
        before = unet(**inputs, return_dict=False)[0]
        assert quicken(unet)
        after = unet(**inputs, return_dict=False)[0]
    assert {"silu", "norm", "gate"} <= set(kernels)
    assert torch.allclose(before, after, atol=1e-5)
    assert before.std() > 0.1


def test_a_decoder_answers_the_same(models_dir: Path, kernels: list[str]) -> None:
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(
        models_dir / "tiny-sd15", subfolder="vae", use_safetensors=True
    )
    vae = vae.eval().to(memory_format=torch.channels_last)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = vae.decode(latents, return_dict=False)[0]
        quicken(vae)
        after = vae.decode(latents, return_dict=False)[0]
    assert "silu" in kernels
    assert torch.allclose(before, after, atol=1e-5)


@pytest.mark.usefixtures("kernels")
def test_a_quickened_network_goes_when_nobody_holds_it(models_dir: Path) -> None:
    """Not only when Python looks for what holds itself: its memory is wanted at once."""
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(
        models_dir / "tiny-sd15", subfolder="unet", use_safetensors=True
    )
    assert quicken(unet)
    weights = [weakref.ref(weight) for weight in unet.parameters()]
    gc.collect()
    gc.disable()
    try:
        del unet
        assert [weight for weight in weights if weight() is not None] == []
    finally:
        gc.enable()


def test_without_the_kernels_the_network_stays_as_it_is(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffusers import AutoencoderKL

    monkeypatch.setitem(sys.modules, "engines.diffusers.kernels", None)
    monkeypatch.delattr(sys.modules["engines.diffusers"], "kernels", raising=False)
    vae = AutoencoderKL.from_pretrained(
        models_dir / "tiny-sd15", subfolder="vae", use_safetensors=True
    )
    assert not quicken(vae)


def test_other_layouts_are_left_to_pytorch() -> None:
    assert not quicken_module.takes(torch.zeros(2, 4, 8, 8))
    assert not quicken_module.takes(torch.zeros(2, 4, 8))
    wanted = torch.zeros(2, 4, 8, 8).contiguous(memory_format=torch.channels_last)
    assert quicken_module.takes(wanted)
