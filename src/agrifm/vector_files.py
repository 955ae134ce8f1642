"""Files of vectors: which format a file has by its first bytes, and its rows with their shapes.

Only the formats listed here are opened. A format that names other files or addresses, such as OGR VRT, never is.
"""

import codecs
import glob
import json
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from agrifm.errors import VectorError, did_you_mean
from agrifm.tables import TABLES
from agrifm.vector_tables import place_rows, read_delimited

if TYPE_CHECKING:
    import pyproj
    from geopandas import GeoDataFrame

SHAPE_ENDINGS = {".gpkg", ".shp", ".geojson", ".geojsonl", ".fgb", ".parquet", ".geoparquet", ".kml", ".gpx"}
SHAPE_ENDINGS |= {".gml", ".mif", ".tab"}
TABLE_ENDINGS = {*TABLES, ".txt"}
SPREADSHEETS = {".xlsx", ".xls", ".ods"}
SHAPEFILE_PARTS = {".shx", ".dbf", ".prj", ".cpg", ".qix", ".sbn", ".sbx"}
USABLE = "GeoPackage, GeoJSON, Shapefile, GeoParquet, FlatGeobuf, File Geodatabase, GML, MapInfo, KML, GPX or CSV"
MAGIC = {
    b"SQLite format 3\0": "GPKG",
    b"PAR1": "Parquet",
    b"fgb": "FlatGeobuf",
    b"\0\0\x27\x0a": "ESRI Shapefile",
    b"\x1e": "GeoJSONSeq",
}
"""First bytes of binary formats."""
PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!", b"\x28\xb5\x2f\xfd")
"""First bytes of gzip, bzip2, xz, 7-zip, RAR and Zstandard."""
PREFIXES = {name: f"{name}:" for name in ("GPKG", "GeoJSON", "GeoJSONSeq")}
"""With it before the path, GDAL opens a file as that format only; the first bytes of the others fit one format."""
LARGEST = 4 << 30
"""Most bytes that are unpacked from an archive."""
WESTERN = "cp1252"
"""How text is read that is not UTF-8, in a Shapefile that does not state its encoding."""
ANY_CODEPAGE = (b"", b"\x00", b"\x03", b"\x57")
"""Code pages in the header of a .dbf that programs write whatever its encoding is."""
MAPINFO = {
    ".tab": re.compile(
        rb"!table\s(?!.*(?:isseamless|create\s+view)).*definition\s+table\s+type\s+native\b", re.I | re.S
    ),
    ".mif": re.compile(rb"version\s+[0-9]+\s", re.I),
}
"""How MapInfo files begin, by their endings; seamless tables, views and tables of other programs lead elsewhere."""
ENTITIES = re.compile(rb"<!(?:DOCTYPE|ENTITY)")
"""What may name another file in an XML document."""
GML_OPTIONS = {"GML_DOWNLOAD_SCHEMA": "NO", "GML_FIELDTYPES": "ALWAYS_STRING"}
"""For GDAL: no address is asked for a schema; without one, codes such as 010 stay as they are written."""
SIGNS = {"!", ":"}
UNKNOWN = "unknown"
"""A `crs` member that states none, or one that is not known."""


def read_features(
    path: Path, layer: str | None, encoding: str | None, crs: "pyproj.CRS | None"
) -> tuple["GeoDataFrame", list[str]]:
    """Read the rows of one layer with their shapes, and notes on how they were read.

    Args:
        path: a file, a zip archive or a folder with files.
        layer: which layer, or which file of an archive or a folder; None if there is one only.
        encoding: of the text; None as the file states it.
        crs: what the user states; it decides between two pairs of coordinates in a table.

    Raises:
        VectorError: the file is absent, of another format, or has several layers.
    """
    encoding = None if encoding is None else _codec(encoding)
    with staged_file(path.absolute(), layer) as (file, inner):
        found = vector_format(file)
        if found == "CSV":
            _require_layer(inner, [file.stem])
            return place_rows(read_delimited(file, encoding), crs), []
        if found == "Parquet":
            _require_layer(inner, [file.stem])
            return _read_parquet(file, crs), []
        if found == "GML":
            with _gml_alone(file) as copy:
                return _read_layer(copy, found, inner, encoding, crs)
        return _read_layer(file, found, inner, encoding, crs)


def wrong_letters(frame: "GeoDataFrame") -> list[str]:
    """Return a note if text seems to be UTF-8 that was read in another encoding, such as "BlÃ¼te"."""
    for name in frame.columns.drop(frame.geometry.name):
        if frame[name].dtype.kind in "biufM":
            continue
        for text in {value for value in frame[name] if isinstance(value, str) and not value.isascii()}:
            if _misread(text):
                return [f'text such as {text!r} seems to be UTF-8 read in another encoding; try `encoding` = "utf-8"']
    return []


