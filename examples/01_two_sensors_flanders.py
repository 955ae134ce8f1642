"""Sentinel-2 and Landsat-8 of one real place in one cube; AgriFM and the best classic model on fields unseen by both.

Data: `flanders_multisource_2018` under AGRIFM_DATA (default ../shared/data): 640 x 640 m in Flanders, 2018, NetCDF
files of the WorldCereal project, fields of the land parcel register. AgriFM takes composites in which every pixel keeps
its own days and gaps; the classic model takes interpolated series. The four maize, six other crop and nine grassland
fields are too few for a statement on accuracy: the numbers show that reading, masking, training and mapping work.

OUT/report/report.html assesses a map in which each field is as a model sees it that has not seen the field. Its
reference are all fields of the place and no sample of fields, which its first line says.

    python examples/01_two_sensors_flanders.py OUT
"""

import argparse
import os
import time
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import rasterio
from rasterio.features import geometry_mask, shapes
from shapely.geometry import shape

from agrifm.assess.report import assess
from agrifm.assess.report_lines import report_lines
from agrifm.config import Project, read_project
from agrifm.cube.fetch import fetch
from agrifm.grid import LONLAT
from agrifm.legend import Legend, LegendClass
from agrifm.mapping.run import map_project
from agrifm.scores import f1_per_class, macro_f1, overall_accuracy
from agrifm.train.run import train

DATA = Path(os.environ.get("AGRIFM_DATA", "../shared/data")) / "flanders_multisource_2018"
LEGEND = Legend(
    classes=(
        LegendClass(code="maize", name="maize", color="#ddcc77"),
        LegendClass(code="other_crop", name="other crops", color="#cc6677"),
        LegendClass(code="grassland", name="grassland", color="#44aa99"),
        LegendClass(code="no_crop", name="no crop", color="#dddddd", scored=False),
    )
)
FOLDS = 5
PROJECT = """\
[season]
area = "area.geojson"
start = 2018-03-01
end = 2018-10-31
[[imagery.files]]
product = "sentinel-2-worldcereal"
pattern = "patch/s2_l2a_*.nc"
[[imagery.files]]
product = "landsat-8-c1-worldcereal"
pattern = "patch/l8_sr_10m.nc"
[labels]
file = "fields_{fold}.gpkg"
column = "label"
legend = "legend.json"
fold_column = "fold"
block = 480
[model]
preset = "tiny"
frames = 24
series = "composites"
side = 48
steps = {steps}
batch = 4
"""


