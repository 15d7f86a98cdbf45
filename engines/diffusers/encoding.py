"""Turns prompts into what the network is told, with a cache for prompts that come again."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import torch

from engines.diffusers.checkpoint import Checkpoint
from engines.diffusers.conditioning import Conditioning
from engines.diffusers.plan import Pass, Worn
from engines.diffusers.windows import Window, windows
from engines.errors import InvalidSpecError
from engines.prompts import parse_prompt
from engines.spec import GenerationSpec

_CACHED = 64
_AESTHETIC_SCORE, _NEGATIVE_AESTHETIC_SCORE = 6.0, 2.5
"""What diffusers tells the SDXL refiner by default."""

Encoded = tuple[torch.Tensor, torch.Tensor | None]


class PromptCache:
    """The last prompts, encoded; the same prompt is never read twice in a row."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, Encoded] = OrderedDict()

    def get(self, key: Hashable) -> Encoded | None:
        """Return an encoded prompt, if it is known."""
        if key in self._known:
            self._known.move_to_end(key)
        return self._known.get(key)

    def put(self, key: Hashable, encoded: Encoded) -> None:
        """Remember an encoded prompt and forget the oldest."""
        self._known[key] = encoded
        while len(self._known) > _CACHED:
            self._known.popitem(last=False)

    def clear(self) -> None:
        """Forget everything, as when the device's memory is needed."""
        self._known.clear()


def encode(
    spec: GenerationSpec,
    checkpoint: Checkpoint,
    *,
    part: Pass,
    cache: PromptCache,
) -> Conditioning:
    """Encode the prompts of a picture.

    Args:
        spec: What to draw.
        checkpoint: The model.
        part: The pass; its size in pixels is told to the network, its LoRAs are active.
        cache: Encoded prompts of earlier pictures.

    Raises:
        InvalidSpecError: more layers are to be skipped than the text encoder has.
    """
    guided = spec.cfg > 1
    texts = [spec.negative_prompt, spec.prompt] if guided else [spec.prompt]
    lengths = [_length(text, checkpoint) for text in texts]
    encoded = [
        _cached(text, checkpoint, (part.loras, spec.clip_skip), max(lengths), cache)
        for text in texts
    ]
    if guided and checkpoint.zeros_for_empty and not spec.negative_prompt:
        embeds, pooled = encoded[1]
        empty = None if pooled is None else torch.zeros_like(pooled)
        encoded[0] = (torch.zeros_like(embeds), empty)
    embeds = torch.cat([embeds for embeds, _ in encoded]).to(checkpoint.dtype)
    if not checkpoint.takes_size:
        return Conditioning(embeds)
    pooled = torch.cat([pooled for _, pooled in encoded if pooled is not None]).to(embeds)
    return Conditioning(embeds, pooled, _size_ids(checkpoint, part.size, guided=guided).to(embeds))


def _size_ids(checkpoint: Checkpoint, size: tuple[int, int], *, guided: bool) -> torch.Tensor:
    """Return original size, crop and target size as SDXL was trained to read them."""
    width, height = size
    if checkpoint.base == "sdxl-refiner":
        head = [height, width, 0, 0]
        rows = [[*head, _NEGATIVE_AESTHETIC_SCORE]] if guided else []
        return torch.tensor([*rows, [*head, _AESTHETIC_SCORE]])
    ids = [height, width, 0, 0, height, width]
    return torch.tensor([ids] * (2 if guided else 1), dtype=torch.float32)


def _room(tokenizer: Any) -> int:  # noqa: ANN401
    return int(tokenizer.model_max_length) - 2


def _cut(text: str, tokenizer: Any) -> tuple[Window, ...]:  # noqa: ANN401
    def tokenize(fragment: str) -> list[int]:
        return list(tokenizer(fragment, add_special_tokens=False, verbose=False).input_ids)

    return windows(parse_prompt(text), tokenize=tokenize, room=_room(tokenizer))


def _length(text: str, checkpoint: Checkpoint) -> int:
    return max(len(_cut(text, tokenizer)) for _, tokenizer in checkpoint.encoders)


def _cached(
    text: str,
    checkpoint: Checkpoint,
    manner: tuple[tuple[Worn, ...], int],
    length: int,
    cache: PromptCache,
) -> Encoded:
    key = (checkpoint.shelved.mark, checkpoint.rung.name, manner, text, length)
    known = cache.get(key)
    if known is None:
        known = _encode_text(text, checkpoint, manner[1], length)
        cache.put(key, known)
    return known


def _encode_text(text: str, checkpoint: Checkpoint, clip_skip: int, length: int) -> Encoded:
    parts, pooled = [], None
    for encoder, tokenizer in checkpoint.encoders:
        cut = list(_cut(text, tokenizer))
        cut += [Window((), ())] * (length - len(cut))
        hidden, its_pooled = _read(
            encoder, tokenizer, cut, clip_skip=clip_skip, deep=checkpoint.takes_size
        )
        parts.append(_weigh(hidden, cut).flatten(0, 1).unsqueeze(0))
        pooled = its_pooled if its_pooled is not None else pooled
    return torch.cat(parts, dim=-1), pooled


def _read(
    encoder: Any,  # noqa: ANN401
    tokenizer: Any,  # noqa: ANN401
    cut: list[Window],
    *,
    clip_skip: int,
    deep: bool,
) -> Encoded:
    """Run one text encoder over all windows.

    SDXL reads the layer before the last and leaves out the final norm; SD 1.5 reads the last
    one, or skips `clip_skip` layers and applies the norm.
    """
    ids = torch.tensor([_ids(window, tokenizer) for window in cut], device=encoder.device)
    output = encoder(ids, output_hidden_states=deep or clip_skip > 0)
    layers = encoder.config.num_hidden_layers - (1 if deep else 0)
    if clip_skip > layers:
        detail = f"the text encoder has {layers} layers that can be skipped, not {clip_skip}"
        raise InvalidSpecError(detail, field="clip_skip")
    if deep:
        projected = getattr(output, "text_embeds", None)
        hidden = output.hidden_states[-(clip_skip + 2)]
        return hidden, None if projected is None else projected[:1]
    if clip_skip:
        body = getattr(encoder, "text_model", encoder)
        return body.final_layer_norm(output.hidden_states[-(clip_skip + 1)]), None
    return output.last_hidden_state, None


def _ids(window: Window, tokenizer: Any) -> list[int]:  # noqa: ANN401
    ids = [tokenizer.bos_token_id, *window.tokens, tokenizer.eos_token_id]
    return ids + [tokenizer.pad_token_id] * (_room(tokenizer) + 2 - len(ids))


def _weigh(hidden: torch.Tensor, cut: list[Window]) -> torch.Tensor:
    """Scale the embeddings of weighted tokens, keeping each window's mean magnitude as it was."""
    if not any(window.weighted for window in cut):
        return hidden
    scaled = hidden.clone()
    for row, window in enumerate(cut):
        factors = torch.ones(hidden.shape[1], dtype=hidden.dtype, device=hidden.device)
        weights = torch.tensor(window.weights, dtype=hidden.dtype, device=hidden.device)
        factors[1 : 1 + len(window.weights)] = weights
        weighted = hidden[row] * factors.unsqueeze(-1)
        scaled[row] = weighted * (hidden[row].abs().mean() / weighted.abs().mean())
    return scaled
