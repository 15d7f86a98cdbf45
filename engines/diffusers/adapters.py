"""LoRAs: loaded into a checkpoint once, switched on for the pictures that ask for them."""

import warnings
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from diffusers.utils import set_weights_and_activate_adapters

from engines.diffusers.batches import is_out_of_memory
from engines.diffusers.checkpoint import Checkpoint
from engines.diffusers.digests import signature
from engines.diffusers.headers import BrokenFileError, in_short
from engines.diffusers.plan import Worn
from engines.errors import InvalidSpecError

_KEPT = 8
"""Adapters that stay loaded; each slows down switching a little."""


def wear(checkpoint: Checkpoint, loras: tuple[Worn, ...]) -> None:
    """Make a checkpoint draw with exactly these LoRAs; one that is named twice acts twice.

    Raises:
        InvalidSpecError: one cannot be loaded, or does not fit.
    """
    if checkpoint.worn == loras:
        return
    checkpoint.worn = None
    pipeline = checkpoint.pipeline()
    weights: dict[str, float] = {}
    for lora in loras:
        name = _loaded(checkpoint, pipeline, lora, keep=weights)
        weights[name] = weights.get(name, 0.0) + lora.weight
    if weights:
        pipeline.enable_lora()
        _weigh(pipeline, list(weights), list(weights.values()))
    elif checkpoint.adapters:
        pipeline.disable_lora()
    checkpoint.worn = loras


def _loaded(
    checkpoint: Checkpoint,
    pipeline: Any,  # noqa: ANN401
    lora: Worn,
    *,
    keep: Container[str],
) -> str:
    """Return the name of a LoRA's adapter, loading it first where it is not."""
    if lora.mark in checkpoint.adapters:
        return checkpoint.adapters[lora.mark]
    _make_room(checkpoint, pipeline, keep=keep)
    adapter = f"lora_{lora.mark[:16]}"
    # New layers lie around the old ones; what was captured before knows nothing of them.
    checkpoint.captures.clear()
    try:
        _add(pipeline, lora, adapter)
    except Exception as error:
        # What was loaded of it before it failed must not act.
        _remove(pipeline, adapter)
        if is_out_of_memory(error):
            raise
        detail = f"the LoRA {lora.name} does not fit: {in_short(error)}"
        raise InvalidSpecError(detail, field="loras") from error
    checkpoint.adapters[lora.mark] = adapter
    return adapter


@contextmanager
def _several() -> Iterator[None]:
    """Let peft keep to itself that there are several adapters, and that one of them goes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config`")
        warnings.filterwarnings("ignore", "Adapter .* was active which is now deleted")
        yield


def _add(pipeline: Any, lora: Worn, adapter: str) -> None:  # noqa: ANN401
    if signature((lora.path,)) != lora.mark:
        raise BrokenFileError("it was changed while it was to be drawn with")
    with _several():
        pipeline.load_lora_weights(
            str(lora.path.parent), weight_name=lora.path.name, adapter_name=adapter
        )


def _remove(pipeline: Any, adapter: str) -> None:  # noqa: ANN401
    if any(adapter in names for names in pipeline.get_list_adapters().values()):
        with _several():
            pipeline.delete_adapters(adapter)


def _make_room(checkpoint: Checkpoint, pipeline: Any, *, keep: Container[str]) -> None:  # noqa: ANN401
    """Let the oldest adapters that are not wanted now go, where there are too many."""
    idle = [mark for mark, adapter in checkpoint.adapters.items() if adapter not in keep]
    while idle and len(checkpoint.adapters) >= _KEPT:
        _remove(pipeline, checkpoint.adapters.pop(idle.pop(0)))


def _weigh(pipeline: Any, names: Sequence[str], weights: Sequence[float]) -> None:  # noqa: ANN401
    """Switch adapters on in every network that they change.

    The pipeline's own `set_adapters` makes room for weights block by block, which fails for
    networks whose blocks differ in length, such as the built-in one.
    """
    for component in pipeline.get_list_adapters():
        network = getattr(pipeline, component)
        set_weights_and_activate_adapters(network, list(names), list(weights))
