"""Lets InvokeAI import torchvision beside a torch that torchvision was not compiled for.

On import torchvision registers details of operators that only its compiled part defines. Declaring
the operators first is enough: nothing that is drawn here calls them.
"""

import torch

_DECLARATIONS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def declare() -> torch.library.Library | None:
    """Declare the operators unless torchvision's own are there; keep what is returned alive."""
    try:
        import torchvision  # noqa: F401, PLC0415
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for declaration in _DECLARATIONS:
            library.define(declaration)
        return library
    return None
