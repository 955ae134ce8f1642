"""The reference models of tests/golden/golden_small.npz; its README says what the keys mean."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from agrifm.models.agrifm.network import AgriFMConfig, Source
from agrifm.models.agrifm.reference import FixedSizeAgriFM, use_frame_dropping
from agrifm.models.agrifm.swin3d import SwinConfig

GOLDEN = Path(__file__).parents[2] / "golden"
ENCODER = SwinConfig(embed_dim=8, depths=(2, 2, 4, 2), heads=(1, 2, 2, 4), window=(2, 3, 3), drop_path=0)
S2 = Source(name="S2", channels=10, frames=16)
LANDSAT = Source(name="Landsat", channels=6, patch=(2, 1, 1))


@cache
def arrays() -> dict[str, Tensor]:
    with np.load(GOLDEN / "golden_small.npz") as file:
        return {
            key: torch.from_numpy(file[key].astype(np.float32) if file[key].dtype == np.float16 else file[key])
            for key in file.files
        }


def below(prefix: str) -> dict[str, Tensor]:
    """Arrays whose key starts with the prefix, by the rest of the key."""
    return {key.removeprefix(prefix): value for key, value in arrays().items() if key.startswith(prefix)}


def one_source(encoder: SwinConfig) -> AgriFMConfig:
    return AgriFMConfig(
        sources=(S2,),
        classes=3,
        encoder=encoder,
        neck_sources=("S2",),
        neck_levels=(("S2",), ("S2",), ("S2",)),
    )


MEAN = ENCODER.model_copy(update={"fusion": "mean"})
CONFIGS = {
    "cat": one_source(ENCODER),
    "mean": one_source(MEAN),
    "variant_no_mean_frame_down": one_source(MEAN),
    "variant_steps_122_222_322": one_source(MEAN.model_copy(update={"downsample_steps": (1, 2, 3)})),
    "two": AgriFMConfig(
        sources=(S2, LANDSAT),
        classes=3,
        encoder=MEAN,
        neck_sources=("S2", "Landsat"),
        neck_levels=(("S2", "Landsat"), ("S2",), ("Landsat", "S2")),
    ),
}


def reference_model(name: str) -> FixedSizeAgriFM:
    """The model with the reference's weights and sizes, in eval mode."""
    encoder = {key: value for key, value in below("weights/cat/").items() if key.startswith("encoders.")}
    rest = below(f"weights/{name}/") or below("weights/mean/")
    feature_size, out_size = ((3, 4), (24, 32)) if name == "two" else ((3, 3), (40, 36))
    model = FixedSizeAgriFM(CONFIGS[name], feature_size, out_size)
    model.load_state_dict(encoder | rest)
    return use_frame_dropping(model.eval()) if name == "variant_no_mean_frame_down" else model.eval()


def reference_images(name: str, case: str) -> dict[str, Tensor]:
    images = {"S2": arrays()[f"inputs/{case}"]}
    return images | {"Landsat": arrays()["inputs/two/Landsat"]} if name == "two" else images
