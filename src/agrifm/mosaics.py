"""Mosaics of local raster tiles, as `gdalbuildvrt` writes them (VRT), for rasters of classes.

A VRT can lead to any file or address, run Python code, and change values. GDAL is never given the file: it is read
here as XML, only what a plain mosaic consists of is accepted, every tile must be a raster in the mosaic's folder that
`agrifm.rasters` opens, and GDAL is given a new VRT that is written from these parts.

    GDAL documentation, "VRT -- GDAL Virtual Format", https://gdal.org/en/stable/drivers/raster/vrt.html
"""

from pathlib import Path
from xml.etree import ElementTree

from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader

from agrifm.rasters import open_known, open_raster

SUFFIX = ".vrt"
MAX_BYTES = 2**24
"""Of the file: about 40,000 tiles."""
ADVICE = "make a GeoTIFF of it with gdal_translate if you trust it"
CONTENTS = {
    "VRTDataset": {"SRS", "GeoTransform", "VRTRasterBand", "Metadata", "BlockXSize", "BlockYSize"},
    "VRTRasterBand": {
        *("Description", "NoDataValue", "HideNoDataValue", "ColorInterp", "ColorTable", "CategoryNames"),
        *("GDALRasterAttributeTable", "SimpleSource", "ComplexSource", "Metadata", "Scale", "Offset", "UnitType"),
    },
    "SimpleSource": {"SourceFilename", "SourceBand", "SourceProperties", "SrcRect", "DstRect"},
    "ComplexSource": {"SourceFilename", "SourceBand", "SourceProperties", "SrcRect", "DstRect", "NODATA"},
}
"""What each part of a plain mosaic may have. `LUT`, `ScaleRatio`, masks, overviews, options to open tiles and pixel
functions are not among it."""
DROPPED = {"Metadata", "SourceProperties", "GDALRasterAttributeTable", "CategoryNames", "Description"}
"""What GDAL is not given: tiles are looked at anew, and metadata could name files."""
ATTRIBUTES = {
    "VRTDataset": {"rasterXSize", "rasterYSize"},
    "VRTRasterBand": {"dataType", "band", "blockXSize", "blockYSize"},
    "SrcRect": {"xOff", "yOff", "xSize", "ySize"},
    "DstRect": {"xOff", "yOff", "xSize", "ySize"},
    "SRS": {"dataAxisToSRSAxisMapping", "coordinateEpoch"},
    "Entry": {"c1", "c2", "c3", "c4"},
}
"""Attributes that GDAL is given; all others are left out, but for those in `REFUSED`."""
REFUSED = {"subClass", "resampling"}
"""Attributes that make a mosaic compute its pixels."""


def is_mosaic(path: Path) -> bool:
    """Whether a file is read as a mosaic: its name ends in `.vrt`."""
    return path.suffix.lower() == SUFFIX


def open_raster_or_mosaic(path: Path) -> DatasetReader:
    """Open a raster file, or a plain mosaic of raster files in its folder, for reading.

    Tags that all tiles share, such as a legend, are tags of the mosaic.

    Raises:
        RasterioIOError: as `open_raster`; or the mosaic has other parts than a plain one, or leads out of its folder.
    """
    if not is_mosaic(path):
        return open_raster(path)
    root = _read(path)
    sources = _sources(root, path)
    shared, total = _look_through(list(dict.fromkeys(sources.values())))
    for element, tile in sources.items():
        element.clear()
        element.text = str(tile)
        element.attrib = {"relativeToVRT": "0", "shared": "0"}
    metadata = ElementTree.SubElement(root, "Metadata")
    for key, value in shared.items():
        ElementTree.SubElement(metadata, "MDI", key=key).text = value
    return open_known(ElementTree.tostring(root, encoding="unicode"), b"", total, "VRT")


