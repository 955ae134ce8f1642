"""The command line: it parses and calls. Every command is a plain function that Python users can call.

Exit codes: 0 done, 1 the run failed, 2 the request was wrong, 128 and the number of the signal that stopped it (130
after Ctrl+C, 143 after `kill`). Slow libraries are imported when a command runs, so that `agrifm --help` answers at
once.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from signal import SIGINT
from traceback import format_exception

from agrifm.errors import AgriFMError, cause, require_installed
from agrifm.interrupts import INTERRUPTED, interruptible
from agrifm.screen import printable, screen


@dataclass(frozen=True)
class Command:
    """A command: its help, its arguments, and the function that it runs."""

    summary: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if " ".join(words[:2]) in COMMANDS:
        words[:2] = [" ".join(words[:2])]
    with screen("--debug" in words):
        return _run(_parser().parse_args(words))


def _run(options: argparse.Namespace) -> int:
    """The net under every command: whatever it raises becomes one sentence, and the traceback is for `--debug`."""
    stopped_by: list[int] = []
    try:
        with interruptible(stopped_by):
            COMMANDS[options.command].run(options)
        return 0
    except BaseException as error:
        if stopped_by or isinstance(error, KeyboardInterrupt):  # a library may have raised something else instead
            _complain(options, "stopped; run it again to continue")
            return INTERRUPTED + (stopped_by or [SIGINT])[0]
        if not isinstance(error, Exception):
            raise
        if options.debug:
            _complain(options, "".join(format_exception(error)))
        if isinstance(error, AgriFMError):
            _complain(options, str(error))
            return 2
        if isinstance(error, OSError | MemoryError):
            _complain(options, cause(error))
            return 2
        about = f"an error that agrifm does not know, {type(error).__name__}: {cause(error)}"
        _complain(options, f"{about}; please report it, with what `--debug` shows")
        return 1


def _complain(options: argparse.Namespace, sentence: str) -> None:
    print(f"agrifm {options.command}: {printable(_without_secrets(sentence))}", file=sys.stderr)


def _show(*lines: str) -> None:
    print(printable("\n".join(lines)))


def _without_secrets(sentence: str) -> str:
    """Remove credentials from a sentence."""
    from agrifm.redaction import redacted

    return redacted(sentence)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agrifm", description="From an area and a season to a crop map with hectares and confidence."
    )
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(name, help=command.summary, description=command.summary)
        command.arguments(subparser)
        subparser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


class _Version(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from agrifm import __version__

        print(f"agrifm {__version__}")
        parser.exit()


def _directory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", type=Path, metavar="DIR")


def _project(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--project", type=Path, default=Path(), metavar="PATH", help="agrifm.toml or its directory (default: here)"
    )


def _init(options: argparse.Namespace) -> None:
    from agrifm.init import init

    path = init(options.directory)
    _show(f"wrote {path}; edit the three places marked in it, then run `agrifm fetch` in its directory")


def _simulate_arguments(parser: argparse.ArgumentParser) -> None:
    _directory(parser)
    regions = "oceanic, mediterranean, monsoon, southern, or a region file (default: oceanic)"
    parser.add_argument("--region", default="oceanic", metavar="R", help=regions)
    parser.add_argument("--year", type=int, default=2024, metavar="Y", help="year of its end (default: 2024)")
    parser.add_argument("--size", type=float, default=5.0, metavar="KM", help="side of the square, km (default: 5)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the random numbers (default: 0)")
    parser.add_argument(
        "--season",
        type=_day,
        nargs=2,
        metavar=("START", "END"),
        help="first and last day, such as 2024-03-01 2024-08-31 (default: the region's season)",
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date; write it as 2024-03-01") from error


def _simulate(options: argparse.Namespace) -> None:
    from agrifm.season import Season
    from agrifm.simulator.catalog import simulate

    season = Season(*options.season) if options.season else None
    written = simulate(options.directory, options.region, options.year, options.size, options.seed, season)
    _show(f"wrote {written}")


def _fetch(options: argparse.Namespace) -> None:
    from agrifm.config import read_project
    from agrifm.cube.fetch import fetch

    cube, account = fetch(read_project(options.project))
    _show(*account, *cube.notes)


def _train(options: argparse.Namespace) -> None:
    from agrifm.config import read_project
    from agrifm.train.project import train_project
    from agrifm.train.run import describe_scores

    project = read_project(options.project)
    scores = train_project(project)
    kept = [f"kept {name}: nothing that decides it has changed" for name in scores["kept"]]
    _show(*describe_scores(scores), *kept, f"{'wrote' if scores['written'] else 'kept'} {project.models}")


def _compare_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="compare.toml, or its directory")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="models trained at a time (default: 1)")
    parser.add_argument("--dask", metavar="ADDRESS", help="train on the workers of this Dask scheduler instead")


def _compare(options: argparse.Namespace) -> None:
    from agrifm.train.compare import compare, comparison_lines
    from agrifm.train.learners import COMBINATIONS, LEARNERS
    from agrifm.work import open_executor

    with open_executor(options.processes, options.dask) as executor:
        content = compare(options.file, LEARNERS, COMBINATIONS, executor)
    _show(*comparison_lines(content), f"wrote {Path(content['directory']) / 'report.html'}")


def _samples_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="DIR|FILE", help="a project's directory, or a table by itself")
    parser.add_argument("--product", action="append", default=[], help="product of the numbers of a table by itself")
    parser.add_argument("--column", help="column of the class in a table by itself")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the places and their series (PNG)")


def _samples_info(options: argparse.Namespace) -> None:
    from agrifm.samples.table_info import samples_info

    _show(*samples_info(options.file, options.product, options.picture, options.column))


def _map_arguments(parser: argparse.ArgumentParser) -> None:
    _project(parser)
    parser.add_argument("--model", type=Path, help="model file (default: the model named in the project file)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="directory of the map (default: map/ in the project)")


def _map(options: argparse.Namespace) -> None:
    from agrifm.config import read_project
    from agrifm.mapping.run import map_project

    _show(*map_project(read_project(options.project), options.model, options.out).lines())


def _assess_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--map", type=Path, required=True, help="classified raster, from agrifm or any other source")
    parser.add_argument("--reference", type=Path, required=True, help="points drawn with `agrifm assess design`")
    parser.add_argument("--layer", metavar="NAME", help="layer of the reference, if its file has several")
    parser.add_argument("--crs", help="CRS of a reference that does not state it, such as EPSG:32631")
    parser.add_argument("--encoding", help="encoding of the reference's text, such as cp1252")
    parser.add_argument(
        "--label",
        metavar="COLUMN",
        help="column of the reference class code (default: that of [assess] in the project file, else `label`)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="directory of the report")
    parser.add_argument("--scores", type=Path, help="models/scores.json, to report the scores on unseen blocks too")
    parser.add_argument("--training", type=Path, help="training parcels, to count the reference points inside them")
    _project(parser)


def _assess(options: argparse.Namespace) -> None:
    from agrifm.assess.reference_data import reference_config
    from agrifm.assess.report import assess, report_lines

    config = reference_config(options.project)
    stated = {name: getattr(options, name) for name in ("layer", "crs", "encoding") if getattr(options, name)}
    report = assess(
        options.map,
        options.reference,
        options.label or config.column,
        options.out,
        scores=options.scores,
        training=options.training,
        keys=config.model_copy(update=stated),
    )
    _show(*report_lines(report), f"wrote {options.out / 'report.html'}")


def _design_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--map", type=Path, required=True, help="classified raster; its classes are the strata")
    parser.add_argument("--n", type=int, required=True, help="number of points")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random numbers (default: 0)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="GeoPackage with an empty label column")


def _design(options: argparse.Namespace) -> None:
    from agrifm.assess.design import draw_points

    draw_points(options.map, options.n, options.seed, options.out)
    _show(f"wrote {options.out}; fill its column `label` with the class codes observed on the ground")


def _model_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="weights: .safetensors, .pth, .pt or .ckpt")


def _window_arguments(parser: argparse.ArgumentParser) -> None:
    _model_file(parser)
    parser.add_argument("--window", type=_three, metavar="T,H,W", help="attention window in tokens, if not stated")


def _three(text: str) -> tuple[int, int, int]:
    try:
        time, rows, columns = (int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not three whole numbers; write them as 8,7,7") from error
    return time, rows, columns


def _info(options: argparse.Namespace) -> None:
    from agrifm.inference.compatibility import describe_model

    _show(*describe_model(options.file, options.window))


def _convert_arguments(parser: argparse.ArgumentParser) -> None:
    _window_arguments(parser)
    parser.add_argument("out", type=Path, metavar="OUT", help=".safetensors with a record, or .pth with public names")
    about = "bands in the order of the weights, once per sensor; or 10m-first or by-number for every sensor"
    parser.add_argument("--bands", action="append", default=[], metavar="SENSOR=BAND,BAND,...", help=about)


def _convert(options: argparse.Namespace) -> None:
    require_installed("reading weights", "deep", "torch")
    from agrifm.models.weights.convert import convert_weights

    _show(*convert_weights(options.file, options.out, options.bands, options.window))


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="MODEL", help="safetensors that `agrifm train` wrote")
    parser.add_argument("out", type=Path, metavar="OUT", help=".onnx, or .pt2 for torch.export.load")
    parser.add_argument("--frames", type=int, metavar="N", help="most frames of observed series (default: as trained)")
    parser.add_argument("--side", type=int, metavar="N", help="side of windows, pixels (default: as in training)")
    parser.add_argument("--without", action="append", default=[], metavar="SENSOR", help="a sensor to leave out")


def _export(options: argparse.Namespace) -> None:
    require_installed("reading weights", "deep", "torch")
    from agrifm.models.export import export

    _show(*export(options.file, options.out, options.frames, options.side, options.without))


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    _model_file(parser)
    parser.add_argument("cube", type=Path, metavar="CUBE", help="a cube that `agrifm fetch` wrote")


def _check(options: argparse.Namespace) -> None:
    from agrifm.inference.compatibility import check_model

    _show(*check_model(options.file, options.cube))


def _translate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="labels, a raster of codes, or a legend (CSV, JSON)")
    known = "hcat3, ewoc, fao-icc, cdl, rpg or glc-fcs30"
    parser.add_argument("--from", dest="source", required=True, metavar="LEGEND", help=f"legend of the file: {known}")
    parser.add_argument("--to", dest="target", required=True, metavar="LEGEND", help="legend to translate to")
    parser.add_argument("--column", metavar="NAME", help="column of the codes, if the file contains labelled shapes")
    parser.add_argument("--layer", metavar="NAME", help="layer of the labels, if their file has several")
    parser.add_argument("--crs", help="CRS of labels that do not state it, such as EPSG:32631")
    parser.add_argument("--out", type=Path, metavar="FILE", help="table of classes (.csv), or labels (.gpkg)")


def _translate(options: argparse.Namespace) -> None:
    from agrifm.assess.legend_translation import translate_file
    from agrifm.vectors import VectorKeys

    keys = VectorKeys(layer=options.layer, crs=options.crs)
    _show(*translate_file(options.file, options.source, options.target, options.out, options.column, keys))


def _cube(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cube", type=Path, metavar="DIR|CUBE", help="a project's directory, or a cube in it")


def _cube_info_arguments(parser: argparse.ArgumentParser) -> None:
    _cube(parser)
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the clear observations (PNG)")


def _cube_info(options: argparse.Namespace) -> None:
    from agrifm.cube.info import cube_info

    _show(*cube_info(options.cube, options.picture))


def _cube_check(options: argparse.Namespace) -> None:
    from agrifm.cube.qc.check import cube_check

    _show(*cube_check(options.cube))


def _status(options: argparse.Namespace) -> None:
    from agrifm.status import status

    _show(*status(options.project))


def _demo(options: argparse.Namespace) -> None:
    from agrifm.demo import demo

    demo(options.directory)


COMMANDS = {
    "init": Command("write a commented project file, ready to edit", _directory, _init),
    "simulate": Command("write a synthetic season: STAC scenes with known truth", _simulate_arguments, _simulate),
    "fetch": Command("build the cube from scenes or local files", _project, _fetch),
    "train": Command("train models on labels or series, and score them on unseen blocks", _project, _train),
    "samples info": Command("show what a table of labelled series contains", _samples_arguments, _samples_info),
    "compare": Command("compare models on labelled series under one protocol", _compare_arguments, _compare),
    "map": Command("map classes and confidence with a trained model", _map_arguments, _map),
    "assess": Command("estimate accuracy and areas with intervals", _assess_arguments, _assess),
    "assess design": Command("draw reference points, stratified by the map's classes", _design_arguments, _design),
    "cube info": Command("show what a cube contains and how it was made", _cube_info_arguments, _cube_info),
    "cube check": Command("check that a cube is complete and plausible; exit code 2 if not", _cube, _cube_check),
    "model info": Command("show what a file of weights contains", _window_arguments, _info),
    "model convert": Command(
        "convert public weights to safetensors with a record, or back", _convert_arguments, _convert
    ),
    "model export": Command("export a network as a graph that runs alone: ONNX or .pt2", _export_arguments, _export),
    "model check": Command("compare what a model expects with what a cube contains", _check_arguments, _check),
    "legend translate": Command("translate classes between published legends", _translate_arguments, _translate),
    "status": Command("show what is done and next; versions, processor, credentials", _project, _status),
    "demo": Command("run simulate, fetch, train, map and assess, offline", _directory, _demo),
}
