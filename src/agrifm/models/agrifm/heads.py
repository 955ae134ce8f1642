"""From features on the target grid to what is asked of a model: class scores, and any number of other tasks.

Shape letters: B samples, K features, C channels, H W rows and columns of the target grid, h w coarse pixels,
P parcels.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from agrifm.errors import ModelError
from agrifm.models.agrifm.neck import Size, resize
from agrifm.models.agrifm.tasks import BoundariesTask, ClassesTask, EmbeddingTask, FractionsTask, RegressionTask, Task
from agrifm.models.agrifm.timeseries import mean_of_pixels

STRIP = 32
"""Rows that the head works on at a time."""
HIDDEN = 64
"""Channels between the two layers of a task's perceptron."""
LOG_VARIANCE_BOUND = 10.0
"""Log-variances stay within this of 0, so that no error is weighted beyond what float32 carries."""


class SegmentationHead(nn.Module):
    """Two convolutions at the resolution of the map, halving the channels in between."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.head = nn.Sequential(
            nn.Conv2d(width, width // 2, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width // 2, classes, 1),
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Logits (B, classes, H, W)."""
        logits: Tensor = self.head(x_BCHW)
        return logits

    def at_size(self, x_BCHW: Tensor, size: Size) -> Tensor:
        """Logits (B, classes, *size) of a map resized to `size`; outside training in strips of rows.

        A strip needs its own rows of the resized map and one more on either side, so the whole of it, many times larger
        than all else, never exists.
        """
        if self.training:
            logits: Tensor = self(resize(x_BCHW, size))
            return logits
        return torch.cat([self._strip(x_BCHW, size, first) for first in range(0, size[0], STRIP)], dim=2)

    def _strip(self, x_BCHW: Tensor, size: Size, first: int) -> Tensor:
        """Logits of up to STRIP rows from `first` on."""
        (rows, columns), height = size, x_BCHW.shape[2]
        last = min(first + STRIP, rows)
        above, below = int(first > 0), int(last < rows)
        row = torch.arange(first - above, last + below, device=x_BCHW.device)
        place = ((row + 0.5) * (height / rows) - 0.5).clamp(min=0)
        upper = place.long().clamp(max=height - 1)
        lower = (upper + 1).clamp(max=height - 1)
        top, bottom = int(upper[0]), int(lower[-1]) + 1
        wide = resize(x_BCHW[:, :, top:bottom], (bottom - top, columns))
        share = (place - upper)[:, None].to(wide.dtype)
        resized = torch.lerp(wide.index_select(2, upper - top), wide.index_select(2, lower - top), share)
        if not (above and below):  # the zeros outside the map
            resized = functional.pad(resized, (0, 0, 1 - above, 1 - below))
        wider, *rest = self.head
        assert isinstance(wider, nn.Conv2d)
        hidden = functional.conv2d(resized, wider.weight, wider.bias, padding=(0, 1))
        for layer in rest:
            hidden = layer(hidden)
        return hidden


class TaskHeads(nn.Module):
    """A perceptron per task on shared features, pixel by pixel; that for boundaries sees 3 x 3 pixels.

    Args:
        tasks: by name.
        width: channels of the features.
    """

    def __init__(self, tasks: Mapping[str, Task], width: int) -> None:
        super().__init__()
        self.tasks = dict(tasks)
        # the suffix keeps names such as `values` apart from what a ModuleDict has already
        self.layers = nn.ModuleDict({f"{name}_head": _perceptron(width, task) for name, task in self.tasks.items()})

    def forward(self, x_BKHW: Tensor, parcels_BHW: Tensor | None = None) -> dict[str, Tensor]:
        """What each task's config describes, by the task's name.

        Args:
            x_BKHW: features on the target grid.
            parcels_BHW: number of the parcel at each pixel, any integer type, -1 = none; left out, the result lacks
                the tasks per parcel.

        Raises:
            ModelError: the parcels do not lie on the grid of the features, or are no integers.
        """
        if parcels_BHW is not None:
            _check_parcels(parcels_BHW, x_BKHW)
        found: dict[str, Tensor] = {}
        for name, task in self.tasks.items():
            layer = self.layers[f"{name}_head"]
            if isinstance(task, RegressionTask) and task.per == "parcel":
                if parcels_BHW is not None:
                    means_PK = parcel_means(x_BKHW, parcels_BHW)
                    found[name] = _finished(layer(means_PK[:, :, None, None]), task)[:, :, 0, 0]
            else:
                found[name] = _finished(layer(x_BKHW), task)
        return found


def _perceptron(width: int, task: Task) -> nn.Sequential:
    # a border is a difference between neighbours
    side = 3 if isinstance(task, BoundariesTask) else 1
    return nn.Sequential(
        nn.Conv2d(width, HIDDEN, side, padding=side // 2), nn.GELU(), nn.Conv2d(HIDDEN, task.channels, 1)
    )


def _finished(raw_BCHW: Tensor, task: Task) -> Tensor:
    """From the numbers of a task's layer to those that its config describes."""
    match task:
        case ClassesTask():
            return raw_BCHW
        case FractionsTask():
            return mean_of_pixels(raw_BCHW.softmax(dim=1), (task.side, task.side))
        case BoundariesTask():
            boundary, distance, extent = raw_BCHW.unbind(dim=1)
            return torch.stack([boundary, distance.sigmoid(), extent], dim=1)
        case RegressionTask():
            values = [quantity.in_unit(raw_BCHW[:, number]) for number, quantity in enumerate(task.quantities)]
            free = raw_BCHW[:, len(values) :]
            bounded = LOG_VARIANCE_BOUND * torch.tanh(free / LOG_VARIANCE_BOUND)
            return torch.cat([torch.stack(values, dim=1), bounded], dim=1)
        case EmbeddingTask():
            return functional.normalize(raw_BCHW, dim=1)


def parcel_means(x_BKHW: Tensor, parcels_BHW: Tensor) -> Tensor:
    """Mean features (P, K) of the parcels of a batch, in ascending order of their numbers.

    Pixels are sorted by parcel and each parcel is added up in the order of its pixels, not in the order in which
    threads happen to arrive: the same input has the same result to the bit.

    Args:
        x_BKHW: features.
        parcels_BHW: number of the parcel at each pixel, negative = none.
    """
    parcels, pixels = parcels_BHW.flatten().sort(stable=True)
    inside = parcels >= 0
    _, lengths = torch.unique_consecutive(parcels[inside], return_counts=True)
    if not len(lengths):
        return x_BKHW.new_zeros((0, x_BKHW.shape[1]))
    features = x_BKHW.movedim(1, -1).flatten(0, 2).index_select(0, pixels[inside])
    # a sum of many pixels needs the digits of float32
    exact = features.to(torch.promote_types(features.dtype, torch.float32))
    return torch.segment_reduce(exact, "mean", lengths=lengths).to(features.dtype)


def _check_parcels(parcels_BHW: Tensor, x_BKHW: Tensor) -> None:
    B, _, H, W = x_BKHW.shape
    if parcels_BHW.shape != (B, H, W):
        raise ModelError(
            f"the parcels have the shape {tuple(parcels_BHW.shape)}, but the target grid is {(B, H, W)} (samples, "
            "rows, columns); give the number of the parcel at every target pixel"
        )
    if parcels_BHW.is_floating_point() or parcels_BHW.is_complex() or parcels_BHW.dtype == torch.bool:
        raise ModelError(f"the parcels are {parcels_BHW.dtype}, not whole numbers; give integers, -1 where none lies")
