"""Random forests of older versions, which can be read and grown, and the drawing of training pixels.

scikit-learn and skops are imported when a forest is grown, read or written, because they are optional.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal
from zipfile import ZIP_DEFLATED

import numpy as np
from numpy.typing import NDArray

from agrifm.classic.features import FeatureKind, Part, feature_margin, parts_of_kind, pixel_features
from agrifm.classic.forest_structure import require_sound_forest, require_sound_trees
from agrifm.classic.numbers import Classes, Rows
from agrifm.errors import ModelError, require_installed
from agrifm.files import AnyPath, as_path, write_bytes
from agrifm.grid import Window
from agrifm.legend import UNLABELLED
from agrifm.record import ModelRecord, SensorInput
from agrifm.season import Season

if TYPE_CHECKING:
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

    from agrifm.samples.sample import Sample

TREES = 300
MAX_PIXELS_PER_PARCEL = 8
"""Training pixels drawn from a parcel; more would repeat each other."""
MAX_PIXELS_PER_BLOCK = 40
"""Training pixels drawn per block from land of the class `other`."""
_TRUSTED = ["sklearn.tree._tree.Tree"]
"""Types outside of skops' list of safe types that a stored forest may hold."""


@dataclass(frozen=True)
class ForestConfig:
    """The features of a forest, and how its trees are grown."""

    features: FeatureKind = "series"
    split: Literal["best", "random"] = "best"
    """Thresholds: the best of each feature (Breiman 2001), or a random one for each (Geurts et al. 2006)."""
    share: float | Literal["sqrt"] = "sqrt"
    """Features tried at each split: a share of all, or the square root of their number."""
    leaf: int = 2
    """Fewest training pixels in a leaf."""

    @classmethod
    def of(cls, record: ModelRecord) -> "ForestConfig":
        """Return the configuration in a record."""
        return cls(**record.architecture["shape"])

    def record(self) -> dict[str, Any]:
        """Return the part of a record that depends on this configuration."""
        return {
            "family": "random-forest",
            "architecture": {"kind": "random forest", "shape": asdict(self)},
            "margin": feature_margin(parts_of_kind(self.features)),
        }


@dataclass(frozen=True)
class RandomForest:
    """A trained forest and its record."""

    record: ModelRecord
    classifier: "RandomForestClassifier | ExtraTreesClassifier"

    def probabilities(self, sample: "Sample") -> NDArray[np.float32]:
        """Return class probabilities (classes, H, W) of an interpolated sample.

        Pixels without an observation enter as 0.
        """
        everywhere = np.ones(sample.label.shape, bool)
        parts = parts_of_kind(ForestConfig.of(self.record).features)
        rows = pixel_features(sample, everywhere, self.record.sensors, parts, Season(*self.record.season).days)
        if rows.shape[1] != self.classifier.n_features_in_:
            raise ModelError(
                f"running the model '{self.record.name}': its trees have {self.classifier.n_features_in_} features, "
                f"its record makes {rows.shape[1]}; train it again"
            )
        of_known_classes = self.classifier.predict_proba(rows).astype(np.float32)
        result = np.zeros((len(rows), len(self.record.legend)), np.float32)
        result[:, self.classifier.classes_] = of_known_classes
        return result.T.reshape(-1, *sample.label.shape)


def draw_pixels(
    label: NDArray[np.uint8], place: NDArray[np.int32], block: NDArray[np.int32], seed: int
) -> NDArray[np.bool_]:
    """Draw training pixels (H, W), at most `MAX_PIXELS_PER_PARCEL` per parcel.

    Of the class `other`, which has no parcels, at most `MAX_PIXELS_PER_BLOCK` are drawn per block.
    """
    generator = np.random.default_rng(seed)
    labelled = np.flatnonzero(label.ravel() != UNLABELLED)
    shuffled = generator.permutation(labelled)
    group = np.where(place.ravel() >= 0, place.ravel(), -1 - block.ravel().astype(np.int64))[shuffled]
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    first = np.r_[0, np.flatnonzero(np.diff(ordered)) + 1]
    rank = np.arange(len(ordered)) - np.repeat(first, np.diff(np.r_[first, len(ordered)]))
    allowed = np.where(ordered >= 0, MAX_PIXELS_PER_PARCEL, MAX_PIXELS_PER_BLOCK)
    chosen = np.zeros(label.size, bool)
    chosen[shuffled[order[rank < allowed]]] = True
    return chosen.reshape(label.shape)


