"""The arguments of every command; `agrifm.commands` calls what they ask for."""

import argparse
from datetime import date
from pathlib import Path


def directory_argument(parser: argparse.ArgumentParser) -> None:
    """Add the directory that a command writes."""
    parser.add_argument("directory", type=Path, metavar="DIR")


def demo_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the directory of a demo and its size."""
    directory_argument(parser)
    parser.add_argument("--small", action="store_true", help="2 x 2 km, in about a minute: does everything work here?")


def init_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the directory of a project and what fills its file in."""
    directory_argument(parser)
    parser.add_argument("--area", type=Path, metavar="FILE", help="the area, for a project that runs as it is")
    parser.add_argument("--year", type=int, metavar="Y", help="year of the main harvests; with --area")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="ground truth: polygons, points or a raster")
    parser.add_argument("--column", metavar="C", help="column of the class codes (default: the likeliest)")
    parser.add_argument("--parcels", type=Path, metavar="FILE", help="existing parcels whose crops are asked for")
    tasks = "crop-type (default), cropland, one-crop or yield with --crop, land-cover, or boundaries"
    parser.add_argument("--task", metavar="T", help=tasks)
    parser.add_argument("--crop", nargs="+", metavar="C", help="code or name of the crop of the task one-crop or yield")


def project_argument(parser: argparse.ArgumentParser) -> None:
    """Add the project file."""
    parser.add_argument(
        "--project", type=Path, default=Path(), metavar="PATH", help="agrifm.toml or its directory (default: here)"
    )


def cluster_argument(parser: argparse.ArgumentParser) -> None:
    """Add where the work is done."""
    about = "work on local:N (processes), tcp://HOST:PORT (a Dask scheduler) or slurm:N (jobs); default: here"
    parser.add_argument("--cluster", metavar="ADDRESS", help=about)


def fetch_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm fetch`."""
    project_argument(parser)
    cluster_argument(parser)


def status_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the project file, and whether programs read the answer."""
    project_argument(parser)
    parser.add_argument("--json", action="store_true", help="answer in JSON, for programs")


def completion_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the shell."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), metavar="SHELL", help="bash, zsh or fish")


def simulate_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm simulate`."""
    directory_argument(parser)
    regions = "oceanic, mediterranean, monsoon, southern, or a region file (default: oceanic)"
    parser.add_argument("--region", default="oceanic", metavar="R", help=regions)
    parser.add_argument("--year", type=int, default=2024, metavar="Y", help="year of its end (default: 2024)")
    parser.add_argument("--size", type=float, default=5.0, metavar="KM", help="side of the square, km (default: 5)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the random numbers (default: 0)")
    parser.add_argument(
        "--season",
        type=day_argument,
        nargs=2,
        metavar=("START", "END"),
        help="first and last day, such as 2024-03-01 2024-08-31 (default: the region's season)",
    )


def day_argument(text: str) -> date:
    """The value of an argument that is a day."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date; write it as 2024-03-01") from error


def _day_or_today(text: str) -> date | str:
    return text if text == "today" else day_argument(text)


def pretrain_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm pretrain`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="pretrain.toml, or its directory")
    cluster_argument(parser)


def compare_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm compare`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="compare.toml, or its directory")
    cluster_argument(parser)


