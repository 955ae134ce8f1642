"""Install agrifm with the oldest packages that pyproject.toml allows, and run the tests with them: `make bounds`.

    python tests/lower_bounds.py DIRECTORY [tests ...]

The directory receives a virtual environment and `bounds.txt`, the pins. Packages that agrifm does not name are the
newest that fit. Their warnings are not errors here: old and new packages warn about each other.
"""

import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EXTRAS = ("deep", "classic", "files", "report", "serve", "export", "s3", "dask", "parquet")
TOOLS = (
    "pytest>=8",
    "pytest-xdist",
    "hypothesis",
    "moto[server]>=5",
    "jsonschema",
    "samplics",
    "axe-core-python",
    "hatchling",
    "ipython",
    "pandas==2.3.0",
)
"""What the tests need besides agrifm, in any version; and pandas, which geopandas brings, as old as the others."""


def lower_bounds(project: dict[str, Any]) -> list[str]:
    """Return a pin for each stated lower bound of the table [project], such as "numpy==2"."""
    stated = list(project["dependencies"])
    for extra in EXTRAS:
        stated += project["optional-dependencies"][extra]
    found = [re.match(r"([\w-]+)(?:\[[\w,]+\])?>=([\w.]+)", requirement) for requirement in stated]
    return sorted({f"{one[1]}=={one[2]}" for one in found if one})


def main(directory: Path, tests: list[str]) -> int:
    """Make the environment and run the tests in it; return the exit code of pytest."""
    pins = lower_bounds(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"])
    venv.create(directory, with_pip=True)
    (directory / "bounds.txt").write_text("\n".join(pins) + "\n", encoding="utf-8")
    python = str(directory / "bin/python")
    wanted = ["--editable", f"{ROOT}[{','.join(EXTRAS)}]", *TOOLS, "--constraint", str(directory / "bounds.txt")]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
    command = [
        python,
        "-m",
        "pytest",
        "-q",
        "--numprocesses",
        "2",
        "--dist",
        "loadfile",
        "-m",
        "not check",
        "-o",
        "filterwarnings=default",
        *tests,
    ]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2:]))
