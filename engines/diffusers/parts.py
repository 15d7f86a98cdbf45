"""Loads one network of a model, from a folder or from a single file, and makes sure it is whole."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from engines.diffusers.checkpoint import Checkpoint
from engines.diffusers.folders import other_latents
from engines.diffusers.headers import BrokenFileError, Header, in_short, read_header
from engines.diffusers.library import Shelved

_HINTS = (
    tuple(f"input_hint_block.{place}.weight" for place in (0, 4, 8, 12)),
    tuple(
        f"controlnet_cond_embedding.{place}.weight"
        for place in ("conv_in", "blocks.1", "blocks.3", "blocks.5")
    ),
)
"""The convolutions of a ControlNet after which its picture is half as large and has more
channels, by the names of the original code and by those of diffusers."""


def from_folder(kind: Any, folder: Path, dtype: torch.dtype) -> Any:  # noqa: ANN401
    """Load a network of a class of diffusers'; half-precision files where there are no others.

    Raises:
        BrokenFileError: some of its weights are missing; diffusers would make them up.
        OSError: a file cannot be read.
        ValueError: the weights do not fit the configuration.
    """
    plain = any("." not in path.stem for path in folder.glob("*.safetensors"))
    network, report = kind.from_pretrained(
        folder,
        dtype=dtype,
        use_safetensors=True,
        local_files_only=True,
        variant=None if plain else "fp16",
        output_loading_info=True,
    )
    missing = sorted(report["missing_keys"])
    if missing:
        raise BrokenFileError(f"{folder.name} lacks {len(missing)} weights, as {missing[0]}")
    return network


def from_file(kind: Any, path: Path, config: Path, dtype: torch.dtype) -> Any:  # noqa: ANN401
    """Load a network from one file, with the names of the original code or of diffusers.

    Args:
        kind: A class of diffusers'.
        path: The file.
        config: A folder with the `config.json` that the file itself lacks.
        dtype: Number format of the loaded weights.

    Raises:
        BrokenFileError: the weights do not fit.
    """
    try:
        network = kind.from_single_file(str(path), config=str(config), local_files_only=True)
    except NotImplementedError as error:
        # What torch says of a weight that was never filled in.
        raise BrokenFileError("some of its weights are missing") from error
    except Exception as error:
        # Every converter fails in its own way at tensors that it does not expect.
        raise BrokenFileError(f"its weights do not fit: {in_short(error)}") from error
    return network if network.dtype == dtype else network.to(dtype)


def load_vae(vae: Shelved, *, like: Path, dtype: torch.dtype) -> Any:  # noqa: ANN401
    """Load the autoencoder that takes the place of a model's own.

    Args:
        vae: A folder, or a file, which lacks what `config.json` says.
        like: Folder of the autoencoder that it replaces, whose latents it must share.
        dtype: Number format of the loaded weights.

    Raises:
        BrokenFileError: it was made for other latents, or does not fit.
    """
    from diffusers import AutoencoderKL  # noqa: PLC0415

    if not vae.path.is_dir():
        return from_file(AutoencoderKL, vae.path, like, dtype)
    if odd := other_latents(vae.path, like=like):
        raise BrokenFileError(f"{vae.info.name} {odd}")
    return from_folder(AutoencoderKL, vae.path, dtype)


def load_controlnet(control: Shelved, checkpoint: Checkpoint) -> Any:  # noqa: ANN401
    """Load a ControlNet; one in a single file takes its shapes from the model that it guides.

    Raises:
        BrokenFileError: it does not fit.
        OSError: a file cannot be read.
        ValueError: the weights do not fit the configuration.
    """
    from diffusers import ControlNetModel  # noqa: PLC0415

    if control.path.is_dir():
        return from_folder(ControlNetModel, control.path, checkpoint.dtype)
    with _shapes_like(checkpoint, read_header(control.path)) as config:
        return from_file(ControlNetModel, control.path, config, checkpoint.dtype)


def load_tiny(path: Path, dtype: torch.dtype) -> Any:  # noqa: ANN401
    """Load a distilled autoencoder (TAESD); one in a single file is taken to be of its usual shape.

    Raises:
        BrokenFileError: the weights do not fit.
        OSError: a file cannot be read.
        ValueError: the weights do not fit the configuration.
    """
    from diffusers import AutoencoderTiny  # noqa: PLC0415
    from safetensors.torch import load_file  # noqa: PLC0415

    if path.is_dir():
        network = from_folder(AutoencoderTiny, path, dtype)
    else:
        network = AutoencoderTiny()
        try:
            network.load_state_dict(load_file(path))
        except RuntimeError as error:
            raise BrokenFileError(f"its weights do not fit: {in_short(error)}") from error
        network = network if network.dtype == dtype else network.to(dtype)
    return network.requires_grad_(requires_grad=False).eval()


@contextmanager
def _shapes_like(checkpoint: Checkpoint, header: Header) -> Iterator[Path]:
    """Write the `config.json` of a ControlNet that guides this model into a folder of its own."""
    from diffusers import ControlNetModel  # noqa: PLC0415

    with torch.device("meta"):
        blank = ControlNetModel.from_unet(
            checkpoint.unet,
            conditioning_embedding_out_channels=_hint_channels(header),
            load_weights_from_unet=False,
        )
    # A network that is trained to fill reads the mask too; its guide sees the latents alone.
    blank.register_to_config(in_channels=checkpoint.vae.config.latent_channels)
    with tempfile.TemporaryDirectory() as folder:
        blank.save_config(folder)
        yield Path(folder)


def _hint_channels(header: Header) -> tuple[int, ...]:
    for names in _HINTS:
        shapes = [header.shape_of(name) for name in names]
        if all(shapes):
            return tuple(shape[0] for shape in shapes if shape)
    raise BrokenFileError("what it does with its picture is not known here")