def samples_info_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm samples info`."""
    what = "a project's directory, a table by itself, or the folder of a public set"
    parser.add_argument("file", type=Path, metavar="DIR|FILE", help=what)
    parser.add_argument("--product", action="append", default=[], help="product of the numbers of a table by itself")
    parser.add_argument("--column", help="column of the class in a table by itself")
    chosen = "argument of the reader of a public set, such as side=24"
    parser.add_argument("--choice", action="append", default=[], metavar="NAME=VALUE", help=chosen)
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the places and their series (PNG)")


def plan_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm plan`."""
    parser.add_argument(
        "project", type=Path, nargs="?", default=Path(), metavar="PROJECT", help="agrifm.toml or its directory"
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="machines like this one (default: 1)")
    parser.add_argument("--prices", type=Path, metavar="FILE", help="prices (TOML), to state what it will cost")
    line = "megabits per second of the line to the servers (default: measured by one request)"
    parser.add_argument("--line", type=float, metavar="MBIT", help=line)
    parser.add_argument("--json", action="store_true", help="write the plan as JSON")


def map_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm map`."""
    project_argument(parser)
    parser.add_argument("--model", type=Path, help="model file (default: the model named in the project file)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="directory of the map (default: map/ in the project)")
    until = "read nothing that was observed after this day, or `today` (default directory: map-until-DAY/)"
    parser.add_argument("--until", type=_day_or_today, metavar="DAY", help=until)
    again = "make the map of this item.json again as it says, and compare (default directory: NAME-again/)"
    parser.add_argument("--from", dest="item", type=Path, metavar="ITEM", help=again)
    districts = "write the map and the hectares of each of these polygons too (directory: map-districts/)"
    parser.add_argument("--districts", type=Path, metavar="FILE", help=districts)
    parser.add_argument("--district", metavar="COLUMN", help="column of the districts' names")
    cluster_argument(parser)


def embed_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm embed`."""
    project_argument(parser)
    network = "file of an AgriFM network (default: the model named in the project file)"
    parser.add_argument("--model", type=Path, help=network)
    where = "directory to write (default: embedding/ in the project)"
    parser.add_argument("--out", type=Path, metavar="DIR", help=where)
    parser.add_argument("--zarr", action="store_true", help="write the vectors as Zarr, too (embedding.zarr)")


def embed_places_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm embed places`."""
    parser.add_argument("places", type=Path, metavar="FILE", help="points or polygons; their columns are kept")
    raster = "embeddings of `agrifm embed`, of AlphaEarth, or of TESSERA's Zarr (default: embedding/embedding.tif)"
    parser.add_argument("--raster", type=Path, default=Path("embedding/embedding.tif"), metavar="FILE", help=raster)
    parser.add_argument("--year", type=int, help="of a store with several years")
    parser.add_argument("--out", type=Path, required=True, metavar="PARQUET", help="GeoParquet to write")
    parser.add_argument("--layer", metavar="NAME", help="layer of the places, if their file has several")
    parser.add_argument("--crs", help="CRS of places that do not state it, such as EPSG:32631")
    parser.add_argument("--encoding", help="encoding of the file's text, such as cp1252")


def parcels_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm parcels`."""
    project_argument(parser)
    parser.add_argument("--map", type=Path, metavar="DIR", help="directory of the map (default: map/ in the project)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="directory to write (default: parcels/ in the project)")
    cluster_argument(parser)
    parser.add_argument("--districts", type=Path, metavar="FILE", help="polygons, to sum hectares of each of them")
    parser.add_argument("--district", default="name", metavar="COLUMN", help="column of their codes (default: name)")
    estimates = "report.json of `agrifm assess --districts`, to write its estimates in the same rows"
    parser.add_argument("--report", type=Path, metavar="FILE", help=estimates)


def serve_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm serve`."""
    directory = "a project's directory, with a finished map; or a folder written with --static"
    parser.add_argument("directory", type=Path, metavar="DIR", help=directory)
    static = "write the page into this folder as plain files for any web space, and serve nothing"
    parser.add_argument("--static", type=Path, metavar="OUT", help=static)
    reach = "address to listen on; any other than the default lets other machines in (default: 127.0.0.1)"
    parser.add_argument("--host", default="127.0.0.1", help=reach)
    also = "other maps to compare with, or projects that have one: of another model or season"
    parser.add_argument("--also", type=Path, nargs="+", default=(), metavar="DIR", help=also)
    parser.add_argument("--port", type=int, metavar="N", help="port (default: 8642, or the next one that is free)")
    points = "points of `assess design` or `samples next` to label on the page, at /label"
    parser.add_argument("--points", type=Path, metavar="FILE", help=points)
    names = "with --points: who labels, one or two; the answers of Ana are written to FILE-Ana.gpkg"
    parser.add_argument("--interpreter", nargs="+", default=(), metavar="NAME", help=names)
    further = "with --points: further classes that labels may have, such as 4300 or 4300=Fallow"
    parser.add_argument("--further", nargs="+", default=(), metavar="CODE", help=further)


def explain_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm explain`."""
    project_argument(parser)
    parser.add_argument("--model", type=Path, help="model file (default: the model named in the project file)")
    parser.add_argument(
        "--parcel", dest="parcels", nargs="+", default=(), metavar="ID", help="labelled parcels, or places of a table"
    )
    parser.add_argument(
        "--id",
        dest="column",
        metavar="COLUMN",
        help="of the parcels' names in the file of labels (default: its rows, from 0)",
    )
    parser.add_argument("--period", choices=("month", "dekad"), default="month", help="what is hidden (default: month)")
    faster = "do not hide single bands: many times faster"
    parser.add_argument("--periods-only", dest="bands", action="store_false", help=faster)
    parser.add_argument("--pixels", type=int, default=240, help="most pixels or places of a class (default: 240)")
    parser.add_argument("--blocks", type=int, help="most test blocks (default: 24 of a cube, 400 of a table)")
    parser.add_argument("--seed", type=int, default=0, help="of the blocks and pixels that are drawn (default: 0)")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="directory to write (default: explanation/ in the project)"
    )


def model_file_argument(parser: argparse.ArgumentParser) -> None:
    """Add a file of weights."""
    parser.add_argument("file", type=Path, metavar="FILE", help="weights: .safetensors, .pth, .pt or .ckpt")


def window_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm model info`."""
    model_file_argument(parser)
    parser.add_argument("--window", type=_three, metavar="T,H,W", help="attention window in tokens, if not stated")


def _three(text: str) -> tuple[int, int, int]:
    try:
        time, rows, columns = (int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not three whole numbers; write them as 8,7,7") from error
    return time, rows, columns


def convert_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm model convert`."""
    window_arguments(parser)
    parser.add_argument("out", type=Path, metavar="OUT", help=".safetensors with a record, or .pth with public names")
    about = "bands in the order of the weights, once per sensor; or 10m-first or by-number for every sensor"
    parser.add_argument("--bands", action="append", default=[], metavar="SENSOR=BAND,BAND,...", help=about)


def export_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm model export`."""
    parser.add_argument("file", type=Path, metavar="MODEL", help="safetensors that `agrifm train` wrote")
    parser.add_argument("out", type=Path, metavar="OUT", help=".onnx, or .pt2 for torch.export.load")
    parser.add_argument("--frames", type=int, metavar="N", help="most frames of observed series (default: as trained)")
    parser.add_argument("--side", type=int, metavar="N", help="side of windows, pixels (default: as in training)")
    parser.add_argument("--without", action="append", default=[], metavar="SENSOR", help="a sensor to leave out")


def model_check_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm model check`."""
    model_file_argument(parser)
    parser.add_argument("cube", type=Path, metavar="CUBE", help="a cube that `agrifm fetch` wrote")


def samples_check_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm samples check`."""
    project_argument(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="GeoPackage of doubtful labels")


def samples_next_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm samples next`."""
    project_argument(parser)
    parser.add_argument("--n", type=int, default=50, help="number of places (default: 50)")
    parser.add_argument("--model", type=Path, help="model file (default: the model named in the project file)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random numbers (default: 0)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="places to label (.gpkg or .csv)")


def samples_parcels_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm samples parcels`."""
    project_argument(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="series table of the parcels (.parquet)"
    )
    about = "metres by which parcels are made smaller on all sides, against mixed pixels (default: 0)"
    parser.add_argument("--inner", type=float, default=0.0, metavar="METRES", help=about)


def translate_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm legend translate`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="labels, a raster of codes, or a legend (CSV, JSON)")
    known = "hcat3, ewoc, fao-icc, cdl, rpg or glc-fcs30"
    parser.add_argument("--from", dest="source", required=True, metavar="LEGEND", help=f"legend of the file: {known}")
    parser.add_argument("--to", dest="target", required=True, metavar="LEGEND", help="legend to translate to")
    parser.add_argument("--column", metavar="NAME", help="column of the codes, if the file contains labelled shapes")
    parser.add_argument("--layer", metavar="NAME", help="layer of the labels, if their file has several")
    parser.add_argument("--crs", help="CRS of labels that do not state it, such as EPSG:32631")
    parser.add_argument("--out", type=Path, metavar="FILE", help="table of classes (.csv), or labels (.gpkg)")


def cube_argument(parser: argparse.ArgumentParser) -> None:
    """Add a cube."""
    parser.add_argument("cube", type=Path, metavar="DIR|CUBE", help="a project's directory, or a cube in it")


def cube_info_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm cube info`."""
    cube_argument(parser)
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the clear observations (PNG)")
