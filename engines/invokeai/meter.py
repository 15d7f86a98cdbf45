"""How far a picture is, told from what the nodes of its graph report."""

from collections.abc import Mapping

from engines.base import Phase, Progress
from engines.invokeai.messages import Stepped

_ENCODING = ("positive", "negative", "refiner", "i2l", "img_resize", "create_denoise_mask")


class Meter:
    """Counts the steps of all passes together; what it returns never falls.

    `passes` maps each denoising node to its steps, in drawing order.
    """

    def __init__(self, passes: Mapping[str, int]) -> None:
        self._passes = passes
        self._steps = max(1, sum(passes.values()))
        self._step = 0
        self._last: tuple[Phase, int] | None = None

    def at(self, phase: Phase) -> Progress | None:
        """Return progress in a phase without steps of its own, None when nothing is new."""
        return self._news(phase, None)

    def read(self, message: Stepped) -> Progress | None:
        """Return the progress that a node's report amounts to, None when nothing is new."""
        if message.node in self._passes and not message.words.startswith("Loading"):
            share = message.share or 0.0
            self._step = max(self._step, self._before(message.node, share))
            return self._news("drawing", message.preview)
        if message.words.startswith("Loading"):
            return self._news("loading", None)
        encodes = message.node.startswith(_ENCODING) and not self._step
        return self._news("encoding" if encodes else "decoding", None)

    def finished(self) -> Progress | None:
        """Return that all steps are done, None when that has been said."""
        if self._step == self._steps:
            return None
        self._step = self._steps
        return self._news("drawing", None)

    def _before(self, node: str, share: float) -> int:
        """Return the steps done when `node` has done `share` of its own."""
        done = 0
        for name, steps in self._passes.items():
            if name == node:
                return done + round(share * steps)
            done += steps
        return done

    def _news(self, phase: Phase, preview: bytes | None) -> Progress | None:
        if self._last == (phase, self._step) and preview is None:
            return None
        self._last = (phase, self._step)
        return Progress(phase, self._step, self._steps, preview)
