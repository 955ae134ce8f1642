"""`agrifm doctor`: whether this machine and a project can do the work, before hours are spent to find out.

Each examination has one line: fine, a note on what is missing for some commands, or a fault with what mends it.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

from agrifm.config import PROJECT_FILE, Project, read_project
from agrifm.errors import ConfigError, cause
from agrifm.files import AnyPath, as_json, as_path, fsync
from agrifm.free_memory import free_memory
from agrifm.installed_packages import Extra, look_at_packages
from agrifm.locks import locked

LEAST_MEMORY = 3e9
"""Bytes: the demo of 56 km² takes 2.4 GB at its peak."""
LEAST_DISK = 5e9
"""Bytes of free disk."""
ANSWER_SECONDS = 10.0
"""How long a catalogue may take to answer."""
NOT_USED = {"dev"}
"""Extras that no command needs."""
NEEDED_FOR = {
    "deep": "networks: `agrifm train`, `map` with AgriFM and others",
    "classic": "classic models, with which networks are compared",
    "files": "local NetCDF and HDF files",
    "report": "pictures and reports",
    "serve": "`agrifm serve`",
    "s3": "scenes on S3, cubes and maps in object stores",
    "export": "`agrifm model export`",
    "parquet": "catalogues as stac-geoparquet",
    "dask": "`--cluster`: several processes or machines",
}
PLACES_OF_DATA = ("PROJ_DATA", "PROJ_LIB", "GDAL_DATA", "GDAL_DRIVER_PATH")
"""Variables with which other programs (PostGIS, QGIS, conda) lead GDAL and PROJ to files of another version."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Examination(NamedTuple):
    """What was examined, and how it is."""

    subject: str
    state: Literal["fine", "note", "fault"]
    said: str

    def __str__(self) -> str:
        return f"{self.state:<5} {self.subject}: {self.said}"


def doctor(path: AnyPath, show: Callable[[str], None], json: bool = False) -> None:
    """Examine this machine and the project at a path, and show the findings.

    Args:
        path: agrifm.toml or its directory; if it does not exist, only the machine is examined.
        show: what prints a text.
        json: show one JSON text instead of a line for each examination.

    Raises:
        ConfigError: at least one fault was found; after all findings were shown.
    """
    found = list(examinations(as_path(path)))
    show(as_json([one._asdict() for one in found]).rstrip() if json else "\n".join(str(one) for one in found))
    faults = [one.subject for one in found if one.state == "fault"]
    if faults:
        count = "one fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise ConfigError(f"examining this machine: {count} ({', '.join(faults)}); mend it as stated", faults=faults)


def examinations(path: Path) -> Iterator[Examination]:
    """Yield what was examined, in order: packages, files of GDAL and PROJ, processor, memory, disk, project."""
    yield Examination("python", "fine", f"{sys.version.split()[0]} at {sys.executable}")
    extras, accelerator = look_at_packages()
    yield from _packages(extras)
    yield _projections()
    yield _drivers()
    yield _processor(accelerator)
    yield _memory()
    place = path.parent if path.suffix == ".toml" else path
    yield from _disk(next(one for one in (place.absolute(), *place.absolute().parents) if one.is_dir()))
    file = path / PROJECT_FILE if path.is_dir() else path
    if file.exists():
        yield from _project(file)
    else:
        yield Examination("project", "note", f"none at {file}; `agrifm init DIR` writes one")


def _packages(extras: list[Extra]) -> Iterator[Examination]:
    """The packages of agrifm and of each extra: installed, of a version that fits, and importable."""
    for extra in extras:
        if extra.name in NOT_USED:
            continue
        subject = f"extra {extra.name}" if extra.name else "packages"
        install = f"pip install --upgrade 'agrifm{f'[{extra.name}]' if extra.name else ''}'"
        if extra.faults or (extra.missing and not extra.name):
            faults = [*(f"{name} is not installed" for name in extra.missing), *extra.faults]
            yield Examination(subject, "fault", f"{'; '.join(faults)}; {install}")
        elif extra.missing:
            use = NEEDED_FOR.get(extra.name, "some commands")
            yield Examination(subject, "note", f"no {', '.join(extra.missing)}, for {use}; {install}")
        else:
            said = ", ".join(f"{name} {known}" for name, known in extra.versions.items())
            yield Examination(subject, "fine", said)


def _projections() -> Examination:
    """Longitude 3, latitude 0 is at (500000, 0) of UTM zone 31 north; rasterio reads its own file of definitions."""
    import pyproj
    from rasterio.crs import CRS

    try:
        place = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:32631", always_xy=True).transform(3.0, 0.0)
        right = abs(place[0] - 500_000) < 1e-3 and abs(place[1]) < 1e-3
        right = right and CRS.from_epsg(32631).is_projected
        said = "the files of definitions of PROJ and GDAL agree" if right else f"a known place came out at {place}"
    except Exception as error:  # PROJ and GDAL have many
        right, said = False, cause(error)
    led = [f"{name}={os.environ[name]}" for name in PLACES_OF_DATA if name in os.environ]
    if right:
        return Examination("projections", "fine", said)
    remedy = f"unset {', '.join(led)}" if led else "install pyproj and rasterio again"
    return Examination("projections", "fault", f"{said}; {remedy}")


