"""AgriFM on a finished demo with other seeds, compared with the demo's best classic model.

AgriFM is trained as the demo does, with three more seeds. The blocks are the demo's, so every model is scored on the
same unseen pixels and compared with its classic model by a paired interval over blocks; the last line is the mean of
the four.

    python benchmarks/demo_seeds.py DIR [--out benchmarks/results/DATE-demo-seeds.txt]

It continues where it was stopped: trained models stay in DIR/seeds.
"""

import argparse
from collections.abc import Iterator

import numpy as np
from measure import DEMO, Command
from variants import read_demo

from agrifm.config import read_project
from agrifm.inference.predictor import load_model
from agrifm.train.evaluate import compare_predictions, score
from agrifm.train.predictions import predict_labelled
from agrifm.train.run import train_models
from agrifm.train.score_lines import describe_differences

SEEDS = (1, 2, 3)
"""In addition to the demo's, 0."""


def report(options: argparse.Namespace) -> Iterator[str]:
    """A line per seed, and the mean."""
    project, data = read_project(options.directory), read_demo(options.directory).data
    yield f"{data.split.blocks['test']} unseen blocks"
    shown, legend = data.unseen.label, data.labels.legend
    classic = predict_labelled(load_model(project.models / "classic.skops"), data.tiles, shown)
    yield f"classic, seed {project.model.seed}: macro F1 {score(classic, data.unseen, legend)['macro_f1']:.3f}"
    scores, differences = [], []
    for seed in (project.model.seed, *SEEDS):
        directory = project.models if seed == project.model.seed else project.path(f"seeds/{seed}")
        weights = directory / "agrifm.safetensors"
        if not (weights.exists() and (directory / "scores.json").exists()):
            directory.mkdir(parents=True, exist_ok=True)
            train_models(data, project.model.model_copy(update={"seed": seed, "names": ("agrifm",)}), directory)
        predicted = predict_labelled(load_model(weights), data.tiles, shown)
        scores.append(score(predicted, data.unseen, legend)["macro_f1"])
        compared = compare_predictions(predicted, classic, data.unseen, len(legend))
        differences.append({"model": f"agrifm, seed {seed}", "against": "classic", **compared})
        yield f"{scores[-1]:.3f}  {describe_differences(differences[-1:])[0]}"
    mean = np.mean([difference["macro_f1"] for difference in differences])
    yield f"{np.mean(scores):.3f}  mean of {len(scores)} seeds: {mean:+.3f}"


main = Command(__doc__, report, DEMO, ("torch", "scikit-learn"))

if __name__ == "__main__":
    main()
