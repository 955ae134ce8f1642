"""From a table of French fields to a map of another area: a simulated season, where the crop of each pixel is known.

Data: `france_lpis_2023_dekads` under AGRIFM_DATA (default ../shared/data): one point in each of 500 parcels of western
France, Sentinel-2 in dekads. The best classic model and AgriFM learn the season March to October 2023 from the table
alone. Then a simulated season of the same months, region and sensor, with other fields and another weather, becomes a
cube, both models map it, and the maps are compared with the simulated truth.

Ten classes are in the table and in the simulation. Those that only one of them has are listed: the table's parcels of
such a class are not trained on, and pixels of one that only the simulation has are not scored. Sugar beet, forest and
villages are mapped as one of the ten, as by every model that has never seen them.

What it shows is a shift of domain. Models that know real fields are asked about simulated ones, single days instead of
dekads, and other shares of crops, and reach less than on unseen real blocks. It is neither the accuracy of a map of
real fields nor a statement on which of the two models is better.

    python examples/08_table_to_map_france.py OUT
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
from numpy.typing import NDArray
from rasterio.vrt import WarpedVRT

from agrifm.config import read_project
from agrifm.cube.fetch import fetch
from agrifm.legend import UNLABELLED, Legend
from agrifm.mapping.run import map_project
from agrifm.record import model_file
from agrifm.scores import confusion_counts, f1_per_class, macro_f1, overall_accuracy
from agrifm.simulator.catalog import simulate
from agrifm.train.project import train_project
from agrifm.train.score_lines import describe_scores

DATA = Path(os.environ.get("AGRIFM_DATA", "../shared/data")) / "france_lpis_2023_dekads"
PROJECT = """\
[season]
area = "season/area.geojson"         # of the map; the table is of other places
start = 2023-03-01
end = 2023-10-31

[imagery]
catalog = "season/catalog.json"
products = ["sentinel-2-c1-l2a"]     # the only sensor that the table and the simulation share

[labels]
series = "series.parquet"            # a row for each dekad of each parcel
file = "places.csv"                  # their classes, places and cells of 0.1 degrees
products = ["sentinel-2-worldcereal"]
legend = "legend.json"
unlabelled = ["drop"]                # the table's mark of what is not to be used

[labels.columns]
label = "label"
block = "cell"
period = "dekad"

[model]
names = ["classic", "agrifm"]
steps = 300
batch = 8
learning_rate = 2e-3
"""
SIZE_KM = 2.5
SEED = 1
LEAST = 0.25
"""Macro F1 expected of both maps; the most frequent class alone has less than 0.05."""


def main() -> None:
    """Simulate a season, train on the table, build the cube, map it with both models, and score the maps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    if not DATA.exists():
        raise SystemExit(f"the data are expected at {DATA}; set AGRIFM_DATA to the folder that holds them")
    options.out.mkdir(parents=True, exist_ok=True)
    simulate(options.out / "season", "oceanic", 2023, SIZE_KM, SEED)
    write_labels(options.out)
    (options.out / "agrifm.toml").write_text(PROJECT, encoding="utf-8")
    project = read_project(options.out)
    scores = train_project(project)
    print(*describe_scores(scores), sep="\n")
    fetch(project)
    for name in project.model.names:
        out = options.out / f"map-{name}"
        map_project(project, model_file(project.models, name), out)
        compare_with_truth(name, out, options.out / "season" / "truth", scores["models"][name]["macro_f1"])
    print("the difference is a shift of domain, from real fields to simulated ones; real maps have to be assessed")


def write_labels(out: Path) -> None:
    """Write the table, the places of its parcels, and the legend of the classes that the simulation has too."""
    pd.read_parquet(DATA / "series.parquet").to_parquet(out / "series.parquet", index=False)
    places = pd.read_csv(DATA / "splits.csv")
    samples = pd.read_parquet(DATA / "samples.parquet", columns=["sample_id", "lon", "lat"])
    simulated = Legend.read(out / "season" / "truth" / "legend.json")
    table = set(places.label)
    both = [entry for entry in simulated.classes if entry.code in table]
    only_simulated = [code for code in simulated.codes if code not in table]
    only_table = sorted(table - set(simulated.codes))
    print(f"classes of both: {', '.join(entry.code for entry in both)}")
    print(f"only in the simulation: {', '.join(only_simulated)}; only in the table: {', '.join(only_table)}")
    (out / "legend.json").write_text(Legend(classes=tuple(both)).model_dump_json(), encoding="utf-8")
    places.merge(samples, on="sample_id").drop(columns="fold").to_csv(out / "places.csv", index=False)


def compare_with_truth(name: str, mapped: Path, truth: Path, of_table: float) -> None:
    """Print the scores of a map over the pixels whose true class is in the table."""
    with rasterio.open(mapped / "classes.tif") as source, rasterio.open(truth / "crops.tif") as known:
        predicted = source.read(1)
        codes = [entry["code"] for entry in json.loads(source.tags()["AGRIFM_LEGEND"])["classes"]]
        true_codes = [entry["code"] for entry in json.loads(known.tags()["AGRIFM_LEGEND"])["classes"]]
        with WarpedVRT(
            known, crs=source.crs, transform=source.transform, width=source.width, height=source.height
        ) as here:
            true = here.read(1)
    number = np.full(256, UNLABELLED, np.uint8)
    for index, code in enumerate(true_codes):
        number[index] = codes.index(code) if code in codes else UNLABELLED
    report(name, predicted, number[true], codes, of_table)


def report(name: str, predicted: NDArray[np.uint8], true: NDArray[np.uint8], codes: list[str], of_table: float) -> None:
    """Print macro F1, F1 of each class, and what guessing reaches."""
    counts = confusion_counts(predicted, true, len(codes))
    shares = counts.sum(axis=0) / counts.sum()
    reached = macro_f1(counts)
    print(
        f"{name}: macro F1 {of_table:.3f} on unseen blocks of the table, {reached:.3f} on the simulated season "
        f"(overall accuracy {overall_accuracy(counts):.3f}, the most frequent class has {shares.max():.0%} of "
        f"{counts.sum()} pixels)"
    )
    f1 = zip(codes, f1_per_class(counts), shares, strict=True)
    print(f"{name}, F1: " + ", ".join(f"{code} {score:.2f}" for code, score, share in f1 if share > 0))
    if reached < LEAST:
        raise SystemExit(f"expected a macro F1 of at least {LEAST}; something is wrong")


if __name__ == "__main__":
    main()
