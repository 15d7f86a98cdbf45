"""LoRAs: loaded into a checkpoint once, switched on for the pictures that ask for them."""

from collections.abc import Sequence
from typing import Any

from diffusers.utils import set_weights_and_activate_adapters

from engines.diffusers.checkpoint import Checkpoint
from engines.diffusers.library import Library
from engines.errors import InvalidSpecError
from engines.spec import Lora

_KEPT = 8
"""Adapters that stay loaded; each slows down switching a little."""


class Adapters:
    """Puts LoRAs on checkpoints; used by the drawing thread alone."""

    def __init__(self, *, library: Library) -> None:
        self._library = library

    def wear(self, checkpoint: Checkpoint, loras: tuple[Lora, ...]) -> None:
        """Make a checkpoint draw with exactly these LoRAs.

        Raises:
            InvalidSpecError: one is missing, broken, or made for another family.
        """
        if checkpoint.worn == loras:
            return
        pipeline = checkpoint.pipeline()
        names = [self._load(checkpoint, lora.name) for lora in loras]
        if names:
            pipeline.enable_lora()
            _weigh(pipeline, names, [lora.weight for lora in loras])
        elif checkpoint.adapters:
            pipeline.disable_lora()
        checkpoint.worn = loras

    def _load(self, checkpoint: Checkpoint, name: str) -> str:
        shelved = self._library.find(name, "lora", field="loras")
        if shelved.mark in checkpoint.adapters:
            return checkpoint.adapters[shelved.mark]
        base = shelved.info.base
        if base and checkpoint.base and base != checkpoint.base:
            raise InvalidSpecError(
                f"the LoRA {name} was made for {base}, not for {checkpoint.base}", field="loras"
            )
        pipeline = checkpoint.pipeline()
        if len(checkpoint.adapters) >= _KEPT:
            oldest = next(iter(checkpoint.adapters))
            pipeline.delete_adapters(checkpoint.adapters.pop(oldest))
            checkpoint.captures.clear()
        adapter = f"lora_{shelved.mark[:16]}"
        try:
            pipeline.load_lora_weights(
                str(shelved.path.parent), weight_name=shelved.path.name, adapter_name=adapter
            )
        except (ValueError, KeyError, RuntimeError, OSError) as error:
            raise InvalidSpecError(
                f"the LoRA {name} does not fit: {error}", field="loras"
            ) from error
        # New layers lie around the old ones; what was captured before knows nothing of them.
        checkpoint.captures.clear()
        checkpoint.adapters[shelved.mark] = adapter
        return adapter


def _weigh(pipeline: Any, names: Sequence[str], weights: Sequence[float]) -> None:  # noqa: ANN401
    """Switch adapters on in every network that they change.

    The pipeline's own `set_adapters` makes room for weights block by block, which fails for
    networks whose blocks differ in length, such as the built-in one.
    """
    for component in pipeline.get_list_adapters():
        network = getattr(pipeline, component)
        set_weights_and_activate_adapters(network, list(names), list(weights))