def _misread(text: str) -> bool:
    for encoding in ("cp1252", "latin-1"):
        try:
            return text.encode(encoding).decode("utf-8") != text
        except UnicodeError:
            continue
    return False


def _codec(encoding: str) -> str:
    """The name of an encoding that Python and GDAL know."""
    try:
        "".encode(encoding)  # refuses what is not an encoding of text, such as zlib
        return codecs.lookup(encoding).name.replace("_", "-")
    except LookupError as error:
        raise VectorError(
            f'`encoding` {encoding!r} is not known; write it as "utf-8", "cp1252" or "iso-8859-1"', encoding=encoding
        ) from error


def _require_layer(name: str | None, layers: Sequence[str]) -> None:
    if name is not None and name not in layers:
        raise VectorError(
            f"it has no layer {name!r}{did_you_mean(name, layers)} It has {', '.join(layers)}",
            layer=name,
            layers=layers,
        )


@contextmanager
def staged_file(path: Path, layer: str | None) -> Iterator[tuple[Path, str | None]]:
    """The file to open, and the layer in it: `path`, or the file in an archive or a folder, or a copy."""
    if not path.exists():
        raise VectorError("the file does not exist; check the path")
    if not path.is_file() and not path.is_dir():
        raise VectorError("it is a device or a pipe, not a file; check the path")
    if path.is_dir() and not _is_geodatabase(path):
        names = [entry.name for entry in path.iterdir() if entry.is_file()]
        name, layer = _chosen(names, layer, "the folder")
        with staged_file(path / name, layer) as inner:
            yield inner
        return
    archive = path.is_file() and _head(path).startswith(b"PK") and path.suffix.lower() not in SPREADSHEETS
    log = path.with_name(f"{path.name}-wal")
    # GDAL reads "!" and ":" in paths as its own signs; and changes to a GeoPackage that are in its log only are read in
    # a folder that can be written to.
    if (
        not archive
        and not SIGNS & set(str(path)[len(path.drive) :])
        and (not log.exists() or os.access(path.parent, os.W_OK))
    ):
        yield path, layer
        return
    with tempfile.TemporaryDirectory(prefix="agrifm-") as folder:
        if archive:
            name, layer = _unpack(path, Path(folder), layer)
        else:
            name = "".join(sign for sign in path.name if sign not in SIGNS)
            for part in {path, log, *path.parent.glob(f"{glob.escape(path.stem)}.*")} & set(path.parent.iterdir()):
                new = Path(folder, "".join(sign for sign in part.name if sign not in SIGNS))
                shutil.copy(part, new) if log.exists() else new.symlink_to(part.resolve())
        yield Path(folder) / name, layer


def _chosen(names: Iterable[str], layer: str | None, where: str) -> tuple[str, str | None]:
    """The vector file among names, and the layer in it; a table counts only if there is nothing else."""
    listed = sorted(name for name in names if not PurePosixPath(name).name.startswith(("._", ".")))
    for endings in (SHAPE_ENDINGS, {".json", *TABLES}):
        found = [name for name in listed if PurePosixPath(name).suffix.lower() in endings]
        named = [name for name in found if layer in (name, PurePosixPath(name).name, PurePosixPath(name).stem)]
        if len(named) == 1:
            return named[0], None
        if len(found) == 1:
            return found[0], layer
        if found:
            _require_layer(layer, found)
            raise VectorError(f"{where} has the files {', '.join(found)}", key="layer", layers=found)
    held = ", ".join(listed[:5]) or "nothing"
    raise VectorError(f"{where} has no vector file (it has {held}); give a {USABLE} file", files=listed)


