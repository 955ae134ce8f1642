"""`agrifm parcels`: the crop of each existing parcel, from a finished map; or its yield (`YieldJob`).

    parcels/parcels.parquet   GeoParquet, fiboa 0.3.0 (`agrifm.mapping.fiboa_table`); in the order of the file
    parcels/parcels.gpkg      the same as a GeoPackage, on request
    parcels/legend.csv        the code list that `crop:code_list` names
    parcels/summary.json      counts and hectares
    parcels/districts.csv     hectares by district and crop, on request (`agrifm.mapping.parcel_districts`)
    parcels/parcels.png       the parcels in the colours of their crops, and their confidence

Finished parts are kept in `parcels.partial/parts` until all are there, so a stopped run continues. Parcels that share
no ground with the map's area are left out and counted.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from agrifm.config import ParcelsConfig, Project
from agrifm.errors import ConfigError, MapError, did_you_mean, require_installed
from agrifm.files import AnyPath, as_path, content_digest, translate_os_errors, write_json, write_text
from agrifm.legend import Legend
from agrifm.mapping.cog import translate_gdal_errors
from agrifm.mapping.fiboa_table import HcatClass, code_list
from agrifm.mapping.parcel_answers import AnswerJob, answer_unit
from agrifm.mapping.parcel_districts import DistrictFile, district_rows
from agrifm.mapping.parcel_files import join_parts, write_parcel_geopackage
from agrifm.mapping.parcel_map import ParcelMap, open_parcel_map
from agrifm.mapping.parcel_picture import write_parcel_picture
from agrifm.mapping.parcel_style import write_parcel_style
from agrifm.mapping.parcel_summary import ParcelSummary, summed
from agrifm.mapping.yield_parcels import YieldJob, write_style_of_yields, yield_district_rows
from agrifm.outputs import begin_directory, discard, finish_directory, writing
from agrifm.samples.legends.nomenclature import read_nomenclature, translate
from agrifm.stac import MAP_ITEM
from agrifm.vector_batches import BatchUnit, VectorBatches, open_batches
from agrifm.work import Resumable, fingerprint

PARTS, RESULT = "parts", "result"
VERSION = 1
"""Of what the parts hold; parts of another version are not continued."""


def parcels_of_project(
    project: Project,
    maps: AnyPath | None = None,
    out: AnyPath | None = None,
    executor: Executor | None = None,
    districts: DistrictFile | None = None,
) -> ParcelSummary:
    """Give each parcel of [parcels] its crop on the project's map; a stopped run continues.

    Args:
        maps: directory of the map; by default `map/` next to the project file, `maps/` if its area is divided.
        out: directory to write; by default `parcels/` next to the project file.
        executor, districts: see `map_parcels`.

    Raises:
        ConfigError: the project file has no [parcels].
        MapError, OutputError: see `map_parcels`.
    """
    maps, out = (None if given is None else as_path(given) for given in (maps, out))
    if project.parcels is None:
        raise ConfigError(
            'giving parcels their crops: the project file has no section [parcels]; add one with `file = "…"`'
        )
    config = project.parcels.model_copy(update={"file": project.path(project.parcels.file)})
    maps, out = maps or project.maps, out or project.parcel_crops
    return map_parcels(config, maps, out, project.labels.hierarchy, executor, districts)


def map_parcels(
    config: ParcelsConfig,
    maps: AnyPath,
    out: AnyPath,
    hierarchy: str | None = None,
    executor: Executor | None = None,
    districts: DistrictFile | None = None,
) -> ParcelSummary:
    """Give each parcel of a file its crop on a finished map.

    Args:
        config: the file of parcels, and what it does not say itself.
        maps: directory of a map that has the probabilities of all classes, or of the maps of a divided area's tiles.
        out: directory to write, replaced as a whole if it holds parcels of this command.
        hierarchy: published legend whose codes the map has; adds the HCAT codes of its classes.
        executor: where parts are computed: threads, processes, or that of `open_cluster`. None computes here.
        districts: polygons by which hectares are summed.

    Raises:
        MapError: the map has no probabilities, or the file of parcels is absent, damaged, without a CRS, without
            polygons, or has none on the map's area.
        OutputError: the disk is full (finished parts are kept), or `out` holds something else.
    """
    maps, out = as_path(maps), as_path(out)
    about = f"reading the parcels {config.file}"
    require_installed("drawing parcels", "report", "matplotlib", kind=MapError)
    mapped = open_parcel_map(maps)
    with (
        writing(out, "parcels") as unfinished,
        translate_os_errors(f"writing the parcels {out}"),
        mapped.reading(f"giving the parcels {config.file} their crops") as require_same_map,
        open_batches(config.file, about, MapError, config, mapped.area.bounds) as batches,
    ):
        begin_directory(unfinished)
        job = _job(config, batches, mapped, hierarchy, (unfinished / PARTS).absolute(), about)
        work = Resumable(job.parts, fingerprint(_content(job, mapped)))
        if not work.begun:
            work.begin()
        numbered = list(enumerate(batches.units))
        results = work.run(
            partial(answer_unit, job), numbered, _key, "parcels", executor, is_whole=partial(_whole, job)
        )
        counted = [results[_key(unit)] for unit in numbered]
        total = summed(counted, mapped.legend, batches.rows)
        if mapped.of_yields:
            total = replace(total, answer="yield", production=sum(float(one["tonnes"]) for one in counted))
        _require_some(total, config.file, maps)
        result = unfinished / RESULT
        discard(result)
        result.mkdir()
        with translate_gdal_errors(f"writing the parcels {out}"):
            summary = _write(result, len(numbered), job, total, config.geopackage)
            if districts is not None:
                write_text(result / "districts.csv", _district_table(job, result / "parcels.parquet", districts))
        require_same_map()
        finish_directory(result, out, "parcels")
        discard(unfinished)
    return replace(summary, path=out)


def _job(
    config: ParcelsConfig,
    batches: VectorBatches,
    mapped: ParcelMap,
    hierarchy: str | None,
    parts: Path,
    about: str,
) -> AnswerJob:
    """What every part needs."""
    hcat = {} if mapped.of_yields else hcat_of(mapped.legend, hierarchy)
    columns, zones = _columns(config, batches, about), tuple(zone.absolute() for zone in mapped.zones)
    kind = YieldJob if mapped.of_yields else AnswerJob
    return kind(batches, columns, zones, mapped.legend, hcat, mapped.about, mapped.area.wkt, parts, about)


def _district_table(job: AnswerJob, parcels: Path, districts: DistrictFile) -> str:
    if isinstance(job, YieldJob):
        return yield_district_rows(parcels, districts, job.about)
    return district_rows(parcels, districts, job.legend)


def _write(result: Path, count: int, job: AnswerJob, total: ParcelSummary, geopackage: bool) -> ParcelSummary:
    """Write everything into `result`; returns the summary with what only the whole shows."""
    path = result / "parcels.parquet"
    duplicates, renamed = join_parts([job.parts / job.name(number) for number in range(count)], path, job.schema)
    summary = replace(total, duplicates=duplicates, renamed=renamed, area_column=job.columns[1])
    if geopackage:
        write_parcel_geopackage(path, result / "parcels.gpkg", job.legend)
    if isinstance(job, YieldJob):
        write_style_of_yields(path, result / "parcels.qml")
    else:
        write_parcel_style(result / "parcels.qml", job.legend)
        write_text(result / "legend.csv", code_list(job.legend))
        write_parcel_picture(path, result / "parcels.png", job, summary)
    write_json(result / "summary.json", summary.content())
    return summary


def _require_some(total: ParcelSummary, file: Path, maps: Path) -> None:
    """Refuse a file without a polygon on the map."""
    if not total.parcels:
        raise MapError(
            f"reading the parcels {file}: none of its {total.rows} rows is a polygon on the area of the map {maps}; "
            "check its CRS, or give the file of this area",
            path=file,
            rows=total.rows,
        )


def _content(job: AnswerJob, mapped: ParcelMap) -> list[Any]:
    """Everything that decides what the parts hold."""
    files = sorted({unit.file for unit in job.batches.units})
    of_map = [result / name for result in mapped.results for name in (MAP_ITEM, *job.rasters)]
    digests = [content_digest(file) for file in (*files, *of_map)]
    source = replace(job.batches, units=())
    metadata = {key.decode(): value.decode() for key, value in job.schema.metadata.items()}
    units = [[str(unit.file), unit.number, unit.first, unit.rows] for unit in job.batches.units]
    return [VERSION, digests, repr(source), units, job.columns, job.schema.names, metadata]


def _key(numbered: tuple[int, BatchUnit]) -> str:
    return str(numbered[0])


def _whole(job: AnswerJob, numbered: tuple[int, BatchUnit], result: Any) -> bool:
    """Whether the part of a unit is on disk as its result says."""
    path = job.parts / job.name(numbered[0])
    return path.exists() and path.stat().st_size == result["bytes"]


def _columns(config: ParcelsConfig, batches: VectorBatches, about: str) -> tuple[str | None, str | None]:
    """The columns of names and areas; None where there are none.

    Raises:
        MapError: a column that the project file names is not in the file.
    """
    for name in filter(None, (config.id, config.area)):
        if name not in batches.columns:
            raise MapError(
                f"{about}: it has no column '{name}'{did_you_mean(name, batches.columns)} It has "
                f"{', '.join(batches.columns)}",
                column=name,
                columns=batches.columns,
            )
    usual: Sequence[str] = ("metrics:area", "area")
    return (
        config.id or next((name for name in batches.columns if name == "id"), None),
        config.area or next((name for name in usual if name in batches.columns), None),
    )


def hcat_of(legend: Legend, hierarchy: str | None) -> dict[str, HcatClass]:
    """Return the class of HCAT3 of each code that has one.

    Raises:
        LabelError: the published legend is not known.
    """
    if hierarchy is None:
        return {}
    source, target = read_nomenclature(hierarchy), read_nomenclature("hcat3")
    matches = {code: translate(code, source, target) for code in legend.codes}
    return {
        code: HcatClass(int(match.code), match.name or "") for code, match in matches.items() if match.code is not None
    }
