"""Maps that are killed, interrupted, or run out of disk."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.damage import DAMAGES
from tests.mapping.small_maps import WindowModel, make_cube, utm_grid

from agrifm.errors import OutputError
from agrifm.mapping import map_rasters
from agrifm.mapping.run import map_cube
from agrifm.outputs import UNFINISHED

COGS = ("classes.tif", "confidence.tif")
WINDOWS = 4 * 6

KILLED = """
import os, signal, sys
from pathlib import Path
from agrifm.cube.store import open_cube
from agrifm.mapping.run import map_cube
from tests.mapping.small_maps import WindowModel

class Killed(WindowModel):
    def probabilities(self, sample):
        if len(self.windows) == 10:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().probabilities(sample)

here = Path(sys.argv[1])
map_cube(open_cube(here / "cube.zarr"), Killed(), "a", here / "map", 48, 24)
"""

FULL = """
import json, resource, signal, sys
from pathlib import Path
from agrifm.cube.store import open_cube
from agrifm.errors import OutputError
from agrifm.mapping.run import map_cube
from tests.mapping.small_maps import WindowModel

here = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
found = []
for limit in json.loads(sys.argv[2]):
    model, sentence = WindowModel(), None
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        map_cube(open_cube(here / "cube.zarr"), model, "a", here / "map", 48, 0)
    except OutputError as error:
        sentence = str(error)
    left = sorted(str(path.relative_to(here / "map.partial")) for path in (here / "map.partial").rglob("*.*"))
    found.append([sentence, len(model.windows), left, (here / "map").exists()])
    if sentence is None:
        break
print(json.dumps(found))
"""


def child(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n{script}"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)


@pytest.fixture
def cube(tmp_path):
    return make_cube(tmp_path / "cube.zarr", utm_grid((3, 4)))


@pytest.mark.check
def test_a_killed_map_continues_to_the_same_bytes(tmp_path, cube):
    killed = child(KILLED, str(tmp_path))
    assert killed.returncode == -9, killed.stderr
    assert not (tmp_path / "map").exists()
    model = WindowModel()
    summary = map_cube(cube, model, "a", tmp_path / "map", 48, 24)
    map_cube(cube, WindowModel(), "a", tmp_path / "uninterrupted", 48, 24)
    assert summary.windows == 5 * 7
    assert len(model.windows) == summary.windows - 10
    for name in COGS:
        assert (tmp_path / "map" / name).read_bytes() == (tmp_path / "uninterrupted" / name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cube.zarr", "map", "uninterrupted"]


def interrupted(*_):
    raise KeyboardInterrupt


def test_a_map_interrupted_while_it_is_written_keeps_its_windows(tmp_path, cube, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(map_rasters, "map_picture", interrupted)
        with pytest.raises(KeyboardInterrupt):
            map_cube(cube, WindowModel(), "a", tmp_path / "map", 48, 24)
    assert sorted(path.name for path in (tmp_path / "map.partial").iterdir()) == [
        UNFINISHED,
        "windows",
        "windows.journal",
    ]
    model = WindowModel()
    map_cube(cube, model, "a", tmp_path / "map", 48, 24)
    assert model.windows == []


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A cube, a map that was stopped after its last window (`map.partial`), and the map of an uninterrupted run."""
    here = tmp_path_factory.mktemp("stopped")
    cube = make_cube(here / "cube.zarr", utm_grid((3, 4)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(map_rasters, "map_picture", interrupted)
        with pytest.raises(KeyboardInterrupt):
            map_cube(cube, WindowModel(), "a", here / "map", 48, 24)
    map_cube(cube, WindowModel(), "a", here / "uninterrupted", 48, 24)
    return here, cube


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", ["windows/24_48.npz", "windows.journal"])
def test_damaged_leftovers_of_a_map_are_made_again(stopped, tmp_path, damage, file):
    here, cube = stopped
    shutil.copytree(here / "map.partial", tmp_path / "map.partial")
    damage(tmp_path / "map.partial" / file)
    model = WindowModel()
    summary = map_cube(cube, model, "a", tmp_path / "map", 48, 24)
    assert len(model.windows) == (1 if file.endswith("npz") else summary.windows)
    for name in COGS:
        assert (tmp_path / "map" / name).read_bytes() == (here / "uninterrupted" / name).read_bytes()


@pytest.mark.parametrize(
    ("weights", "window", "overlap"), [("b", 48, 24), ("a", 48, 12), ("a", 96, 24)], ids=["weights", "overlap", "side"]
)
def test_windows_of_another_model_or_size_are_not_used(stopped, tmp_path, weights, window, overlap):
    here, cube = stopped
    shutil.copytree(here / "map.partial", tmp_path / "map.partial")
    model = WindowModel()
    summary = map_cube(cube, model, weights, tmp_path / "map", window, overlap)
    assert len(model.windows) == summary.windows


@pytest.mark.check
def test_a_full_disk_is_one_error_and_leaves_finished_windows_only(tmp_path):
    """Files may grow to a limit; from less than one window, through each raster, to enough for all."""
    make_cube(tmp_path / "cube.zarr", utm_grid((12, 13)))
    limits = [40, 9_000, 20_000, 30_000, 50_000, 80_000, 100_000, 150_000, 200_000, 250_000, 300_000, 10**8]
    done = child(FULL, str(tmp_path), json.dumps(limits))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [sentence is None for sentence, *_ in found] == [False] * (len(found) - 1) + [True]
    assert len(found) > 5
    for sentence, _, left, exists in found[:-1]:
        assert re.match(rf"writing (the map )?{tmp_path / 'map'}\S*: the disk is full \(", sentence)
        assert "free some space" in sentence
        assert not exists
        assert all(name.startswith(("windows/", "windows.journal", UNFINISHED)) for name in left)
        assert not any(".partial" in name for name in left)
    predicted = [count for _, count, *_ in found]
    assert sum(count > 1 for count in predicted) == 1, "windows were predicted again"
    assert found[-1][2:] == [[], True]


def test_a_cube_that_is_replaced_while_it_is_mapped_is_noticed(tmp_path):
    """The windows that are kept are all of the first cube; the next run does not use them for the second."""
    path = tmp_path / "cube.zarr"
    cube = make_cube(path, utm_grid((4, 6)))

    class Replacing(WindowModel):
        def probabilities(self, sample):
            if len(self.windows) == 5:
                path.rename(tmp_path / "old.zarr")
                make_cube(path, utm_grid((4, 6)))
            return super().probabilities(sample)

    with pytest.raises(OutputError) as error:
        map_cube(cube, Replacing(), "a", tmp_path / "map", 48, 24)
    assert error.value.facts["path"] == path
    assert not (tmp_path / "map").exists()
    kept = list((tmp_path / "map.partial" / "windows").glob("*.npz"))
    assert len(kept) <= 5


@pytest.mark.parametrize("name", ["map", "link"])
def test_a_map_beside_files_of_others_and_through_a_link(tmp_path, cube, name):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk/map")
    for _ in range(2):
        map_cube(cube, WindowModel(), "a", tmp_path / name, 48, 24)
        (tmp_path / name / "notes.txt").write_text("mine")
    assert sorted(path.name for path in tmp_path.rglob("*.partial*")) == []
    map_cube(cube, WindowModel(), "a", tmp_path / name, 48, 24)
    assert (tmp_path / name / "notes.txt").read_text() == "mine"
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "map").exists() == (name == "link")
