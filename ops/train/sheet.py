"""Contact sheets: many pictures in one PNG."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor


def save_sheet(path: Path, pictures: Tensor, columns: int) -> None:
    """Save float pictures in [-1, 1], [n, 3, h, w], row by row; white fills the last row."""
    count, _, height, width = pictures.shape
    rows = -(-count // columns)
    filled = torch.ones(rows * columns, 3, height, width)
    filled[:count] = pictures.float().cpu().clamp(-1, 1)
    grid = filled.view(rows, columns, 3, height, width).permute(0, 3, 1, 4, 2)
    pixels = ((grid + 1) * 127.5).round().byte().reshape(rows * height, columns * width, 3)
    Image.fromarray(pixels.numpy()).save(path, optimize=True)
