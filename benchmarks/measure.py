"""What the benchmarks share: head of a result, command line, timing in turn, own processes, files of runs, tables.

A benchmark is one script: a function `report(options)` that yields the lines of its result, and

    main = Command(__doc__, report, {"--sides": {"nargs": "+", "type": int, "default": [480, 1440]}}, ("scipy",))

`main` prints the head of the result and every line as it comes. With `--out FOLDER` it writes DATE-NAME.txt there, with
`--out FILE` that file.
"""

import argparse
import inspect
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from agrifm.process_memory import peak_bytes
from agrifm.record import running_versions  # importing agrifm settles how threads wait, before torch starts any

T = TypeVar("T")
Options = Mapping[str, Mapping[str, Any]]
Run = dict[str, Any]
"""One line of a file of runs."""

RUNS: Options = {
    "--runs": {"type": Path, "nargs": "+", "default": [], "help": "files of finished runs; the first is written"},
    "--part": {"default": "0/1", "help": "K/N: every N-th run, from the K-th, so that parts can run at the same time"},
}
"""Options of a benchmark that keeps finished runs in files and continues where it was stopped."""
REGIONS = ("oceanic", "mediterranean", "monsoon", "southern")
DEMO: Options = {"directory": {"type": Path, "help": "a finished demo (agrifm demo DIR)"}}
SEASON_PROJECT = """\
[season]
area = "season/area.geojson"
start = {start}
end = {end}
[labels]
file = "season/truth/parcels.gpkg"
column = "crop"
legend = "season/truth/legend.json"
other = "season/truth/landcover.tif"
other_values = [10, 50, 80]
block = 480
[imagery]
catalog = "season/catalog.json"
products = ["sentinel-2-c1-l2a"]
"""
"""Project of a simulated season of Sentinel-2 in `season`; more keys of [imagery] or other tables may follow."""


def region_options(*seeds: int, regions: Sequence[str] = REGIONS) -> Options:
    """Options of a benchmark of simulated seasons: regions, seeds and the side of the area."""
    return {
        "--regions": {"nargs": "*", "default": regions},
        "--seeds": {"type": int, "nargs": "*", "default": seeds},
        "--size": {"type": float, "default": 2.5, "help": "kilometres, default 2.5"},
    }


@dataclass(frozen=True)
class Command:
    """The `main` of a benchmark: it reads the command line, prints the result line by line, and writes it."""

    document: str | None
    """The script's docstring, which `--help` shows."""
    report: Callable[[argparse.Namespace], Iterable[str]]
    """Yields the lines of the result; none where a call only measures what a later one reports."""
    options: Options = field(default_factory=dict)
    """Arguments of `ArgumentParser.add_argument` by the option's name; `--out` is added."""
    packages: Sequence[str] = ()
    """Packages whose versions the head of the result gives, in addition to Python, agrifm and numpy."""
    quick: Mapping[str, Any] | None = None
    """The options' values under `--quick`, a small run that shows that the script works."""

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The options of a command line."""
        parser = argparse.ArgumentParser(
            description=self.document, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        for option, settings in self.options.items():
            parser.add_argument(option, **settings)
        parser.add_argument("--out", type=Path, help="file of the result, or its folder")
        if self.quick is not None:
            parser.add_argument("--quick", action="store_true", help="a small run that shows that the script works")
            if "--quick" in arguments:
                parser.set_defaults(**self.quick)
        return parser.parse_args(arguments)

    def __call__(self, *arguments: object) -> None:
        """Run the benchmark with some arguments, or with those of the process."""
        given = [str(argument) for argument in arguments] or sys.argv[1:]
        options, name = self.parse(given), Path(inspect.getfile(self.report)).stem
        start = head(name, given, self.packages)
        lines: list[str] = []
        for line in self.report(options):
            if not lines:
                print(*start, sep="\n")
            lines.append(line)
            print(line, flush=True)
        if lines:
            write([*start, *lines], options.out, name)


def write(lines: Sequence[str], out: Path | None, name: str) -> None:
    """Write a result with the load at its end; `out` is its file, its folder or nothing."""
    end = f"load average at the end {load()}"
    print(f"\n{end}")
    if out is None:
        return
    if out.is_dir() or not out.suffix:
        out = out / f"{date.today()}-{name.replace('_', '-')}.txt"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join([*lines, "", end]) + "\n", encoding="utf-8")


def head(name: str, arguments: Sequence[str], packages: Sequence[str] = ()) -> list[str]:
    """The lines a result begins with: date, hardware, versions, command with paths cut to their names, commit."""
    versions = running_versions(*packages)
    short = (Path(argument).name if "/" in argument else argument for argument in arguments)
    return [
        f"date       {date.today()}",
        f"hardware   {processor()}; load average at the start {load()}",
        f"versions   {', '.join(f'{package} {version}' for package, version in versions.items())}",
        f"command    python benchmarks/{name}.py {' '.join(short)}".rstrip(),
        f"commit     {commit()}",
        "",
    ]


def processor() -> str:
    """Number and model of the processors, where the system names them."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} x {names[0] if names else platform.processor() or platform.machine()}"


