"""What training minimises. Shape letters: B samples, K classes, H W rows and columns."""

from typing import Literal

from torch import Tensor
from torch.nn import functional

IGNORE = 255


def cross_entropy(
    logits_BKHW: Tensor,
    label_BHW: Tensor,
    ignore: int = IGNORE,
    reduction: Literal["labelled", "reference"] = "labelled",
    smoothing: float = 0.0,
) -> Tensor:
    """Mean cross-entropy in nats, classes unweighted.

    Args:
        logits_BKHW: class scores.
        label_BHW: class numbers, any integer type.
        ignore: the label of pixels that do not count.
        reduction: `labelled` divides by the number of labelled pixels, and is 0 if there are none; `reference`
            divides by all pixels, as the public AgriFM code does, so that sparse labels shrink the loss.
        smoothing: share of the truth that is spread evenly over all classes (Szegedy et al. 2016, section 7).
    """
    total = functional.cross_entropy(
        logits_BKHW, label_BHW.long(), ignore_index=ignore, reduction="sum", label_smoothing=smoothing
    )
    if reduction == "reference":
        return total / label_BHW.numel()
    return total / (label_BHW != ignore).sum().clamp(min=1)
