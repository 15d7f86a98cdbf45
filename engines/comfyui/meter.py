"""How far a prompt is, made out of what the server says about its nodes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from engines.base import Phase, Progress
from engines.comfyui.messages import Cached, Ended, Executing, Message, Preview, Stepped

_PHASES: Final[tuple[tuple[str, Phase], ...]] = (
    ("Load", "loading"),
    ("TextEncode", "encoding"),
    ("ControlNetApply", "encoding"),
    ("VAEEncode", "encoding"),
    ("VAEDecode", "decoding"),
    ("Image", "decoding"),
)
"""What a part of a node's class says about the phase; the first that fits counts."""


@dataclass(slots=True, kw_only=True)
class Meter:
    """Adds up the samplers' steps; what it tells never falls, whatever comes twice or late.

    The socket is ours alone, so that what does not name its prompt is ours once ours runs.

    Attributes:
        classes: Node id → class.
        passes: Sampler → the steps it is expected to take, corrected by what the server says.
    """

    prompt_id: str
    classes: Mapping[str, str]
    passes: dict[str, int]
    _done: dict[str, int] = field(default_factory=dict)
    _news: list[Progress] = field(default_factory=list)
    _now: Progress = field(default_factory=lambda: Progress("waiting"))
    _ours: bool = False

    def take(self) -> list[Progress]:
        """Return what is new since it was taken last, and only the latest preview."""
        news, self._news = self._news, []
        return news

    def read(self, message: Message) -> None:
        """Take a message into account, unless it is about another prompt."""
        match message:
            case Executing(prompt_id, node) if self._means_us(prompt_id):
                self._ours = node is not None
                if node is not None:
                    self._tell(self._phase_at(node))
            case Cached(prompt_id, nodes) if self._means_us(prompt_id):
                self._ours = True
                for node in nodes:
                    self._done[node] = self.passes.get(node, 0)
            case Stepped(prompt_id, node, value, most) if self._means_us(prompt_id):
                self._ours = True
                if node in self.passes:  # others count tiles or frames
                    if value > 0:  # a node that has only begun counts to 1
                        self.passes[node] = most
                    self._done[node] = max(self._done.get(node, 0), min(value, most))
                self._tell(self._phase_at(node))
            case Preview(prompt_id, _, _, image) if self._means_us(prompt_id):
                self._tell(self._now.phase, image)
            case Executing() | Cached() | Stepped() | Preview() | Ended():
                pass

    def complete(self) -> None:
        """Take note that the picture is there: every step was taken, told or not."""
        self._done |= self.passes
        if self._now.step < sum(self.passes.values()):
            self._tell("drawing")

    def ends(self, message: Message) -> bool:
        """Say whether a message claims that our prompt is over."""
        match message:
            case Ended(prompt_id) | Executing(prompt_id, None):
                return prompt_id == self.prompt_id
            case _:
                return False

    def _means_us(self, prompt_id: str | None) -> bool:
        return prompt_id == self.prompt_id or (prompt_id is None and self._ours)

    def _phase_at(self, node: str) -> Phase:
        if node in self.passes:
            return "drawing"
        name = self.classes.get(node, "")
        phase = next((phase for part, phase in _PHASES if part in name), self._now.phase)
        return self._now.phase if phase == "decoding" and not self._done else phase

    def _tell(self, phase: Phase, preview: bytes | None = None) -> None:
        step = max(self._now.step, sum(self._done.values()))
        now = Progress(phase, step, max(sum(self.passes.values()), step), preview)
        if now == self._now:
            return
        if preview is not None:
            self._news = [told for told in self._news if told.preview is None]
        self._news.append(now)
        self._now = replace(now, preview=None)
