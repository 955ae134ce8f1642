"""Names and colours of the values of a raster, where GDAL (`.aux.xml`) and QGIS (`.qml`) look for them.

GeoTIFF itself has a colour table, but no field for names. GDAL reads category names and an attribute table of the file
next to it; QGIS loads a style of the same name when it opens a layer.
"""

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from agrifm.files import write_text
from agrifm.legend import Legend
from agrifm.screen import printable

INTEGER, TEXT = "0", "2"
VALUE, NAME, RED, GREEN, BLUE, GENERIC = "5", "2", "6", "7", "8", "0"
"""Types and uses of the columns of an attribute table, as GDAL numbers them."""
RAMP = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")
"""Viridis: even steps of lightness, distinct for colour-blind readers."""
QGIS_VERSION = "3.22"
"""The oldest QGIS whose styles have this form."""


def describe_classes(raster: Path, legend: Legend) -> None:
    """Write names and colours of the classes of a raster into `NAME.tif.aux.xml` and `NAME.qml`."""
    names = [printable(entry.name) for entry in legend.classes]
    dataset = Element("PAMDataset")
    band = SubElement(dataset, "PAMRasterBand", band="1")
    categories = SubElement(band, "CategoryNames")
    for name in names:
        SubElement(categories, "Category").text = name
    _add_attribute_table(band, legend, names)
    write_xml(raster.with_name(f"{raster.name}.aux.xml"), dataset)
    renderer = _renderer("paletted")
    palette = SubElement(renderer, "colorPalette")
    for number, (entry, name) in enumerate(zip(legend.classes, names, strict=True)):
        SubElement(palette, "paletteEntry", value=str(number), label=name, color=entry.color, alpha="255")
    _write_style(raster, renderer)


def describe_numbers(raster: Path, least: float, most: float, unit: str) -> None:
    """Write `NAME.qml` with a colour ramp from the least to the most.

    Args:
        unit: after each number of the legend, such as " %".
    """
    renderer = _renderer("singlebandpseudocolor", classificationMin=f"{least:g}", classificationMax=f"{most:g}")
    shader = SubElement(SubElement(renderer, "rastershader"), "colorrampshader", colorRampType="INTERPOLATED", clip="0")
    for step, color in enumerate(RAMP):
        value = least + (most - least) * step / (len(RAMP) - 1)
        SubElement(shader, "item", value=f"{value:g}", label=f"{value:g}{unit}", color=color, alpha="255")
    _write_style(raster, renderer)


def _add_attribute_table(band: Element, legend: Legend, names: Sequence[str]) -> None:
    """Value, name, code and colour of each class, as a table that GIS programs join to the pixels."""
    table = SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    columns = (("Value", INTEGER, VALUE), ("Class", TEXT, NAME), ("Code", TEXT, GENERIC))
    colors = (("Red", INTEGER, RED), ("Green", INTEGER, GREEN), ("Blue", INTEGER, BLUE))
    for index, (title, kind, use) in enumerate((*columns, *colors)):
        field = SubElement(table, "FieldDefn", index=str(index))
        for tag, text in (("Name", title), ("Type", kind), ("Usage", use)):
            SubElement(field, tag).text = text
    for number, (entry, name) in enumerate(zip(legend.classes, names, strict=True)):
        row = SubElement(table, "Row", index=str(number))
        parts = [int(entry.color[at : at + 2], 16) for at in (1, 3, 5)]
        for cell in (number, name, printable(entry.code), *parts):
            SubElement(row, "F").text = str(cell)


def _renderer(kind: str, **attributes: str) -> Element:
    return Element("rasterrenderer", {"type": kind, "band": "1", "opacity": "1", "alphaBand": "-1", **attributes})


def _write_style(raster: Path, renderer: Element) -> None:
    style = Element("qgis", version=QGIS_VERSION, styleCategories="Symbology")
    SubElement(style, "pipe").append(renderer)
    write_xml(raster.with_suffix(".qml"), style)


def write_xml(path: Path, root: Element) -> None:
    """Write an XML file with indented elements."""
    indent(root)
    write_text(path, tostring(root, encoding="unicode") + "\n")
