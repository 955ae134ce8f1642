"""The arguments of `agrifm assess` and the commands that begin with its name."""

import argparse
from pathlib import Path

from agrifm.cli_arguments import day_argument, project_argument


def assess_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm assess`."""
    needed = (
        parser.add_argument(
            "--map", type=Path, required=True, help="classified raster; or a map of yields or shares of agrifm"
        ),
        parser.add_argument("--reference", type=Path, required=True, help="points of `assess design`, or polygons"),
        parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="directory of the report"),
    )

    class ByDate(argparse.Action):
        """Scores by date need neither a map nor points, nor a directory."""

        def __call__(self, _: argparse.ArgumentParser, options: argparse.Namespace, *__: object) -> None:
            options.by_date = True
            for argument in needed:
                argument.required = False

    by_date = "instead: score the project's models as if the season ended earlier; needs no other option"
    parser.add_argument("--by-date", action=ByDate, nargs=0, default=False, help=by_date)
    dates = "with --by-date: last days that are read (default: the ends of months)"
    parser.add_argument("--date", type=day_argument, nargs="+", default=(), metavar="DAY", help=dates)
    parser.add_argument("--level", type=float, metavar="F1", help="with --by-date: F1 to reach (default: 0.8)")
    parser.add_argument("--layer", metavar="NAME", help="layer of the reference, if its file has several")
    parser.add_argument("--crs", help="CRS of a reference that does not state it, such as EPSG:32631")
    parser.add_argument("--encoding", help="encoding of the reference's text, such as cp1252")
    parser.add_argument(
        "--label",
        metavar="COLUMN",
        help="column of the reference class code or yield (default: of [assess] in the project file, else `label`)",
    )
    parser.add_argument("--unit", choices=("t/ha", "dt/ha", "kg/ha"), help="of reference yields, for a map of yields")
    parser.add_argument(
        "--sampling",
        choices=("stratified", "simple", "non-probability"),
        help="how the points were drawn, if their file does not say it: at random within each class of this map, at "
        "random on the map, or not as a probability sample",
    )
    parser.add_argument("--districts", type=Path, metavar="FILE", help="polygons, to report each of them as well")
    parser.add_argument("--district", default="name", metavar="COLUMN", help="of their names (default: name)")
    parser.add_argument(
        "--declared", type=Path, metavar="FILE", help="parcels with their crops, complete where they are"
    )
    parser.add_argument(
        "--crop",
        default="crop",
        metavar="COLUMN",
        help="of their classes, or of crops of reference yields (default: crop)",
    )
    parser.add_argument("--pdf", action="store_true", help="write report.pdf too, with an installed Chromium or Chrome")
    parser.add_argument("--scores", type=Path, help="models/scores.json, to report the scores on unseen blocks too")
    parser.add_argument("--training", type=Path, help="training parcels, to count the reference points inside them")
    project_argument(parser)


def assess_compare_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm assess compare`."""
    parser.add_argument("--map", type=Path, required=True, help="classified raster, which leads")
    parser.add_argument("--other", type=Path, required=True, help="another one, in any grid and legend")
    translation = "of {}: table with the columns code and to_code, as `agrifm legend translate` writes it"
    parser.add_argument("--translate-map", type=Path, metavar="FILE", help=translation.format("the map's classes"))
    parser.add_argument("--translate-other", type=Path, metavar="FILE", help=translation.format("the other's classes"))
    parser.add_argument("--reference", type=Path, help="points, to compare accuracies on the same points")
    parser.add_argument("--label", default="label", metavar="COLUMN", help="of the class codes (default: label)")
    parser.add_argument(
        "--later-label",
        metavar="COLUMN",
        help="if the other map is of a later season: column of the class codes in that season",
    )
    parser.add_argument("--sampling", choices=("stratified", "simple", "non-probability"), help="as in `agrifm assess`")
    parser.add_argument("--layer", metavar="NAME", help="layer of the reference, if its file has several")
    parser.add_argument("--crs", help="CRS of a reference that does not state it, such as EPSG:32631")
    parser.add_argument("--encoding", help="encoding of the reference's text, such as cp1252")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="directory of the comparison")


def assess_design_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm assess design`."""
    parser.add_argument("--map", type=Path, required=True, help="classified raster; its classes are the strata")
    parser.add_argument("--n", type=int, help="number of points, or of clusters")
    parser.add_argument("--error", type=float, help="instead of --n: wished standard error of the overall accuracy")
    methods = ("stratified", "simple", "systematic", "cluster", "two-phase")
    parser.add_argument("--method", choices=methods, default="stratified")
    parser.add_argument("--side", type=int, metavar="PIXELS", help="side of the square block that is a cluster")
    parser.add_argument(
        "--per-cluster", type=int, metavar="POINTS", help="points at random in each cluster (default: all its pixels)"
    )
    parser.add_argument(
        "--first", type=Path, metavar="FILE", help="for two-phase: simple or systematic points with a quick label each"
    )
    parser.add_argument(
        "--allocation",
        choices=("rare", "proportional", "equal", "neyman"),
        default="rare",
        help="of points to strata: by area with more in rare classes (default), by area, equal, or for the least error",
    )
    parser.add_argument("--least", type=int, default=2, help="points of a stratum at least (default: 2)")
    parser.add_argument(
        "--expected",
        nargs="+",
        default=(),
        metavar="ACCURACY",
        help="expected user's accuracies, such as 0.85, or maize=0.7 of one class (default: 0.8)",
    )
    parser.add_argument("--strata", type=Path, metavar="FILE", help="strata other than the map's classes")
    parser.add_argument("--column", default="stratum", help="of the codes of polygons (default: stratum)")
    parser.add_argument("--edge", type=float, metavar="WIDTH", help="a stratum along the edges of classes, CRS units")
    parser.add_argument("--outside", type=Path, metavar="FILE", help="polygons in which no point is drawn")
    parser.add_argument("--earlier", type=Path, metavar="FILE", help="points to keep; more are drawn in addition")
    parser.add_argument("--cost", type=float, help="of one point, in any unit")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random numbers (default: 0)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="GeoPackage to write; without it the plan is shown")


