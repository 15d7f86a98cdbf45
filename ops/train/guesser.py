"""What a finished denoiser takes noised latents for: the pictures that its decoder has to draw."""

from pathlib import Path
from typing import Final

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel

from ops.train.tokens import encode
from ops.train.velocity import noised, parted, signal_kept

_GUIDANCE: Final = 2.5
"""The most guidance that guesses are made with; the least is none, which is 1."""


class Guesser:
    """A model's denoiser, frozen, and where sampling ends that begins at noised latents."""

    def __init__(self, *, model: Path, device: torch.device, precision: torch.dtype) -> None:
        """Load UNet and text encoder from a model's folder."""
        unet = UNet2DConditionModel.from_pretrained(model / "unet", torch_dtype=precision)
        text = CLIPTextModel.from_pretrained(model / "text_encoder", dtype=precision)
        self._unet, self._text = unet.to(device).eval(), text.to(device).eval()
        self._signal = signal_kept(device)
        self._unsaid = torch.tensor(encode([""]), device=device)

    @torch.no_grad()
    def guess(self, codes: Tensor, tokens: Tensor, times: Tensor) -> Tensor:
        """Return the guesses of scaled latents [n, 4, h, w] with captions [n, 77], at times [n].

        As in sampling, the first guess is noised again with the noise that was found, half as far,
        and guessed once more, both under guidance; that bends edges more than noise alone.
        """
        count, device = len(codes), codes.device
        words = torch.cat([self._unsaid.expand(count, -1), tokens.long()])
        states = self._text(words)[0]
        guidance = 1 + (_GUIDANCE - 1) * torch.rand(count, 1, 1, 1, device=device)
        noisy = noised(codes, torch.randn_like(codes), self._kept(times))
        clean, noise = self._part(noisy, times, states, guidance)
        clean, _ = self._part(
            noised(clean, noise, self._kept(times // 2)), times // 2, states, guidance
        )
        return clean

    def _kept(self, times: Tensor) -> Tensor:
        return self._signal[times][:, None, None, None]

    def _part(
        self, noisy: Tensor, times: Tensor, states: Tensor, guidance: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Ask the denoiser with and without the caption; return the latents and the noise."""
        twice = noisy.to(self._unet.dtype).repeat(2, 1, 1, 1)
        answer = self._unet(twice, times.repeat(2), encoder_hidden_states=states).sample.float()
        unsaid, said = answer.chunk(2)
        return parted(noisy, unsaid + guidance * (said - unsaid), self._kept(times))