def main() -> None:
    """Fetch once, train and score on five folds of whole fields, map each, and assess the map of unseen fields."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=75, help="training steps per fold")
    options = parser.parse_args()
    if not DATA.exists():
        raise SystemExit(f"the data are expected at {DATA}; set AGRIFM_DATA to the folder that holds them")
    start = time.perf_counter()
    options.out.mkdir(parents=True, exist_ok=True)
    fields = prepare(options.out)
    counts = {"agrifm": 0, "classic": 0}
    for fold in range(FOLDS):
        project = write_project(options.out, fields, fold, options.steps)
        cube, account = fetch(project)
        if fold == 0:
            print("\n".join(account))
            for name, sensor in cube.provenance["sensors"].items():
                shares = [frame["valid_share"] for frame in sensor["frames"]]
                print(f"{name}: resampled before: {sensor['resampled_before']}; mean valid share {np.mean(shares):.2f}")
        scores = train(project)
        for name, own in scores["models"].items():
            counts[name] += np.array(own["counts"])
        map_project(project, out=options.out / f"map_{fold}")
        (options.out / "models").rename(options.out / f"models_{fold}")
    table(counts)
    unseen, reference = options.out / "unseen.tif", options.out / "fields.gpkg"
    write_unseen(options.out, fields, unseen)
    fields.to_file(reference, driver="GPKG")
    report = assess(unseen, reference, "label", options.out / "report", sampling="non-probability")
    print(*report_lines(report), sep="\n")
    print(f"report: {options.out / 'report'}; {time.perf_counter() - start:.0f} s in all")


def prepare(out: Path) -> geopandas.GeoDataFrame:
    """Area, legend and fields beside a link to the files; fields have label and number of fold."""
    patch = next(path for path in DATA.iterdir() if path.is_dir())
    link = out / "patch"
    if not link.exists():
        link.symlink_to(patch.resolve())
    split = pd.read_csv(DATA / "splits.csv")
    with rasterio.open(patch / "label_croptype.tif") as source:
        number = np.full(source.shape, -1, np.int32)
        number[split.row, split.col] = split.field
        outlines = [(int(value), shape(outline)) for outline, value in shapes(number, transform=source.transform)]
        crs = source.crs
    about = split.drop_duplicates("field").set_index("field")
    fields = geopandas.GeoDataFrame(
        {
            "label": [about.label[value] for value, _ in outlines],
            "number": [int(about.fold[value]) for value, _ in outlines],
        },
        geometry=[outline for _, outline in outlines],
        crs=crs,
    )
    outline = geopandas.GeoDataFrame(geometry=[fields.union_all().envelope], crs=crs)
    outline.to_crs(LONLAT).to_file(out / "area.geojson", driver="GeoJSON")
    (out / "legend.json").write_text(LEGEND.model_dump_json(), encoding="utf-8")
    return fields


def write_project(out: Path, fields: geopandas.GeoDataFrame, fold: int, steps: int) -> Project:
    """A project whose test fields are those of one fold, its validation fields those of the next."""
    names = {fold: "test", (fold + 1) % FOLDS: "validation"}
    own = fields.assign(fold=[names.get(number, "train") for number in fields.number])
    own.drop(columns="number").to_file(out / f"fields_{fold}.gpkg", driver="GPKG")
    (out / "agrifm.toml").write_text(PROJECT.format(fold=fold, steps=steps), encoding="utf-8")
    return read_project(out)


def write_unseen(out: Path, fields: geopandas.GeoDataFrame, path: Path) -> None:
    """A map whose pixels are from the map of the fold in which their field was tested; others are of the first fold."""
    with rasterio.open(out / "map_0" / "classes.tif") as first:
        classes, profile, tags, colors = first.read(1), first.profile, first.tags(), first.colormap(1)
    for fold in range(FOLDS):
        own = fields[fields.number == fold].to_crs(profile["crs"]).geometry
        inside = geometry_mask(own, classes.shape, profile["transform"], invert=True)
        with rasterio.open(out / f"map_{fold}" / "classes.tif") as source:
            classes = np.where(inside, source.read(1), classes)
    shape = {key: profile[key] for key in ("crs", "transform", "width", "height", "nodata", "dtype")}
    with rasterio.open(path, "w", driver="GTiff", count=1, compress="deflate", **shape) as target:
        target.write(classes, 1)
        target.write_colormap(1, colors)
        target.update_tags(**tags)


def table(counts: dict[str, np.ndarray]) -> None:
    """Pixels of all test folds together, and the majority class beside the models."""
    true = counts["classic"].sum(axis=0)
    print(f"{int(true.sum())} pixels of held-out fields; majority class {true.max() / true.sum():.3f}")
    print(f"{'model':<14} {'overall':>8} {'macro F1':>9}  " + "  ".join(f"{code:>10}" for code in LEGEND.codes))
    scored = np.array([entry.scored for entry in LEGEND.classes])
    for name, own in counts.items():
        f1 = "  ".join(f"{value:>10.2f}" for value in f1_per_class(own))
        print(f"{name:<14} {overall_accuracy(own):>8.3f} {macro_f1(own, scored):>9.3f}  {f1}")
    print(
        "19 crop fields in one place. AgriFM, trained from scratch, remembers the few fields it has seen; the numbers"
    )
    print("show that reading, training and scoring work, not which model is better.")


if __name__ == "__main__":
    main()
