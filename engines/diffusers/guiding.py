"""ControlNets: pictures that guide the drawing, asked along with the network at every step."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch

from engines.diffusers.checkpoint import Checkpoint, bytes_of
from engines.diffusers.headers import BrokenFileError, in_short
from engines.diffusers.library import Library, Shelved
from engines.diffusers.parts import load_controlnet
from engines.diffusers.pixels import read_picture, to_tensor
from engines.diffusers.plan import Pass
from engines.diffusers.seams import Seams, make_wrappable
from engines.diffusers.session import Guide, Session
from engines.errors import InvalidSpecError
from engines.inputs import Inputs

KEPT = 3
"""ControlNets that stay loaded; more where one picture has more."""


class Guides:
    """Loads ControlNets and asks them; used by the drawing thread alone."""

    def __init__(self, *, library: Library, device: torch.device) -> None:
        self._library = library
        self._device = device
        self._seams = Seams()
        self._loaded: OrderedDict[tuple[str, torch.dtype], Any] = OrderedDict()

    def prepare(self, part: Pass, checkpoint: Checkpoint, inputs: Inputs) -> tuple[Guide, ...]:
        """Read the guides of a pass and load their networks.

        Raises:
            InvalidSpecError: one is missing, broken, or does not fit.
        """
        guides = []
        for control in part.controls:
            shelved = self._library.find(control.model, "controlnet", field="controls")
            network = self._network(shelved, checkpoint, wanted=len(part.controls))
            _check_shape(network, checkpoint, control.model)
            picture = to_tensor(read_picture(inputs.read(control.image), *part.size))
            guides.append(
                Guide(
                    model=shelved,
                    picture=picture.to(self._device),
                    weight=control.weight,
                    start=control.start,
                    end=control.end,
                )
            )
        return tuple(guides)

    def ask(
        self, sessions: Sequence[Session], checkpoint: Checkpoint, inputs: dict[str, Any]
    ) -> dict[str, Any]:
        """Return what the guides add to the network's inputs, summed over all of them."""
        self._seams.set(sessions[0].group.tiling)
        total: tuple[list[torch.Tensor], torch.Tensor] | None = None
        # A network that is trained to fill reads the mask too; its guides see the latents alone.
        seen = inputs["sample"][:, : checkpoint.vae.config.latent_channels]
        guides = sessions[0].guides
        for index, guide in enumerate(guides):
            network = self._network(guide.model, checkpoint, wanted=len(guides))
            weights = _per_row(sessions, [s.control_weights()[index] for s in sessions])
            pictures = [s.guides[index].picture for s in sessions]
            rows = [pictures[i] for i, s in enumerate(sessions) for _ in range(s.conditioning.rows)]
            down, middle = network(
                **(inputs | {"sample": seen}),
                controlnet_cond=torch.cat(rows).to(checkpoint.dtype),
                conditioning_scale=weights.to(self._device, checkpoint.dtype),
                return_dict=False,
            )
            if total is not None:
                down = [old + new for old, new in zip(total[0], down, strict=True)]
                middle = total[1] + middle
            total = (list(down), middle)
        if total is None:
            return {}
        return {
            "down_block_additional_residuals": total[0],
            "mid_block_additional_residual": total[1],
        }

    @property
    def held(self) -> int:
        """Bytes that the loaded networks take."""
        return sum(bytes_of(network) for network in self._loaded.values())

    def release(self) -> None:
        """Let every network go."""
        self._loaded.clear()

    def _network(self, shelved: Shelved, checkpoint: Checkpoint, *, wanted: int) -> Any:  # noqa: ANN401
        """Return the network of a ControlNet, one of as many as a picture wants."""
        key = (shelved.mark, checkpoint.dtype)
        if key not in self._loaded:
            try:
                network = load_controlnet(shelved, checkpoint)
            except (BrokenFileError, OSError, ValueError) as error:
                detail = f"the ControlNet {shelved.info.name} does not fit: {in_short(error)}"
                raise InvalidSpecError(detail, field="controls") from error
            make_wrappable(network, self._seams)
            self._loaded[key] = network.to(self._device).requires_grad_(requires_grad=False).eval()
            while len(self._loaded) > max(KEPT, wanted):
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(key)
        return self._loaded[key]


def _check_shape(network: Any, checkpoint: Checkpoint, name: str) -> None:  # noqa: ANN401
    """Make sure that what a ControlNet adds can be added.

    Raises:
        InvalidSpecError: it was made for a network of another shape.
    """
    for part in ("cross_attention_dim", "block_out_channels"):
        wanted, given = checkpoint.unet.config[part], network.config[part]
        if _listed(wanted) != _listed(given):
            raise InvalidSpecError(
                f"the ControlNet {name} does not fit {checkpoint.shelved.info.name}: "
                f"its {part} is {given}, not {wanted}",
                field="controls",
            )


def _listed(value: Any) -> list[Any]:  # noqa: ANN401
    return list(value) if isinstance(value, list | tuple) else [value]


def _per_row(sessions: Sequence[Session], weights: Sequence[float]) -> torch.Tensor:
    rows = [w for s, w in zip(sessions, weights, strict=True) for _ in range(s.conditioning.rows)]
    return torch.tensor(rows).reshape(-1, 1, 1, 1)
