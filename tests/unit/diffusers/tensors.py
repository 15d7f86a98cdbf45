"""A safetensors file without any library's help, and what the engine makes of a folder of such."""

import json
import struct
from pathlib import Path

from engines.diffusers.digests import Digests
from engines.diffusers.library import Library

UNET = "model.diffusion_model.input_blocks"
SD15 = {f"{UNET}.1.1.attn2.to_k.weight": [4, 768]}
"""What a checkpoint of the family is known by."""


def write_tensors(
    path: Path, shapes: dict[str, list[int]], metadata: dict[str, str] | None = None
) -> Path:
    """A safetensors file of zeros, without any library's help."""
    entries: dict[str, object] = {} if metadata is None else {"__metadata__": metadata}
    end = 0
    for name, shape in shapes.items():
        size = 2
        for side in shape:
            size *= side
        entries[name] = {"dtype": "F16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    head = json.dumps(entries).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(head)) + head + bytes(end))
    return path


def library_of(folder: Path, notes: Path) -> Library:
    """The models of a folder; its single files may borrow from the hub what they lack."""
    return Library(
        models_dir=folder, digests=Digests(memory=notes / "digests.json"), allow_hub=True
    )
