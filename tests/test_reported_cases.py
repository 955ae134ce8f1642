"""Situations that users reported: folders of inputs with a script that runs `agrifm`, judged by what came out.

Each case copies its inputs to a temporary folder and prints what `agrifm` gave. A case is right when no exception of a
library reaches the screen, the exit codes are the expected ones, and the facts below are in the output (or are not).
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data_sets import CASES

LIBRARY_EXCEPTION = re.compile(
    r"^(Traceback|(?!agrifm\.errors\.)[\w.]*(Error|Exception|Warning)\b.*:)|Warning: |warnings\.warn", re.MULTILINE
)
"""Python that a case runs may end with a sentence of agrifm's own."""
OF_SCRIPTS = re.compile(
    r"Traceback(?:.*\n)+?(ValueError: zero-size array to reduction operation minimum"
    r"|FileNotFoundError: .*No such file or directory: 'report/report.json').*"
)
"""Failures of the scripts themselves where the result is right: one looks for the darkest mixture, of which there is
none, and one for the report of an assessment that is refused."""

# name: (the exit codes in order, facts that the output states, facts that it must not state)
EXPECTED: dict[str, tuple[list[int], list[str], list[str]]] = {
    "01-netcdf-time-x-y": ([0, 0], ["cube equals the file: True"], []),
    "02-multiband-nodata-rim": (
        [0, 0],
        [r"2654, 2654, 2654, 2654, -32768(.|\n)*usable: +\[1, 1, 1, 1, 0, .*0, 1, 1, 1, 1\]"],
        ["are mixtures"],
    ),
    "03-stale-cube-after-file-replaced": ([0, 0], ["in the file now: 3654 - in the cube: 3654"], []),
    "04-blank-and-nan-labels": ([0, 0], [r"model has: \['maize', 'wheat'\](.|\n)*model has: \['maize', 'wheat'\]"], []),
    "05-codes-merged": ([0, 0, 0], ["'1_1'", "'010'", "'1E2'"], []),
    "06-assess-no-label-in-common": ([2], ["maize", "wheat"], ["wrote report"]),
    "07-baseline-0214": ([0, 0], [r"in the cube: 2654"], ["offset -0.1"]),
    "10-line-labels": ([2], ["[Ll]ine"], ["wrote models"]),
    "11-netcdf-time-without-units": ([2, 2, 2, 2], ["20240305", "05/03/2024"], []),
    "15-train-in-read-only-project": ([], ["agrifm train: .*models", "agrifm status: .*cube.zarr"], []),
    "17-class-name-with-dollars": ([0], ["wrote map"], []),
    "19-symlinked-output": ([0, 0], ["map -> big/map"], [r"\.replaced ->"]),
    # the folder of a Sentinel-2 product states its baseline; its files alone do not, and the offset depends on it
    "20-official-file-names": ([0, 0, 2, 0, 0], ["`baseline`"], []),
    "21-own-nodata-and-float": ([0, 0, 0, 2], [r"\[imagery.product\]"], []),
    # the points are read; their labels are names, and the map has the codes 1 and 2
    "22-csv-points": ([0, 2], ["wrote models", r"\(maize, wheat\)", r"\(1, 2\)"], ["wrote report"]),
    "23-netcdf-classic": ([2, 2], ["NetCDF 3", "noleap"], ["download it again"]),
    "24-toml-bom": ([0, 2, 2], ["UTF-8"], ["codec"]),
    "25-stac-items-without-collection": ([2, 2], ["no collection|without a? ?.?collection"], []),
    "27-duplicate-labels-note": ([0], [], ["do not cover the centre"]),
    "28-area-geometry-collection": ([0], ["wrote cube.zarr"], []),
    "29-zipped-shapefile-in-a-folder": ([0, 2], ["lying.cpg"], ["codec"]),
    "31-brackets-in-folder-name": ([0], ["wrote cube.zarr"], []),
    "34-legend-csv-from-a-spreadsheet": ([0, 0, 0], [], []),
    "35-several-layers": ([2], ["layer", "fields2023, fields2024"], []),
    "36-string-paths-in-python": ([], [], ["no attribute"]),
    "37-output-that-cannot-be-printed": ([0], ["^map$", "^project: "], []),
    "38-library-warnings": ([0, 0], [], ["Glyph", "GeoSeries"]),
    "40-projected-geojson": ([2], ["degrees"], [r"\binf\b"]),
    "42-proj-data-of-another-program": ([0, 0], ["wrote cube.zarr"], []),
    "43-two-fetches-at-once": ([], ["wrote cube.zarr", r"process \d+|pid \d+"], ["damaged"]),
}


@pytest.mark.check
@pytest.mark.skipif(not CASES.is_dir(), reason="needs the reported cases beside AGRIFM_DATA")
@pytest.mark.parametrize("case", sorted(EXPECTED))
def test_reported_case_has_the_right_result(case: str) -> None:
    run = subprocess.run(
        ["bash", CASES / case / "run.sh"],
        env={**os.environ, "AGRIFM_BIN": str(Path(sys.executable).parent)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    output = OF_SCRIPTS.sub("", run.stdout + run.stderr)
    codes, facts, wrong = EXPECTED[case]
    assert not LIBRARY_EXCEPTION.search(output), output
    assert [int(code) for code in re.findall(r"^exit code (\d+)$", run.stdout, re.MULTILINE)] == codes, output
    for fact in facts:
        assert re.search(fact, output, re.MULTILINE), f"{fact!r} is not in\n{output}"
    for fact in wrong:
        assert not re.search(fact, output, re.MULTILINE), f"{fact!r} is in\n{output}"


@pytest.mark.check
@pytest.mark.skipif(not CASES.is_dir(), reason="needs the reported cases beside AGRIFM_DATA")
def test_every_reported_case_is_judged() -> None:
    assert {folder.name for folder in CASES.iterdir() if folder.is_dir()} == set(EXPECTED)
