"""Makes a network faster on CUDA without changing what it computes: fewer passes over memory."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from typing_extensions import override

from engines.diffusers.recast import recast


def quicken(network: nn.Module) -> bool:
    """Put the fused kernels into a network; False when they cannot be had.

    Every replaced forward falls back to the module's own for inputs that the kernels do not take.
    """
    try:
        _kernels()
    except ImportError:
        return False
    module: Any
    for module in network.modules():
        match type(module).__name__:
            case "GroupNorm":
                recast(module, QuickNorm)
            case "ResnetBlock2D" if _is_plain(module):
                recast(module, QuickResnet)
            case "GEGLU":
                recast(module, QuickGate)
            case "Transformer2DModel" if module.is_input_continuous:
                recast(module, QuickReturn)
            case "Attention" if _is_bare(module):
                module.set_processor(Attend(module.processor))
            case _:
                pass
    return True


def takes(x: torch.Tensor) -> bool:
    """Say whether the kernels can read a tensor: on the GPU, with the channel innermost."""
    there = x.is_cuda or x.device.type == "cpu"
    return there and x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)  # noqa: PLR2004


def _kernels() -> Any:  # noqa: ANN401
    """Return the kernels.

    Raises:
        ImportError: there is no Triton here.
    """
    from engines.diffusers import kernels  # noqa: PLC0415

    return kernels


class QuickNorm(nn.GroupNorm):
    """Ways of a group norm that works where the tensor lies."""

    @override
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise."""
        if not takes(x):
            return super().forward(x)
        answer: torch.Tensor = _kernels().normalise(x, self, silu=False)
        return answer


def _is_plain(block: Any) -> bool:  # noqa: ANN401
    return (
        block.upsample is None
        and block.downsample is None
        and block.time_embedding_norm == "default"
        and isinstance(block.nonlinearity, nn.SiLU)
        and isinstance(block.norm1, nn.GroupNorm)
        and isinstance(block.norm2, nn.GroupNorm)
    )


class QuickResnet:
    """Ways of a residual block: two norms with their activations, the time's share added there."""

    def forward(
        self: Any,
        x: torch.Tensor,
        temb: torch.Tensor | None,
        *more: object,
    ) -> torch.Tensor:
        """Convolve twice and add what came in."""
        if not takes(x):
            plain: torch.Tensor = super().forward(x, temb, *more)  # type: ignore[misc]
            return plain
        normalise = _kernels().normalise
        hidden = self.conv1(normalise(x, self.norm1, silu=True))
        shift = None
        if temb is not None and self.time_emb_proj is not None:
            shift = self.time_emb_proj(temb if self.skip_time_act else functional.silu(temb))
        hidden = normalise(_innermost(hidden), self.norm2, add=shift, silu=True)
        hidden = self.conv2(hidden)
        kept = x if self.conv_shortcut is None else self.conv_shortcut(x)
        total: torch.Tensor = kept + hidden
        return total if self.output_scale_factor == 1 else total / self.output_scale_factor


def _innermost(x: torch.Tensor) -> torch.Tensor:
    return x.contiguous(memory_format=torch.channels_last)


class QuickGate:
    """Ways of a feed-forward layer's first half, gated in the pass that halves it."""

    def forward(self: Any, hidden: torch.Tensor, *_: object) -> torch.Tensor:
        """Project and gate."""
        gated: torch.Tensor = _kernels().gate(self.proj(hidden))
        return gated


class QuickReturn:
    """Ways back to pictures from rows of pixels, which lie in memory as they should already."""

    def _get_output_for_continuous_inputs(  # noqa: PLR0917
        self: Any,
        hidden_states: torch.Tensor,
        residual: torch.Tensor,
        batch_size: int,
        height: int,
        width: int,
        inner_dim: int,
    ) -> torch.Tensor:
        if self.use_linear_projection:
            hidden_states = self.proj_out(hidden_states)
        shape = (batch_size, height, width, inner_dim)
        picture = hidden_states.reshape(shape).permute(0, 3, 1, 2)
        if not self.use_linear_projection:
            picture = self.proj_out(picture)
        return picture + residual


def _is_bare(attention: Any) -> bool:  # noqa: ANN401
    extras = (attention.group_norm, attention.spatial_norm, attention.norm_q, attention.norm_k)
    return (
        type(attention.processor).__name__ == "AttnProcessor2_0"
        and all(extra is None for extra in extras)
        and not attention.norm_cross
        and not attention.residual_connection
        and attention.rescale_output_factor == 1
    )


class Attend:
    """Attention without the passes that change nothing: a division by one, a dropout of none."""

    def __init__(self, own: Callable[..., torch.Tensor]) -> None:
        self._own = own

    def __call__(
        self,
        attn: Any,  # noqa: ANN401
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Attend from the pixels to themselves, or to the prompt."""
        if attention_mask is not None or hidden_states.ndim != 3:  # noqa: PLR2004
            return self._own(attn, hidden_states, encoder_hidden_states, attention_mask, temb)
        told = hidden_states if encoder_hidden_states is None else encoder_hidden_states

        def heads(rows: torch.Tensor) -> torch.Tensor:
            shape = (rows.shape[0], rows.shape[1], attn.heads, -1)
            return rows.reshape(shape).transpose(1, 2)

        seen = functional.scaled_dot_product_attention(
            heads(attn.to_q(hidden_states)), heads(attn.to_k(told)), heads(attn.to_v(told))
        )
        answer: torch.Tensor = attn.to_out[0](seen.transpose(1, 2).flatten(2))
        return answer
