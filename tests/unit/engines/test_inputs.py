"""Input pictures are kept once, however many requests bring them at once."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from engines.inputs import Inputs


def test_the_same_picture_may_come_many_times_at_once(tmp_path: Path) -> None:
    inputs = Inputs(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        for shade in range(8):
            buffer = io.BytesIO()
            Image.effect_noise((768, 768), shade + 90).save(buffer, "PNG")
            data = buffer.getvalue()
            refs = list(threads.map(lambda _, data=data: inputs.keep(data, field=""), range(8)))
            assert len(set(refs)) == 1
            assert inputs.read(refs[0]) == data
    assert len(list(tmp_path.iterdir())) == 8
