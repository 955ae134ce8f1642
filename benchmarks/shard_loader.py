"""How many samples per second shards yield, next to what training with the network of points consumes.

    python benchmarks/shard_loader.py --out benchmarks/results

Shards of the pretraining world are made in a temporary folder. The loader makes shuffled batches of one source;
training is the forward and backward pass of the network of points on such a batch, in one thread.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from measure import Command

from agrifm.inference.tensors import tensor_batch
from agrifm.models.agrifm.network import AgriFM
from agrifm.models.agrifm.point_network import point_config
from agrifm.models.classifier import Classifier
from agrifm.record import SensorRecord
from agrifm.samples.shard_samples import ShardSamples
from agrifm.train.world_shards import make_world_shards


def report(options: argparse.Namespace) -> Iterator[str]:
    """Time the loader and a training step on the same batches."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        shards = make_world_shards(Path(folder) / "shards", seed=0, places=options.places)
        size = sum((shards.directory / entry.file).stat().st_size for entry in shards.whole)
        samples = ShardSamples(shards, shards.whole, seed=0)
        yield f"{len(samples)} points in {len(shards.whole)} shards, {size / len(samples) / 1e3:.1f} kB each"
        sensors = [
            SensorRecord(**one.model_dump(), mean=(0.2,) * len(one.bands), std=(0.1,) * len(one.bands))
            for one in shards.index.sensors
        ]
        network = AgriFM(point_config(sensors, len(shards.index.groups), 24, 365))
        classifier = Classifier(network, sensors, "observed")
        loading = training = 0.0
        count = 0
        for step in range(options.steps):
            start = time.process_time()
            chosen, _ = samples.batch_of_step(step, options.batch, 0)
            batch = tensor_batch([samples[index] for index in chosen], sensors, samples.lacking)
            loaded = time.process_time()
            functional = torch.nn.functional.l1_loss(
                classifier(batch).softmax(1)[..., 0, 0], batch.targets["fractions"]
            )
            functional.backward()
            if step:  # the first step reads files
                count += len(chosen)
                loading, training = loading + loaded - start, training + time.process_time() - loaded
        yield f"samples per second of processor time, in batches of {options.batch}:"
        yield f"  loader   {count / loading:7.0f}"
        yield f"  training {count / training:7.0f}, {training / loading:.1f} times slower"


main = Command(
    __doc__,
    report,
    {
        "--places": {"type": int, "default": 160},
        "--steps": {"type": int, "default": 30},
        "--batch": {"type": int, "default": 128},
    },
    ("torch", "safetensors"),
    quick={"places": 2, "steps": 2, "batch": 8},
)

if __name__ == "__main__":
    main()
