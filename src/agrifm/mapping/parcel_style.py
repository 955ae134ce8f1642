"""The colours of parcels for QGIS, which loads `parcels.qml` when it opens the table of the same name."""

from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

from agrifm.legend import OTHER_COLOR, Legend
from agrifm.mapping.fiboa_table import NO_CODE
from agrifm.mapping.raster_styles import QGIS_VERSION, RAMP, write_xml
from agrifm.screen import printable

CROP = "coalesce(attribute('crop:code'), attribute('crop_code'))"
"""The column of the crop in the GeoParquet file, or in the GeoPackage, whose names have no colons."""
YIELD_ATTRIBUTE = "coalesce(attribute('agrifm:yield_t_ha'), attribute('yield_t_ha'))"
"""The column of the yield, likewise."""
OUTLINE = "#444444"


def write_yield_style(path: Path, lowest: float, highest: float) -> None:
    """Write a style in which parcels have colours by their yield, t/ha, in equal steps."""
    style = Element("qgis", version=QGIS_VERSION, styleCategories="Symbology")
    renderer = SubElement(
        style, "renderer-v2", type="graduatedSymbol", attr=YIELD_ATTRIBUTE, forceraster="0", enableorderby="0",
        graduatedMethod="GraduatedColor",
    )  # fmt: skip
    ranges, symbols = SubElement(renderer, "ranges"), SubElement(renderer, "symbols")
    step = (highest - lowest) / len(RAMP)
    for number, color in enumerate(RAMP):
        low, high = lowest + step * number, lowest + step * (number + 1)
        label = f"{low:.1f} to {high:.1f} t/ha"
        SubElement(ranges, "range", lower=f"{low:g}", upper=f"{high:g}", symbol=str(number), label=label, render="true")
        _add_fill(symbols, number, color)
    write_xml(path, style)


def _add_fill(symbols: Element, number: int, color: str) -> None:
    symbol = SubElement(symbols, "symbol", name=str(number), type="fill", alpha="1")
    layer = SubElement(symbol, "layer", {"class": "SimpleFill"}, enabled="1", locked="0")
    for key, value in (("color", color), ("outline_color", OUTLINE), ("outline_width", "0.1"), ("style", "solid")):
        SubElement(layer, "prop", k=key, v=value)


def write_parcel_style(path: Path, legend: Legend) -> None:
    """Write a style in which each crop has the colour of the map."""
    style = Element("qgis", version=QGIS_VERSION, styleCategories="Symbology")
    renderer = SubElement(style, "renderer-v2", type="categorizedSymbol", attr=CROP, forceraster="0", enableorderby="0")
    categories, symbols = SubElement(renderer, "categories"), SubElement(renderer, "symbols")
    entries = [(entry.code, printable(entry.name), entry.color) for entry in legend.classes]
    for number, (code, name, color) in enumerate([*entries, (NO_CODE, "No crop", OTHER_COLOR)]):
        SubElement(categories, "category", value=code, label=name, symbol=str(number), render="true")
        _add_fill(symbols, number, color)
    write_xml(path, style)
