"""What the thread that draws is handed by those who start it."""

from dataclasses import dataclass
from pathlib import Path

from engines.diffusers.library import Library
from engines.diffusers.settings import DiffusersSettings
from engines.inputs import Inputs


@dataclass(frozen=True, slots=True)
class Furnishing:
    """What a studio is opened with."""

    library: Library
    data_dir: Path
    inputs: Inputs
    device: str
    settings: DiffusersSettings
