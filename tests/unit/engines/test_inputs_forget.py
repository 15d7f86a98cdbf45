"""Input pictures go when nobody needs them any more."""

import io
import time
from pathlib import Path

import pytest
from PIL import Image

from engines.errors import InvalidSpecError
from engines.inputs import Inputs


def picture(colour: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (8, 8), colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_only_old_pictures_that_no_job_needs_are_forgotten(tmp_path: Path) -> None:
    inputs = Inputs(tmp_path / "inputs")
    needed, unneeded = (inputs.keep(picture(n), field="init_image") for n in (1, 2))
    assert inputs.forget(before=time.time() - 60, but=[needed]) == 0
    assert inputs.forget(before=time.time() + 60, but=[needed]) == 1
    assert inputs.read(needed) == picture(1)
    with pytest.raises(InvalidSpecError):
        inputs.read(unneeded)
    assert Inputs(tmp_path / "none").forget(before=0, but=[]) == 0