def pixel_rows(
    samples: "Iterable[tuple[Window, Sample]]",
    chosen: NDArray[np.bool_],
    sensors: Sequence[SensorInput],
    parts: Sequence[Part],
    season_days: int,
) -> tuple[Rows, NDArray[np.intp]]:
    """Return features of the chosen pixels, each once although windows may overlap.

    Args:
        samples: windows with the sample of each, which may be larger than the window.
        chosen: (H, W) of the whole target grid; pixels without a valid observation are dropped.
        parts: see `agrifm.classic.features.pixel_features`.
        season_days: length of the season.

    Returns:
        Rows (pixels, features), and the index of each row's pixel in the flattened grid.
    """
    remaining = chosen.copy()
    index = np.arange(chosen.size).reshape(chosen.shape)
    rows, pixels = [], []
    for window, sample in samples:
        wanted = np.zeros(sample.label.shape, bool)
        inside = window.within(sample.window).slices
        wanted[inside] = remaining[window.slices] & sample.any_valid[inside]
        rows.append(pixel_features(sample, wanted, sensors, parts, season_days))
        pixels.append(index[window.slices][wanted[inside]])
        remaining[window.slices] = False
    return np.concatenate(rows), np.concatenate(pixels)


def grow_trees(rows: Rows, classes: Classes, shape: ForestConfig, trees: int, seed: int) -> Any:
    """Grow a classifier of scikit-learn on rows (pixels, features) and class numbers (pixels,).

    Raises:
        ModelError: scikit-learn is not installed.
    """
    require_installed("training a random forest", "classic", "sklearn", "skops")
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

    kind = RandomForestClassifier if shape.split == "best" else ExtraTreesClassifier
    forest = kind(trees, min_samples_leaf=shape.leaf, max_features=shape.share, n_jobs=-1, random_state=seed)
    return forest.fit(rows, classes)


def fit_forest(rows: Rows, classes: Classes, record: ModelRecord, shape: ForestConfig | None = None) -> RandomForest:
    """Train a forest of `TREES` trees on rows (pixels, features) and class numbers (pixels,)."""
    shape = shape or ForestConfig()
    record = record.model_copy(update=shape.record())
    return RandomForest(record, grow_trees(rows, classes, shape, TREES, int(record.training.get("seed", 0))))


def save_forest(path: AnyPath, forest: RandomForest) -> None:
    """Write the forest and its record as one skops file, whole or not at all.

    Raises:
        ModelError: skops is not installed.
    """
    path = as_path(path)
    require_installed(f"writing the model {path}", "classic", "sklearn", "skops")
    from skops import io

    content = {"record": forest.record.model_dump_json(), "forest": forest.classifier}
    write_bytes(path, io.dumps(content, compression=ZIP_DEFLATED, compresslevel=1))


def load_forest(path: AnyPath) -> RandomForest:
    """Read a forest; a file with any type that a forest does not have is refused unread.

    Raises:
        ModelError: the file is absent, damaged, or not a forest written by agrifm; or a package is not installed.
    """
    path = as_path(path)
    about = f"reading the model {path}"
    require_installed(about, "classic", "sklearn", "skops")
    from skops import io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        require_sound_trees(path)
        content = io.load(path, trusted=_TRUSTED)
        record = ModelRecord.model_validate_json(content["record"])
        ForestConfig.of(record)
        classifier = content["forest"]
        require_sound_forest(classifier, len(record.legend))
        classifier.set_params(n_jobs=-1, verbose=0)  # whatever the file states
        return RandomForest(record, classifier)
    except UntrustedTypesFoundException as error:
        raise ModelError(
            f"{about}: it contains types that a random forest does not have ({error}); do not use it", path=path
        ) from error
    except FileNotFoundError as error:
        raise ModelError(f"{about}: it does not exist; `agrifm train` writes it", path=path) from error
    except Exception as error:  # zip, JSON, numpy, skops and scikit-learn raise errors of any class for a damaged file
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ModelError(f"{about}: it is damaged ({reason}); `agrifm train` writes it", path=path) from error
