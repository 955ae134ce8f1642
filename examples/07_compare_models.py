"""Which model is best for these labels? Two tables of series, classic models and few labels, under one protocol.

Data under AGRIFM_DATA (default ../shared/data): `bahia_cbers4_2018` (922 points in western Bahia, CBERS-4 composites of
16 days, folds of whole cells) and `africa_smallholders_2017` (points of smallholders, monthly composites, a table of
WorldCereal). The example writes a project file for each table, which says what its numbers are, and the file of the
comparison. The report is OUT/comparison/report.html.

The scores compare models. With 5 labels of each class they differ little; how little, the intervals say.

    python examples/07_compare_models.py OUT
"""

import argparse
import os
from pathlib import Path

import pandas as pd

from agrifm.train.combination import COMBINATIONS
from agrifm.train.compare import compare, comparison_lines
from agrifm.train.learners import LEARNERS

DATA = Path(os.environ.get("AGRIFM_DATA", "../shared/data"))
BAHIA = """\
[season]
start = 2018-08-29
end = 2019-08-28

[imagery.product]                    # what the numbers of the table are
name = "awfi-indices"
sensor = "awfi-indices"
resolution = 60
bands = [{ name = "NDVI" }, { name = "EVI" }]
quantity = "index"
scale = 1.0
nodata = -9999
valid_range = [-1, 1]

[labels]
series = "series.parquet"            # a row for each date of each point
file = "places.parquet"              # classes, places and folds of the points
products = ["awfi-indices"]

[labels.columns]
label = "label"
block = "cell"
fold = "fold"
period = 16
"""
AFRICA = """\
[season]
start = 2016-12-01
end = 2017-11-30

[labels]
series = "extractions.parquet"       # a row for each point, a column for each band and month
products = ["sentinel-2-worldcereal", "sentinel-1-worldcereal-amplitude"]
unlabelled = [                       # classes of one or two cells
  "fibre_crops", "root_tuber_crops", "herbaceous_vegetation", "grasslands", "built_up", "millet", "potatoes",
]

[labels.columns]
label = "sampling_label"
block = "h3_l3_cell"
period = "month"
"""
COMPARISON = """\
models = ["random-forest", "support-vectors", "logistic"]
budgets = [5, "100 %"]
draws = 2
distance = 100
leaks = "remove"

[[sets]]
name = "Western Bahia"
project = "bahia"

[[sets]]
name = "African smallholders"
project = "africa"
"""
LEAST = 0.8
"""Macro F1 expected of the best model in western Bahia, whose four classes are easy."""


def main() -> None:
    """Write the projects and the file of the comparison, compare, and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    if not DATA.exists():
        raise SystemExit(f"the data are expected at {DATA}; set AGRIFM_DATA to the folder that holds them")
    bahia, africa = (options.out / name for name in ("bahia", "africa"))
    for folder, project in ((bahia, BAHIA), (africa, AFRICA)):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "agrifm.toml").write_text(project, encoding="utf-8")
    source = DATA / "bahia_cbers4_2018"
    series = pd.read_parquet(source / "series.parquet", columns=["sample_id", "date", "NDVI", "EVI"])
    series.to_parquet(bahia / "series.parquet")
    points = pd.read_parquet(source / "samples.parquet", columns=["sample_id", "longitude", "latitude"])
    folds = pd.read_csv(source / "splits.csv")[["sample_id", "label", "cell", "fold"]]
    folds.merge(points, on="sample_id").to_parquet(bahia / "places.parquet")
    table = pd.read_parquet(DATA / "africa_smallholders_2017" / "extractions.parquet")
    table.to_parquet(africa / "extractions.parquet")
    (options.out / "compare.toml").write_text(COMPARISON, encoding="utf-8")
    content = compare(options.out / "compare.toml", LEARNERS, COMBINATIONS)
    print(*comparison_lines(content), sep="\n")
    print(f"open  {options.out / 'comparison' / 'report.html'}")
    best = max(row["macro_f1"] for row in content["results"] if row["set"] == "Western Bahia")
    if best < LEAST:
        raise SystemExit(f"expected a macro F1 of at least {LEAST} in western Bahia, found {best:.3f}; look into it")


if __name__ == "__main__":
    main()