def _unpack(path: Path, folder: Path, layer: str | None) -> tuple[str, str | None]:
    """Copy one vector file of a zip archive, and the files that belong to it, into a folder."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            members = [member for member in members if not member.filename.startswith("__MACOSX/")]
            name, layer = _chosen([member.filename for member in members], layer, "the archive")
            stem = str(PurePosixPath(name).with_suffix(""))
            wanted = [member for member in members if str(PurePosixPath(member.filename).with_suffix("")) == stem]
            size = sum(member.file_size for member in wanted)
            if size > LARGEST:
                raise VectorError(f"unpacked it has {size / 1e9:.0f} GB; unpack it and give the file in it", bytes=size)
            for member in wanted:
                with archive.open(member) as source, (folder / PurePosixPath(member.filename).name).open("wb") as copy:
                    shutil.copyfileobj(source, copy)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, zlib.error) as error:
        raise VectorError(f"the archive cannot be unpacked ({error}); unpack it and give the file in it") from error
    return PurePosixPath(name).name, layer


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)


def _is_geodatabase(path: Path) -> bool:
    return path.suffix.lower() == ".gdb" and (path / "a00000001.gdbtable").is_file()


def vector_format(path: Path) -> str:
    """The format of a file by its first bytes; the name of GDAL's driver, "CSV" or "Parquet"."""
    if path.is_dir():
        return "OpenFileGDB"
    head, ending = _head(path), path.suffix.lower()
    if not head:
        raise VectorError("the file is empty; copy or write it again")
    for magic, found in MAGIC.items():
        if head.startswith(magic):
            if found == "ESRI Shapefile" and ending != ".shp":
                break
            return found
    if ending in SHAPEFILE_PARTS:
        raise VectorError(f"it is a part of a Shapefile; give {path.with_suffix('.shp').name}")
    if head.startswith(PACKED):
        raise VectorError("it is an archive of another kind than zip; unpack it and give the file in it")
    if ending in SPREADSHEETS:
        raise VectorError("it is a spreadsheet; save the sheet as CSV and give that")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] in (b"{", b"["):
        foreign = re.search(rb'"(?:geometryType|type)"\s*:\s*"(esri|Topology)', head)
        if foreign:
            what = "TopoJSON" if foreign[1] == b"Topology" else "JSON of Esri"
            raise VectorError(f"it is {what}, not GeoJSON; convert it (`ogr2ogr NEW.gpkg OLD`)")
        lines = ending in (".geojsonl", ".geojsons", ".ndjson", ".jsonl") or re.search(rb"\}\s*\n\s*\{", text)
        return "GeoJSONSeq" if lines else "GeoJSON"
    root = re.match(rb"(?:\s|<\?[^>]*>|<!--.*?-->)*<(?:\w+:)?(\w+)", text, re.DOTALL)
    if root and root[1] in (b"kml", b"gpx") and b"<OGR" not in head:
        return "KML" if root[1] == b"kml" else "GPX"
    if root and root[1] == b"FeatureCollection" and b"opengis.net/gml" in head and not ENTITIES.search(head):
        return "GML"
    if ending in (".tab", ".mif") and MAPINFO[ending].match(text):
        return "MapInfo File"
    if ending in TABLE_ENDINGS and not root and not text.lower().startswith(b"!table"):
        return "CSV"
    what = f"an XML or HTML document <{root[1].decode()}>" if root else "not a vector file that is known here"
    raise VectorError(f"it is {what}; give a {USABLE} file (`ogr2ogr NEW.gpkg OLD` converts others)")


def _read_layer(
    path: Path, found: str, layer: str | None, encoding: str | None, crs: "pyproj.CRS | None"
) -> tuple["GeoDataFrame", list[str]]:
    """Read a layer of a file that GDAL opens; open rings are closed."""
    from geopandas import GeoDataFrame
    from pyogrio import read_dataframe

    if found == "ESRI Shapefile":
        _require_whole(_parts_of(path))
    name = f"{PREFIXES.get(found, '')}{path.absolute()}"
    layer = layer_of(name, layer)
    codec, stated_by = (encoding, "`encoding`") if encoding or found != "ESRI Shapefile" else codec_of(path)

    def read(codec: str | None) -> Any:  # a DataFrame, with geometry or without
        return read_dataframe(name, layer=layer, encoding=codec, force_2d=True, on_invalid="fix")

    notes = []
    try:
        frame = read(codec)
    except UnicodeDecodeError as error:
        if stated_by is not None:
            said = f", as {stated_by} says" if codec else ""
            raise VectorError(f"its text is not {error.encoding.upper()}{said}", key="encoding") from error
        frame = read(WESTERN)
        notes.append(
            f"its text is not UTF-8, and without a .cpg file its encoding is not known, so it was read as {WESTERN}; "
            "if letters are wrong, state `encoding`"
        )
    if found == "GeoJSONSeq":
        _require_each_line(path, len(frame))
    if not isinstance(frame, GeoDataFrame):
        return place_rows(frame, crs), notes
    if found == "GeoJSON" and (stated := _geojson_crs(path)):
        frame = frame.set_crs(None if stated == UNKNOWN else stated, allow_override=True)
    return frame, notes


