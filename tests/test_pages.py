"""Every page that is no tutorial, as a reader follows it: its commands and Python run, in order, on a small season.

A page takes for granted what its reader has: a finished season, an area, fields, labelled points. `RUNS` says
which, and which of the page's words stand for something of the reader's. `tests/page_reader.py` gives the commands.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import NamedTuple

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import torch
from shapely import box

from agrifm.models.agrifm.network import AgriFM, preset
from agrifm.scene.products import find_product
from agrifm.season import Season
from agrifm.simulator.catalog import simulate, write_season
from agrifm.simulator.granule import Simulation
from agrifm.simulator.region import read_region
from tests.data_sets import DATA
from tests.page_reader import GIVEN
from tests.samples.public import test_eurocropsml, test_pastis
from tests.scene.test_local_files import dataset, write_netcdf
from tests.test_cluster_killed import SBATCH, SCANCEL
from tests.test_documents import DOCS, PAGES, SHELL

ROOT = DOCS.parent
PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
READER = """\
set -euo pipefail
agrifm() { "$PAGE_PYTHON" -m tests.page_reader "$@"; }
dask() {
    [ "$1" = scheduler ] && set -- "$@" --host 127.0.0.1 --port 18786 --no-dashboard
    command dask "$@" > /dev/null 2>&1 & sleep 5
}
pip() { :; }
export PATH="$PWD/bin:$PATH"
trap 'kill $(jobs -p) 2> /dev/null || true' EXIT
"""
"""What comes before a page's commands: the reader gives them; packages are installed already."""
IN_FILE = """\
cat > page.py <<'END_OF_PYTHON'
{}END_OF_PYTHON
"$PAGE_PYTHON" page.py
"""
"""Python in a file, because processes read their main module again."""
IN_SERVER = IN_FILE.replace('"$PAGE_PYTHON" page.py', '"$PAGE_PYTHON" -m tests.page_reader python page.py')
"""The same if it serves a page, which does not end by itself."""
HERE = "."


class Run(NamedTuple):
    """Blocks of a page, what they take for granted, and words that stand for something of the reader's."""

    page: str
    prepare: Callable[[Path], None]
    words: tuple[tuple[str, str], ...] = ()
    blocks: slice = slice(None)
    before: str = ""
    """Commands that others have given."""


def nothing(directory: Path) -> None:
    """An empty directory."""


def season(directory: Path) -> None:
    """The finished season, with files that people have; pages call it by several names."""
    shutil.copytree(os.environ[GIVEN], directory, dirs_exist_ok=True, symlinks=True)
    files(directory)
    for name in ("demo", "my-season"):
        (directory / name).symlink_to(HERE)
    names = gpd.read_file(directory / "parcels.gpkg")["parcel_id"][:2]
    (directory / "names.txt").write_text(" ".join(names), encoding="utf-8")


def files(directory: Path) -> None:
    """An area and fields with crops."""
    truth = Path(os.environ[GIVEN]) / "season/truth"
    for name in ("area.geojson", "farm.geojson"):
        shutil.copy(truth.parent / "area.geojson", directory / name)
    for name in ("fields.gpkg", "parcels.gpkg"):
        shutil.copy(truth / "parcels.gpkg", directory / name)
    gpd.read_file(truth / "parcels.gpkg").to_parquet(directory / "parcels.parquet")


def season_below(directory: Path) -> None:
    """The finished season in a directory `season`, and with the fields next to it."""
    (directory / "season").mkdir()
    season(directory / "season")
    files(directory)


def districts(directory: Path) -> None:
    """The finished season, and the area in two districts."""
    season(directory)
    area = gpd.read_file(directory / "area.geojson")
    west, south, east, north = area.total_bounds
    middle = (west + east) / 2
    halves = {"west": box(west, south, middle, north), "east": box(middle, south, east, north)}
    gpd.GeoDataFrame({"name": list(halves)}, geometry=list(halves.values()), crs=area.crs).to_file(
        directory / "districts.gpkg"
    )


def mapped_by_classic(directory: Path) -> None:
    """The finished season, whose project names the classic model for its map."""
    season(directory)
    edit(directory, ("[map]\n", '[map]\nmodel = "classic"\n'))