def mosaic_tiles(path: Path) -> list[Path]:
    """Return the files of a mosaic in its order; none of a raster file.

    Raises:
        RasterioIOError: it is not a plain mosaic, or leads out of its folder.
    """
    return list(dict.fromkeys(_sources(_read(path), path).values())) if is_mosaic(path) else []


def category_elements(path: Path) -> ElementTree.Element | None:
    """Return the first band of a mosaic, which may have category names or an attribute table; None without one."""
    try:
        return _parsed(path).find("VRTRasterBand") if is_mosaic(path) else None
    except (RasterioIOError, OSError):
        return None


def _parsed(path: Path) -> ElementTree.Element:
    """The root of an XML file without declarations of entities, which could make it grow or lead elsewhere."""
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise RasterioIOError(f"the mosaic has more than {MAX_BYTES / 1e6:.0f} MB of text; {ADVICE}")
    if b"<!" in content.replace(b"<!--", b""):
        raise RasterioIOError(f"the mosaic declares entities or a document type, which is not read; {ADVICE}")
    try:
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise RasterioIOError(f"not recognized as a mosaic: {error}") from error


def _read(path: Path) -> ElementTree.Element:
    """The parts of a mosaic, without those that GDAL is not given."""
    try:
        root = _parsed(path)
    except OSError as error:
        raise RasterioIOError(f"{path}: {error.strerror or error}") from error
    if root.tag != "VRTDataset":
        raise RasterioIOError(f"not recognized as a mosaic: it begins with <{root.tag}>, and <VRTDataset> is expected")
    for element in root.iter():
        refused = REFUSED & set(element.attrib)
        if refused:
            raise RasterioIOError(f"the mosaic computes its pixels ({min(refused)} of {element.tag}); {ADVICE}")
        if element.tag in CONTENTS:
            others = {part.tag for part in element} - CONTENTS[element.tag]
            if others:
                raise RasterioIOError(
                    f"the mosaic has <{min(others)}> in <{element.tag}>, and a plain mosaic has none; {ADVICE}"
                )
            for part in [part for part in element if part.tag in DROPPED]:
                element.remove(part)
        if element.tag != "SourceFilename":
            kept = ATTRIBUTES.get(element.tag, set())
            element.attrib = {name: value for name, value in element.attrib.items() if name in kept}
    return root


def _sources(root: ElementTree.Element, path: Path) -> dict[ElementTree.Element, Path]:
    """The file of each element that names one: a file in the mosaic's folder or in a folder in it.

    Raises:
        RasterioIOError: there is none, or it is elsewhere, on a server, or no file.
    """
    folder = path.parent.resolve()
    tiles = {}
    for element in root.iter("SourceFilename"):
        name = (element.text or "").strip()
        tile = Path(name) if element.get("relativeToVRT", "0") == "0" else folder / name
        try:
            found = (tile if tile.is_absolute() else folder / tile).resolve()
            inside = bool(name) and found.is_relative_to(folder) and found.is_file()
        except (ValueError, OSError, RuntimeError):  # a loop of symbolic links is a RuntimeError
            inside = False
        if not inside:
            raise RasterioIOError(
                f"the mosaic leads to {name or 'a file without a name'}, which is not a file in its folder; put the "
                "tiles into the folder of the mosaic or into one in it, and write it again (gdalbuildvrt)"
            )
        tiles[element] = found
    if not tiles:
        raise RasterioIOError("the mosaic has no tile; write it again (gdalbuildvrt)")
    return tiles


def _look_through(tiles: list[Path]) -> tuple[dict[str, str], int]:
    """Tags that all tiles share, and bytes of all of them; every tile is opened by the rules of rasters."""
    shared: set[tuple[str, str]] | None = None
    for tile in tiles:
        try:
            with open_raster(tile) as source:
                tags = set(source.tags().items())
        except RasterioIOError as error:
            raise RasterioIOError(f"the tile {tile.name} of the mosaic: {error}") from error
        shared = tags if shared is None else shared & tags
    return dict(sorted(shared or ())), sum(tile.stat().st_size for tile in tiles)