@contextmanager
def _gml_alone(path: Path) -> Iterator[Path]:
    """A copy of a GML file without the addresses of its schemas, where GDAL finds no other file and may leave one."""
    from pyogrio import get_gdal_config_option, set_gdal_config_options

    before = {name: get_gdal_config_option(name) for name in GML_OPTIONS}
    with tempfile.TemporaryDirectory(prefix="agrifm-") as folder:
        copy = Path(folder, path.name)
        copy.write_bytes(path.read_bytes().replace(b"chemaLocation", b"chemaLocatioN"))
        set_gdal_config_options(GML_OPTIONS)
        try:
            yield copy
        finally:
            set_gdal_config_options(before)


def layer_of(name: str, layer: str | None) -> str:
    """The layer to read: the named one, or the only one with shapes."""
    from pyogrio import list_layers, read_info

    kinds = {str(one): geometry for one, geometry in list_layers(name)}
    _require_layer(layer, list(kinds))
    if layer is not None:
        return layer
    # a GeoPackage also holds tables without geometry, such as QGIS's styles
    layers = [one for one, geometry in kinds.items() if geometry is not None] or list(kinds)
    if len(layers) > 1:  # a GPX file always has five, most of them empty
        layers = [one for one in layers if read_info(name, one, force_feature_count=True)["features"]] or layers
    if len(layers) != 1:
        raise VectorError(f"it has the layers {', '.join(layers) or 'none'}", key="layer", layers=layers)
    return layers[0]


def _parts_of(shapefile: Path) -> dict[str, Path]:
    """The files of a Shapefile by their endings in small letters."""
    return {part.suffix.lower(): part for part in shapefile.parent.glob(f"{glob.escape(shapefile.stem)}.*")}


def _require_whole(parts: dict[str, Path]) -> None:
    """Refuse a Shapefile that was cut off, or whose table is of other shapes; GDAL gives rows without a shape."""
    size = parts[".shp"].stat().st_size
    stated = 2 * int.from_bytes(_head(parts[".shp"])[24:28], "big")
    if size < stated:
        raise VectorError(f"{parts['.shp'].name} has {size} of its {stated} bytes; copy it again", bytes=size)
    if ".shx" in parts and ".dbf" in parts:
        shapes = (parts[".shx"].stat().st_size - 100) // 8
        rows = int.from_bytes(_head(parts[".dbf"])[4:8], "little")
        if shapes != rows:
            raise VectorError(
                f"it has {shapes} shapes, but {parts['.dbf'].name} has {rows} rows, so they do not belong together; "
                "copy all files of the Shapefile again",
                shapes=shapes,
                rows=rows,
            )


def _require_each_line(path: Path, features: int) -> None:
    """Refuse GeoJSON by lines if some are not features, such as one that was cut off."""
    with path.open("rb") as file:
        lines = sum(1 for line in file if line.strip(b"\x1e \t\r\n"))
    if path.read_bytes()[:1] != b"\x1e" and lines != features:
        raise VectorError(f"{features} of its {lines} lines are features; correct the others", lines=lines)


def codec_of(shapefile: Path) -> tuple[str | None, str | None]:
    """The encoding of a Shapefile's text and what states it: the .cpg file, or the .dbf, which GDAL decodes itself.

    If nothing states it, UTF-8, which other encodings are almost never mistaken for.
    """
    parts = _parts_of(shapefile)
    if ".cpg" in parts:
        text = parts[".cpg"].read_text(encoding="latin-1").strip()
        number = re.search(r"\d{3,}$", text)
        for name in filter(None, (text, {"65001": "utf-8", "88591": "latin-1"}.get(text), number and f"cp{number[0]}")):
            with suppress(LookupError, ValueError):
                return codecs.lookup(name).name, parts[".cpg"].name
    if ".dbf" in parts and _head(parts[".dbf"])[29:30] not in ANY_CODEPAGE:
        return None, parts[".dbf"].name
    return "utf-8", None


def _geojson_crs(path: Path) -> str | None:
    """The `crs` member that GeoJSON had before 2016; None if there is none, which means degrees."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    content = path.read_bytes()
    if b'"crs"' not in content:
        return None
    try:
        document = json.loads(content.decode("utf-8-sig", errors="replace"))
        if "crs" not in document:
            return None
        properties = document["crs"]["properties"]
        return str(CRS.from_user_input(properties.get("name") or properties["code"]).to_wkt())
    except (CRSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return UNKNOWN


def _read_parquet(path: Path, crs: "pyproj.CRS | None") -> "GeoDataFrame":
    """GeoParquet, or a table with places that lacks its metadata."""
    from geopandas import read_parquet
    from pyarrow.parquet import read_schema, read_table

    if b"geo" in (read_schema(path).metadata or {}):
        return read_parquet(path)
    return place_rows(read_table(path).to_pandas(), crs)