def _drivers() -> Examination:
    """The formats that agrifm writes and that providers serve."""
    import rasterio.drivers
    from rasterio.env import Env

    with Env() as env:
        known = env.drivers()
    needed = {"GTiff": "maps", "COG": "maps", "JP2OpenJPEG": "Sentinel-2 in JPEG 2000"}
    missing = [f"{name} ({use})" for name, use in needed.items() if name not in known]
    if missing:
        remedy = "install rasterio from PyPI or conda-forge, whose GDAL has them"
        return Examination("formats", "fault", f"GDAL {rasterio.__gdal_version__} lacks {', '.join(missing)}; {remedy}")
    return Examination("formats", "fine", f"GDAL {rasterio.__gdal_version__} with {', '.join(needed)}")


def _processor(accelerator: str | None) -> Examination:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    said = f"{cores} cores"
    if accelerator is not None:
        return Examination("processor", "fine", f"{said}, {accelerator}")
    if find_spec("torch") and (Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi")):
        remedy = "install PyTorch with CUDA (pytorch.org says how), or a newer driver"
        return Examination("processor", "fault", f"{said}, and an accelerator that PyTorch cannot use; {remedy}")
    few = [name for name in THREADS if os.environ.get(name, "").isdigit() and int(os.environ[name]) < cores]
    if few:
        held = ", ".join(f"{name}={os.environ[name]}" for name in few)
        return Examination("processor", "note", f"{said}, of which networks use fewer ({held}); unset {', '.join(few)}")
    return Examination("processor", "fine", said)


def _memory() -> Examination:
    free = free_memory()
    said = f"{free / 1e9:.1f} GB free"
    if free < LEAST_MEMORY:
        remedy = "close other programs, or choose a smaller `window` under [map]"
        return Examination("memory", "fault", f"{said}; training takes {LEAST_MEMORY / 1e9:.0f} GB: {remedy}")
    return Examination("memory", "fine", said)


def _disk(directory: Path) -> Iterator[Examination]:
    """Free space, and whether a file can be written, locked, put in place and made durable, as every output is."""
    free = shutil.disk_usage(directory).free
    said = f"{free / 1e9:.0f} GB free at {directory}"
    state: Literal["note", "fine"] = "note" if free < LEAST_DISK else "fine"
    few = "; `agrifm plan` says what a season needs"
    yield Examination("disk", state, said + few if state == "note" else said)
    try:
        with tempfile.TemporaryDirectory(dir=directory, prefix=".agrifm-doctor-") as scratch:
            first, second = Path(scratch, "first"), Path(scratch, "second")
            with locked(second, f"examining {directory}"):
                first.write_bytes(b"agrifm")
                fsync(first)
                first.replace(second)
                fsync(second.parent)
                whole = second.read_bytes() == b"agrifm"
    except OSError as error:
        remedy = "choose a directory on a local disk to which you may write"
        yield Examination("writing", "fault", f"{directory}: {cause(error)}; {remedy}")
        return
    if not whole:
        yield Examination("writing", "fault", f"{directory}: a file differs from what was written; choose another disk")
        return
    yield Examination("writing", "fine", "files are written, locked and put in place")


def _project(file: Path) -> Iterator[Examination]:
    try:
        project = read_project(file)
    except ConfigError as error:
        yield Examination("project", "fault", str(error))
        return
    yield Examination("project", "fine", str(project.directory.resolve()))
    named = {
        "area": project.season.area,
        "labels": project.labels.file,
        "series": project.labels.series,
        "legend": project.labels.legend,
        "parcels": None if project.parcels is None else project.parcels.file,
    }
    for key, path in named.items():
        if isinstance(path, Path) and not project.path(path).exists():
            yield Examination(key, "fault", f"{project.path(path)} does not exist; correct `{key}` in {file}")
    yield from _catalogue(project)


def _catalogue(project: Project) -> Iterator[Examination]:
    """Whether the catalogue answers, or is a file; a server that asks for a password is there."""
    import urllib3

    from agrifm.redaction import redacted
    from agrifm.scene.providers import find_provider
    from agrifm.scene.remote import is_remote

    imagery = project.imagery
    if not imagery.provider and not imagery.catalog:
        return
    place = find_provider(imagery.provider).url if imagery.provider else str(imagery.catalog)
    if not is_remote(place):
        path = project.path(Path(place))
        if path.exists():
            yield Examination("catalogue", "fine", str(path))
        else:
            yield Examination("catalogue", "fault", f"{path} does not exist; correct `catalog` in {PROJECT_FILE}")
        return
    shown = redacted(place)
    try:
        with urllib3.PoolManager() as pool:
            answer = pool.request("GET", place, timeout=ANSWER_SECONDS, retries=False, preload_content=False)
            answer.release_conn()
    except urllib3.exceptions.HTTPError as error:
        remedy = "check the network and the proxy (HTTPS_PROXY); a finished cube needs neither"
        yield Examination("catalogue", "fault", f"{shown} does not answer ({redacted(cause(error))}); {remedy}")
        return
    if answer.status >= 500 or answer.status == 404:
        remedy = "correct the address, or try again later"
        yield Examination("catalogue", "fault", f"{shown} answers HTTP {answer.status}; {remedy}")
    else:
        yield Examination("catalogue", "fine", f"{shown} answers")
