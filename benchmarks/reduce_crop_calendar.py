"""The crop calendar that agrifm has: WorldCereal's calendar, reduced to one point in each square degree.

    python benchmarks/reduce_crop_calendar.py seasonality.parquet src/agrifm/crop_calendar.npz

Rows whose two seasons last 60 to 330 days are kept, between 56 degrees south and 66 north. Days count from 1 January of
the year in which the main harvests are; WorldCereal's dates are of a nominal season 2023/2024.
"""

import sys

import numpy as np
import pandas as pd

SEASON_DAYS = (60, 330)
LATITUDES = (-56, 66)
COLUMNS = {
    "first_start": "s1_sos_date",
    "first_end": "s1_eos_date",
    "second_start": "s2_sos_date",
    "second_end": "s2_eos_date",
    "year_start": "annual_sos_date",
}


def main(source: str, result: str) -> None:
    """Read WorldCereal's file and write the reduced one."""
    table = pd.read_parquet(source, columns=["lon", "lat", *COLUMNS.values()])
    days = {ours: (table[theirs] - pd.Timestamp("2024-01-01")).dt.days for ours, theirs in COLUMNS.items()}
    reduced = pd.DataFrame({"lon": table["lon"], "lat": table["lat"], **days})
    kept = reduced["lat"].between(*LATITUDES)
    for season in ("first", "second"):
        kept &= (reduced[f"{season}_end"] - reduced[f"{season}_start"]).between(*SEASON_DAYS)
    reduced = reduced[kept]
    degree = pd.DataFrame({"row": np.floor(reduced["lat"]), "column": np.floor(reduced["lon"])})
    reduced = reduced[~degree.duplicated()].sort_values(["lat", "lon"])
    # the points are at quarters of a degree
    np.savez_compressed(
        result,
        lon=np.rint(reduced["lon"].to_numpy() * 4).astype(np.int16),
        lat=np.rint(reduced["lat"].to_numpy() * 4).astype(np.int16),
        **{name: reduced[name].to_numpy(np.int16) for name in COLUMNS},
    )
    print(f"{len(reduced)} of {len(table)} points")


if __name__ == "__main__":
    main(*sys.argv[1:])
