"""Gives loaded modules other methods, by giving them another class."""

from functools import cache

from torch import nn


def recast(module: nn.Module, ways: type) -> None:
    """Let a module go about its work in the `ways` of a class that stands before its own.

    A function put onto the module itself would hold the module that holds it: such a model's
    memory comes back only when Python looks for cycles, long after it was let go.
    """
    own: type = type(module)
    if not issubclass(own, ways):
        # mypy takes a class's hash for that of its instances.
        module.__class__ = _both(ways, own)  # type: ignore[arg-type]


@cache
def _both(ways: type, own: type) -> type:
    # The name stays: diffusers and peft go by it in places.
    return type(own.__name__, (ways, own), {"__module__": own.__module__})
