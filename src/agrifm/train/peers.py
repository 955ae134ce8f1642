"""Initialise networks of other families than AgriFM, from released weights of their encoders or at random."""

from pathlib import Path
from typing import Any

from agrifm.models.family import Family
from agrifm.models.weights.checkpoint import file_digest
from agrifm.models.weights.released import load_released, read_released


def initial_peer(
    family: Family,
    architecture: Any,
    weights: Path | None,
    frames: int,
    frozen: bool,
    location: tuple[float, float] | None,
) -> tuple[Any, dict[str, Any]]:
    """Return a network of another family before training, and what its record says of its initial weights.

    Args:
        architecture: of the preset "base" if there are weights.
        weights: of the family's encoder, as released; None, or a family that starts from none = random.
        frames: of the series.
        frozen: whether the encoder stays as the weights have it.
        location: latitude and longitude of the training area, degrees, for families that read it; None = unknown.

    Raises:
        ModelError: the file is refused (`agrifm.models.weights.released.read_released`), or does not fit the series.
    """
    if "location" in family.config.model_fields:
        architecture = architecture.model_copy(update={"location": location})
    if weights is None or family.released is None:
        return family.network(architecture), {}
    tensors = read_released(weights, family.released)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    architecture = family.released.layout(architecture, shapes, frames).model_copy(update={"frozen": frozen})
    network = family.network(architecture)
    load_released(network, tensors)
    notes = [f"the encoder is {'frozen' if frozen else 'tuned'}, what follows it starts at random"]
    return network, {"start": {"file": weights.name, "sha256": file_digest(weights), "notes": notes}}