def load() -> str:
    """The load averages of the last 1, 5 and 15 minutes."""
    return ", ".join(f"{average:.1f}" for average in os.getloadavg())


def commit() -> str:
    """The commit of the repository, marked where files were changed after it."""
    git = ["git", "-C", str(Path(__file__).parent)]
    done = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    if done.returncode:
        return "unknown"
    changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=False)
    return done.stdout.strip() + (" with changes" if changed.stdout else "")


def turns(
    runs: Mapping[str, Callable[[], object]], count: int, clock: Callable[[], float] = time.process_time
) -> dict[str, list[float]]:
    """Seconds of each of several runs, `count` times in turn, after a first turn that does not count.

    In turn, so that other programs slow all of them alike. The processor's clock counts this process alone.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(count + 1):
        for name, run in runs.items():
            start = clock()
            run()
            if turn:
                seconds[name].append(clock() - start)
    return seconds


class Outcome(NamedTuple):
    """What a function returned in a process of its own."""

    result: Any
    peak_bytes: int
    """Most memory of the process, libraries included."""


def own_process(function: Callable[..., Any], *arguments: Any) -> Outcome:
    """Run a module's function in a new process, so that the peak of its memory is that of the function alone."""
    spawn = multiprocessing.get_context("spawn")  # a forked process would begin with this one's memory
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        return pool.submit(_with_peak, function, arguments).result()


def _with_peak(function: Callable[..., Any], arguments: Sequence[Any]) -> Outcome:
    return Outcome(function(*arguments), peak_bytes())


def free_bytes() -> int:
    """Memory available without swapping; Linux."""
    return _proc("meminfo", "MemAvailable")


def _proc(file: str, key: str) -> int:
    lines = Path("/proc", file).read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(key))


def read_runs(files: Iterable[Path]) -> list[Run]:
    """All finished runs of some files, which need not exist."""
    return [json.loads(line) for file in files if file.exists() for line in file.read_text("utf-8").splitlines()]


def add_run(files: Sequence[Path], run: Run) -> None:
    """Append a finished run to the first file."""
    with files[0].open("a", encoding="utf-8") as file:
        file.write(json.dumps(run) + "\n")


def part_of(wanted: Sequence[T], part: str) -> Sequence[T]:
    """Of a part "K/N" every N-th, from the K-th."""
    first, step = (int(text) for text in part.split("/"))
    return wanted[first::step]


def by_shape(shape: Callable[..., T], files: Iterable[Path]) -> dict[T, Run]:
    """Finished runs by their shape, made from the fields under "shape"."""
    return {shape(**run["shape"]): run for run in read_runs(files)}


def measure_missing(
    shape: Callable[..., T],
    wanted: Sequence[T],
    options: argparse.Namespace,
    measure: Callable[[T, Mapping[T, Run]], Run],
) -> None:
    """Measure the shapes of this part that no file of runs has; `measure` gets a shape and the finished runs."""
    for wanted_shape in part_of(wanted, options.part):
        finished = by_shape(shape, options.runs)
        if wanted_shape not in finished:
            add_run(options.runs, measure(wanted_shape, finished))
            print(wanted_shape, flush=True)


def table(header: Sequence[str], rows: Iterable[Sequence[object]], left: Sequence[int] = (0,)) -> Iterator[str]:
    """Lines of a table, columns as wide as their widest cell; text columns (`left`, by index) are aligned left.

    Rows that take more than a second to make are shown on the error stream as they come.
    """
    cells, start = [list(header)], time.monotonic()
    for row in rows:
        cells.append([str(cell) for cell in row])
        if time.monotonic() - start > 1:
            print("...", *cells[-1], file=sys.stderr, flush=True)
        start = time.monotonic()
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    for row in cells:
        aligned = [
            cell.ljust(width) if column in left or column - len(row) in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(aligned).rstrip()
