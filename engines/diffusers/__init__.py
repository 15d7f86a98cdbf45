"""The step engine: draws in this process, with the denoising step as its quantum."""

from engines.diffusers.engine import DiffusersEngine
from engines.diffusers.settings import DiffusersSettings

__all__ = ["DiffusersEngine", "DiffusersSettings"]
