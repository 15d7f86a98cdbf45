"""How far a prompt is, made out of what the server says about its nodes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from engines.base import Phase
from engines.comfyui.messages import Cached, Ended, Executing, Message, Preview, Stepped
from engines.comfyui.sketch import Graph, class_of

_PHASES: Final[tuple[tuple[str, Phase], ...]] = (
    ("Loader", "loading"),
    ("Load", "loading"),
    ("TextEncode", "encoding"),
    ("ControlNetApply", "encoding"),
    ("VAEEncode", "encoding"),
    ("VAEDecode", "decoding"),
    ("Upscale", "decoding"),
    ("Image", "decoding"),
)
"""What a part of a node's class says about the phase; the first that fits counts."""


@dataclass(slots=True, kw_only=True)
class Meter:
    """Adds up the samplers' steps; what it reads never falls, whatever comes twice or late.

    Attributes:
        passes: Sampler → the steps it is expected to take, corrected by what the server says.
        phase: What is going on.
        preview: The latest small picture, not yet taken.
    """

    prompt_id: str
    graph: Graph
    passes: dict[str, int]
    phase: Phase = "waiting"
    preview: Preview | None = None
    _done: dict[str, int] = field(default_factory=dict)
    _step: int = 0
    _ours: bool = False

    @property
    def steps(self) -> int:
        """Steps of all passes."""
        return max(sum(self.passes.values()), self._step)

    @property
    def step(self) -> int:
        """Steps that are done."""
        return self._step

    def take_preview(self) -> Preview | None:
        """Return the latest preview once."""
        preview, self.preview = self.preview, None
        return preview

    def read(self, message: Message) -> bool:
        """Take a message into account; False when it is about another prompt or says nothing new.

        The socket is ours alone, so that what does not name its prompt is ours once ours runs.
        """
        match message:
            case Executing(prompt_id, node) if self._names_us(prompt_id):
                self._ours = node is not None
                return node is not None and self._enter(node)
            case Cached(prompt_id, nodes) if prompt_id == self.prompt_id:
                self._ours = True
                return any([self._advance(node, self.passes.get(node, 0)) for node in nodes])
            case Stepped(prompt_id, node, value, most) if self._names_us(prompt_id):
                self._ours = True
                return self._walk(node, value, most)
            case Preview(prompt_id) if self._names_us(prompt_id):
                self.preview = message
                return True
            case Executing() | Cached() | Stepped() | Preview() | Ended():
                return False

    def ends(self, message: Message) -> bool:
        """Say whether a message claims that our prompt is over."""
        match message:
            case Ended(prompt_id) | Executing(prompt_id, None):
                return prompt_id == self.prompt_id
            case _:
                return False

    def _names_us(self, prompt_id: str | None) -> bool:
        return prompt_id == self.prompt_id or (prompt_id is None and self._ours)

    def _enter(self, node: str) -> bool:
        before = self.phase
        if node in self.passes:
            self.phase = "drawing"
        elif node in self.graph:
            name = class_of(self.graph, node)
            self.phase = next((phase for part, phase in _PHASES if part in name), before)
        return self.phase != before

    def _walk(self, node: str, value: int, most: int) -> bool:
        if node not in self.passes:
            return False  # other nodes count their own work: tiles, frames
        if self._done.get(node, 0) <= value <= most:
            self.passes[node] = most
        entered = self._enter(node)
        return self._advance(node, min(value, most)) or entered

    def _advance(self, node: str, value: int) -> bool:
        self._done[node] = max(self._done.get(node, 0), value)
        before = self._step
        self._step = max(before, sum(self._done.values()))
        return self._step > before


def meter_for(prompt_id: str, graph: Graph, passes: Mapping[str, int]) -> Meter:
    """Return a meter at zero."""
    return Meter(prompt_id=prompt_id, graph=graph, passes=dict(passes))
