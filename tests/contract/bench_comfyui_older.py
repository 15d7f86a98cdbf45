"""ComfyUI on trial, before a fake server that cannot cancel prompts by name."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.contract.bench_comfyui import make_before
from tests.contract.engines import Bench
from tests.fakes.comfyui import Manners


def make(folder: Path) -> AbstractAsyncContextManager[Bench]:
    """Draw on a server of the older kind."""
    return make_before(Manners(newer=False), folder)