def assess_form_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm assess form`."""
    parser.add_argument("--points", type=Path, required=True, help="points drawn with `agrifm assess design`")
    parser.add_argument("--map", type=Path, required=True, help="the map they were drawn for")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="form (.html), table (.csv) or virtual globe (.kml)"
    )
    about = "project or cube from which a form shows pictures and curves (default: none)"
    parser.add_argument("--season", type=Path, metavar="DIR", help=about)
    _also_argument(parser)
    parser.add_argument("--seed", type=int, default=0, help="seed of the order of a form's points (default: 0)")


def assess_read_form_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm assess read-form`."""
    parser.add_argument("--points", type=Path, required=True, help="points drawn with `agrifm assess design`")
    parser.add_argument(
        "--answers", type=Path, required=True, help="what the form saved, or the table filled in (CSV or GeoJSON)"
    )
    parser.add_argument("--map", type=Path, required=True, help="the map, whose classes labels may have")
    _also_argument(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="GeoPackage of labelled points")


def assess_agree_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `agrifm assess agree`."""
    parser.add_argument("first", type=Path, metavar="A", help="answers of one interpreter (CSV or GeoJSON)")
    parser.add_argument("second", type=Path, metavar="B", help="answers of another one for the same points")
    about = "points drawn with `agrifm assess design`, to estimate areas by each"
    parser.add_argument("--points", type=Path, metavar="FILE", help=about)
    parser.add_argument("--map", type=Path, help="the map, whose classes labels may have; with --points")
    _also_argument(parser)
    parser.add_argument("--sampling", choices=("stratified", "simple", "non-probability"), help="as in `agrifm assess`")
    about = "answers of a third interpreter at the points on which they differ; two of three decide"
    parser.add_argument("--third", type=Path, metavar="C", help=about)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="directory of the comparison")


def _also_argument(parser: argparse.ArgumentParser) -> None:
    about = "further classes that labels may have, such as 4300 or 4300=Fallow"
    parser.add_argument("--also", nargs="+", default=(), metavar="CODE", help=about)
