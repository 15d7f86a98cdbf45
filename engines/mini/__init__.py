"""The built-in model: a small Stable Diffusion for first steps, tests and demos."""

from pathlib import Path
from typing import Final

MODEL_DIR: Final = Path(__file__).parent
"""The diffusers ``StableDiffusionPipeline`` folder, for ``from_pretrained``."""