def two_maps(directory: Path) -> None:
    """The finished season, and another map with a translation of its codes."""
    season(directory)
    shutil.copy(directory / "season/truth/crops.tif", directory / "cropland-2022.tif")
    (directory / "codes.csv").write_text("code,to_code\nbarley,wheat\n", encoding="utf-8")


def images_in_a_file(directory: Path) -> None:
    """The finished season, and a NetCDF file of images."""
    season(directory)
    names = [*find_product("sentinel-2-worldcereal").assets, "SCL"]
    content = dataset(["2024-05-01", "2024-06-01"], {name: 300 + 100 * number for number, name in enumerate(names)})
    content["SCL"][:] = 4  # vegetation
    write_netcdf(directory / "images.nc", content)


def other_maps(directory: Path) -> None:
    """The finished season, and further maps of the same area."""
    season(directory)
    for name in ("map-forest", "demo-2023"):
        shutil.copytree(directory / "map", directory / name)


def comparison(directory: Path) -> None:
    """The finished season as `season`, a set of 60 parcels in ten places, and the page's file with less to compute."""
    season_below(directory)
    parcels = test_eurocropsml.write_set(directory / "eurocropsml") / "preprocess/S2/2021"
    (first, *_), days = parcels.glob("*.npz"), np.array(test_eurocropsml.DAYS, "datetime64[D]")
    for number in range(60):
        place, code = number % 10, (test_eurocropsml.WHEAT, test_eurocropsml.MEADOW)[number // 10 % 2]
        series = np.load(first)["data"] * (1.1 if code == test_eurocropsml.WHEAT else 0.9) + number
        centre = np.array([24.0 + place / 4, 57.0 + number / 1000])
        np.savez(parcels / f"LV003_{100 + number}_{code}.npz", data=series, dates=days, center=centre)
    text = toml_of("compare").replace("/data/", "")
    for key, value in (("models", '["logistic", "extra-trees"]'), ("budgets", "[5]"), ("draws", "1")):
        text = re.sub(f"^{key} = .*", f"{key} = {value}", text, flags=re.MULTILINE)
    (directory / "compare.toml").write_text(text, encoding="utf-8")


def batch_system(directory: Path) -> None:
    """The finished season, and a Slurm that runs its jobs at once."""
    season(directory)
    (directory / "bin").mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        program = directory / "bin" / name
        program.write_text(text.format(python=sys.executable, folder=str(directory)), encoding="utf-8")
        program.chmod(0o755)


def public_sets(directory: Path) -> None:
    test_eurocropsml.write_set(directory / "EuroCropsML")
    test_pastis.write_set(directory / "PASTIS")


def translated(directory: Path) -> None:
    """The finished season, declared parcels in French groups, and a raster with codes of the CDL."""
    season(directory)
    parcels = gpd.read_file(directory / "parcels.gpkg")
    parcels["CODE_GROUP"] = [str(number % 5 + 1) for number in range(len(parcels))]
    parcels.to_file(directory / "rpg.gpkg")
    with (
        rasterio.open(directory / "season/truth/crops.tif") as source,
        rasterio.open(directory / "cdl.tif", "w", **source.profile) as out,
    ):
        out.write(source.read() % 6 + 1)


def weights(directory: Path) -> None:
    """The finished season, and weights as others distribute them."""
    season(directory)
    network = AgriFM(preset("tiny", {"sentinel-2": 10}, classes=5))
    torch.save(network.state_dict(), directory / "FILE")
    edit(directory, ("[model]\n", '[model]\nnames = ["agrifm"]\nweights = "OUT.safetensors"\n'))


def harvests(directory: Path) -> None:
    """A monsoon season in place of the finished one, and its fields with yields."""
    simulate(directory / "season", "monsoon", size=3.0, season=Season(date(2024, 6, 1), date(2024, 11, 15)))
    shutil.copy(directory / "season/area.geojson", directory / "area.geojson")
    fields = gpd.read_file(directory / "season/truth/parcels.gpkg")
    fields.to_file(directory / "fields.gpkg")
    fields.assign(yield_kg=1000 * fields["yield_t_ha"]).to_file(directory / "harvested.gpkg")


def large_pixels(directory: Path) -> None:
    """A season of MODIS alone, with its truth in smaller pixels, and the page's project."""
    region = read_region("oceanic")
    season = Season(date(2024, 3, 1), date(2024, 10, 31))
    whole = Simulation.of(region, 12.0, 0, season)
    modis = [one for one in whole.acquisitions if one.collection == "modis-09A1-061"]
    write_season(directory / "season", replace(whole, acquisitions=modis))
    for name, source in (("parcels.gpkg",) * 2, ("classes-10m.tif", "crops.tif"), ("worldcover.tif", "landcover.tif")):
        shutil.copy(directory / "season/truth" / source, directory / name)
    about = f'[season]\narea = "season/area.geojson"\nstart = {season.start}\nend = {season.end}\n'
    (directory / "agrifm.toml").write_text(about + toml_of("fractions"), encoding="utf-8")
    edit(
        directory,
        ("[imagery]\n", '[imagery]\ncatalog = "season/catalog.json"\n'),
        ('["classic", "agrifm"]', '["classic"]'),
        ("block = 1920", "block = 1440"),
    )


def table(directory: Path) -> None:
    """Real series of parcels, in the files that the page names, and its project."""
    folder = DATA / "france_lpis_2023_dekads"
    shutil.copy(folder / "series.parquet", directory)
    places = pd.read_csv(folder / "splits.csv").query("label != 'drop'")
    samples = pd.read_parquet(folder / "samples.parquet", columns=["sample_id", "lon", "lat"])
    places.merge(samples, on="sample_id").to_csv(directory / "samples.csv", index=False)
    (directory / "agrifm.toml").write_text(f'{toml_of("tables")}\n[model]\nnames = ["logistic"]\n', encoding="utf-8")


def table_in_one_file(directory: Path) -> None:
    """The same with classes and places in the series' file."""
    table(directory)
    places = pd.read_csv(directory / "samples.csv")
    pd.read_parquet(directory / "series.parquet").merge(places, on="sample_id").to_parquet(directory / "series.parquet")
    edit(directory, ('file = "samples.csv"', "# file"))


def trained_table(directory: Path) -> None:
    """The table with a model, and the names of two of its places."""
    table(directory)
    subprocess.run([sys.executable, "-m", "agrifm", "train", "--project", str(directory)], check=True)
    names = pd.read_csv(directory / "samples.csv", dtype=str)["sample_id"][:2]
    (directory / "names.txt").write_text(" ".join(names), encoding="utf-8")


def edit(directory: Path, *replaced: tuple[str, str]) -> None:
    """Replace text in a project file."""
    file = directory / "agrifm.toml"
    text = file.read_text(encoding="utf-8")
    for before, after in replaced:
        assert before in text
        text = text.replace(before, after, 1)
    file.write_text(text, encoding="utf-8")


SCHEDULER = "127.0.0.1:18786"
CLUSTER = (
    ("tcp://host:8786", f"tcp://{SCHEDULER}"),
    ("tcp://HOST:8786", f"tcp://{SCHEDULER}"),
    ("--nworkers 8", "--nworkers 1"),
    ("/shared/", ""),
    ("slurm:16", "slurm:1"),
)
START = f"dask scheduler\ndask worker tcp://{SCHEDULER} --nworkers 1 --nthreads 1\n"
RUNS = [
    Run("README", files),
    Run("areas", nothing, (("--size 3", "--size 1.92"),), slice(1, 2)),
    Run("areas", districts, blocks=slice(2, 3)),
    Run("assess", two_maps),
    Run("boundaries", files),
    Run("cluster", batch_system, CLUSTER, slice(0, 1), START),
    Run("cluster", season, CLUSTER, slice(1, 2)),
    Run("compare", comparison, CLUSTER, before=START),
    Run("cube", images_in_a_file, (("DIR", "."),)),
    Run("early-season", season),
    Run("embed", season),
    Run("explain", mapped_by_classic, (("P0123 P0456", "$(cat names.txt)"),), slice(0, 3)),
    Run("explain", trained_table, (("p17 p203", "$(cat names.txt)"),), slice(3, 4)),
    Run("export", season),
    Run("fractions", large_pixels),
    Run("how-to", season, (("COMMAND", "map"),)),
    Run("imagery", season, (("my-season", "new"),)),
    Run("index", nothing),
    Run("map", season),
    Run("models", season),
    Run("parcels", season),
    Run("plan", season),
    Run("precision", season_below),
    Run("pretrain", nothing, (("steps = 3000", "steps = 20"), ("places = 2000", "places = 100"))),
    Run("serve", other_maps, (("../demo-2023", "demo-2023"), ("8080", "0"))),
    Run("sets", public_sets),
    Run("simulate", nothing, (("--size 5", "--size 1"), ("DIR", "other"))),
    Run("tables", table_in_one_file, blocks=slice(0, 1)),
    Run("tables", table, (("DIR", "."), ("agrifm map ", ": ")), slice(1, 2)),
    Run("tables", season, (("parcels.parquet", "my-parcels.parquet"),), slice(2, 4)),
    Run("tasks", files, (("winter wheat", "wheat"),)),
    Run("train", translated, (("DIR", "."),)),
    Run("understanding", season),
    Run("weights", weights),
    Run("yield", harvests, (("harvested.gpkg", "../harvested.gpkg"),), before=f"export {GIVEN}=$PWD\n"),
]
LEFT_OUT = {
    "areas": (2, "the first block is the third command of the second; points over several zones are in other tests"),
}
"""How many blocks are not run, and why. Of tables, `agrifm map` is missing for want of a cube: example 06 has one."""


def blocks(page: Path) -> list[tuple[str, str]]:
    """Kind ("sh" or "python") and text of the blocks of a page that call agrifm, in their order."""
    text = page.read_text(encoding="utf-8")
    found = [(match.start(), "python", match.group(1)) for match in PYTHON.finditer(text)]
    for match in SHELL.finditer(text):
        commands = match.group(1) or match.group(2)
        if re.search(r"^ *agrifm |&& agrifm ", commands, re.MULTILINE):
            found.append((match.start(), "sh", re.sub("^    ", "", commands, flags=re.MULTILINE)))
    return [(kind, content) for _, kind, content in sorted(found)]


def script(run: Run) -> str:
    """The blocks of a run as one script, so that a change of directory lasts."""
    parts = []
    for kind, content in blocks(page_of(run.page))[run.blocks]:
        for word, given in run.words:
            content = content.replace(word, given)
        python = IN_SERVER if re.search(r"^serve\(", content, re.MULTILINE) else IN_FILE
        parts.append(content if kind == "sh" else python.format(content))
    return READER + run.before + "".join(parts)


def toml_of(name: str) -> str:
    """The first block of TOML of a page."""
    found = re.search(r"^```toml\n(.*?)^```", page_of(name).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found
    return found.group(1)


def page_of(name: str) -> Path:
    (page,) = (page for page in PAGES if page.stem == name and page.parent.name != "tutorials")
    return page


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished small season with the probabilities of its map and its parcels."""
    directory = tmp_path_factory.mktemp("given") / "demo"
    run = [sys.executable, "-m", "agrifm"]
    subprocess.run([*run, "demo", "--small", str(directory)], check=True)
    with (directory / "agrifm.toml").open("a", encoding="utf-8") as file:
        file.write('\n[parcels]\nfile = "season/truth/parcels.gpkg"\nid = "parcel_id"\n')
    for stage in ("map", "parcels"):
        subprocess.run([*run, stage, "--project", str(directory)], check=True)
    return directory


@pytest.mark.check
@pytest.mark.parametrize("run", RUNS, ids=[run.page for run in RUNS])
def test_a_page_does_what_it_says(run: Run, given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GIVEN, str(given))
    monkeypatch.setenv("PAGE_PYTHON", sys.executable)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    for name, value in (("CORES", "1"), ("PROCESSES", "1"), ("MEMORY", "2GB"), ("INTERFACE", "lo")):
        monkeypatch.setenv(f"DASK_JOBQUEUE__SLURM__{name}", value)
    directory = tmp_path / "reader"
    directory.mkdir()
    run.prepare(directory)
    done = subprocess.run(["bash", "-c", script(run)], cwd=directory, capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stderr[-4000:]


def test_every_block_of_a_page_is_run() -> None:
    for page in PAGES:
        if page.parent.name == "tutorials":
            continue
        found = blocks(page)
        run = [number for one in RUNS if one.page == page.stem for number in range(len(found))[one.blocks]]
        assert len(run) == len(set(run)), page.stem
        assert len(run) + LEFT_OUT.get(page.stem, (0,))[0] == len(found), page.stem
