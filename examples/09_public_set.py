"""A public set, read as its makers distribute it, becomes a table of series and a comparison of models.

agrifm downloads nothing. So that the example runs anywhere, it first writes a small set in the layout of TimeSen2Crop
(Weikmann et al. 2021): pixels of the fields in one patch of Flanders (`flanders_multisource_2018` under AGRIFM_DATA,
default ../shared/data), nine bands and a flag for each date, a folder for each tile and class. With the set itself on
the disk, give its folder, and the same lines read it.

The scores are of a few fields and say nothing about the models; with the true set they do.

    python examples/09_public_set.py OUT
    python examples/09_public_set.py OUT --folder /data/TimeSen2Crop
"""

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from agrifm.samples.public.registry import read_public_set, recognise
from agrifm.train.combination import COMBINATIONS
from agrifm.train.compare import compare, comparison_lines
from agrifm.train.learners import LEARNERS

DATA = Path(os.environ.get("AGRIFM_DATA", "../shared/data"))
BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B8A", "B11", "B12")
CLASSES = {"grassland": 1, "maize": 2, "other_crop": 15}
TILES = {0: "33UXP", 1: "33UXP", 2: "33UXP", 3: "33TVN", 4: "33UVP"}
"""Fold of a field -> a tile of the set's training, validation or test."""
FLAGS = {4: 0, 5: 0, 6: 0, 7: 0, 3: 2, 11: 3}
"""Scene classification -> flag: 0 clear, 1 cloud (everything else), 2 shadow, 3 snow."""
PIXELS_PER_FIELD = 12
COMPARISON = """\
models = ["random-forest", "logistic", "support-vectors"]

[[sets]]
name = "TimeSen2Crop"
public = "{folder}"
choices = {{ limit = 500 }}    # at most so many pixels of each class
"""


def write_small_set(folder: Path) -> None:
    """Write pixels of the fields of Flanders as files of TimeSen2Crop."""
    source = DATA / "flanders_multisource_2018"
    patch = next(path for path in source.iterdir() if path.is_dir())
    split = pd.read_csv(source / "splits.csv")
    split = split[split.label.isin(CLASSES)].sample(frac=1, random_state=0)
    chosen = split.groupby("field").head(PIXELS_PER_FIELD)
    with (
        xr.open_dataset(patch / "s2_l2a_10m.nc", engine="h5netcdf", mask_and_scale=False) as fine,
        xr.open_dataset(patch / "s2_l2a_20m.nc", engine="h5netcdf", mask_and_scale=False) as coarse,
    ):
        day = pd.to_datetime(fine.time.values).normalize()
        # the set's year ends in August; of a day that occurs twice the first image is taken
        steps = np.flatnonzero((day < "2018-09-01") & ~day.duplicated())
        images = {name: fine[name].values if name in fine else coarse[name].values for name in BANDS}
        scene_class = coarse["SCL"].values
    for tile in set(TILES.values()):
        (folder / tile).mkdir(parents=True, exist_ok=True)
        dates = [f"{one:%Y%m%d}" for one in day[steps]]
        (folder / tile / "dates.csv").write_text("\n".join(["acquisition_date", *dates]) + "\n")
    for number, pixel in enumerate(chosen.itertuples(), 1):
        columns = {}
        for at, name in enumerate(BANDS, 1):
            half = 1 if images[name].shape[1:] != scene_class.shape[1:] else 2  # pixels of 20 m hold four of 10 m
            columns[f"B{at}"] = images[name][steps, pixel.row // half, pixel.col // half]
        classes = scene_class[steps, pixel.row // 2, pixel.col // 2]
        columns["Flag"] = np.array([FLAGS.get(int(one), 1) for one in classes])
        file = folder / TILES[pixel.fold] / str(CLASSES[pixel.label]) / f"{number}.csv"
        file.parent.mkdir(exist_ok=True)
        pd.DataFrame(columns).to_csv(file, index=False)


def main() -> None:
    """Write or find the set, say what is in it, and compare models on its official division."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--folder", type=Path, help="of TimeSen2Crop, as it is distributed")
    options = parser.parse_args()
    folder = options.folder
    if folder is None:
        if not DATA.exists():
            raise SystemExit(f"the data are expected at {DATA}; set AGRIFM_DATA to the folder that holds them")
        folder = options.out / "TimeSen2Crop"
        write_small_set(folder)
    content = read_public_set(folder, limit=500)
    table = content.table
    print(f"{recognise(folder)}: {content.facts.citation} ({content.facts.licence})")
    counts = np.bincount(table.label, minlength=len(table.legend))
    named = zip(table.legend.classes, counts, strict=True)
    print(f"{len(table)} pixels: {', '.join(f'{count} {one.name}' for one, count in named if count)}")
    print(*content.notes, sep="\n")
    for name, parts in content.folds.items():
        print(f"division {name}: {', '.join(f'{len(places)} {part}' for part, places in parts.items())}")
    (options.out / "compare.toml").write_text(COMPARISON.format(folder=folder.resolve().as_posix()), encoding="utf-8")
    report = compare(options.out / "compare.toml", LEARNERS, COMBINATIONS)
    print(*comparison_lines(report), sep="\n")
    print(f"open  {options.out / 'comparison' / 'report.html'}")


if __name__ == "__main__":
    main()
