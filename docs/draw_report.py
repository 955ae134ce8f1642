"""Pictures of the report's page for the documentation: the first screen on a desk and on a phone, and on paper.

A small season is simulated, a random forest is trained, the area is mapped, and the map is assessed on land outside
the training parcels, as in `agrifm demo`, in a few minutes. Needs Chromium or Chrome, and for the paper `pdftoppm`
(poppler) or the package pypdfium2.

    python docs/draw_report.py OUT
    python docs/draw_report.py OUT --report DIR     # pictures of another report, without the season
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from agrifm.assess.pdf import find_browser, print_pdf
from agrifm.assess.reference_data import find_training_data
from agrifm.assess.report import assess
from agrifm.config import read_project
from agrifm.cube.fetch import fetch
from agrifm.demo import WHOLE, draw_reference
from agrifm.mapping.run import map_project
from agrifm.simulator.catalog import simulate
from agrifm.train.run import train

DOCS = Path(__file__).parent
MODEL = "random-forest"
DESK, PHONE, PAPER_WIDTH = (1280, 800), (390, 844), 700
"""Pixels."""
NARROWEST_WINDOW = 500
"""Of Chromium; narrower screens are a frame in a window."""
COLORS = 128
FRAME = '<style>*{{margin:0;border:0}}</style><iframe src="{address}" width="{width}" height="{height}"></iframe>'


def main() -> None:
    """Make the report unless one is given, and write `report-screen.png`, `report-phone.png` and `report-paper.png`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="directory for the season, the map and the report")
    parser.add_argument("--report", type=Path, help="directory of a report that exists")
    parser.add_argument("--size", type=float, default=4.0, help="kilometres of the simulated season, default 4")
    parser.add_argument("--pictures", type=Path, default=DOCS, help="directory of the pictures (default: docs)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    page = (options.report or make_report(options.out, options.size)) / "report.html"
    browser = find_browser()
    for name, size in (("screen", DESK), ("phone", PHONE)):
        write_small(options.pictures / f"report-{name}.png", screenshot(page, size, browser))
    print_pdf(page, options.out / "report.pdf", browser)
    write_small(options.pictures / "report-paper.png", first_pages(options.out / "report.pdf"))


def make_report(out: Path, size: float) -> Path:
    """Simulate, fetch, train, map and assess; return the report's directory."""
    season, until_model, report = out / "season", WHOLE.project.partition("[model]")[0], out / "report"
    (out / "agrifm.toml").write_text(f'{until_model}[model]\nnames = ["{MODEL}"]\n', encoding="utf-8")
    if not (season / "catalog.json").exists():
        simulate(season, size=size)
    project = read_project(out)
    fetch(project)
    train(project)
    map_project(project, project.models / f"{MODEL}.skops")
    classes, truth = project.maps / "classes.tif", season / "truth" / "crops.tif"
    parcels = find_training_data(classes)
    assert parcels is not None, "the map's item leads to them"
    part, points = out / "part.tif", out / "reference.gpkg"
    draw_reference(classes, parcels, truth, points, part, WHOLE.reference_points, project.model.seed)
    assess(part, points, "label", report, training=parcels, truth=truth, whole_map=classes)
    return report


def screenshot(page: Path, size: tuple[int, int], browser: Path) -> Image.Image:
    """The top of a page on a screen of this width and height."""
    width, height = size
    with tempfile.TemporaryDirectory() as folder:
        frame, picture = Path(folder) / "frame.html", Path(folder) / "picture.png"
        frame.write_text(FRAME.format(address=page.resolve().as_uri(), width=width, height=height), encoding="utf-8")
        window = f"--window-size={max(width, NARROWEST_WINDOW)},{height}"
        run_browser(
            browser,
            ["--hide-scrollbars", "--virtual-time-budget=10000", window, f"--screenshot={picture}", frame.as_uri()],
            Path(folder),
        )
        with Image.open(picture) as found:
            return found.convert("RGB").crop((0, 0, width, height))


def run_browser(browser: Path, arguments: Sequence[str], profile: Path) -> None:
    """Run Chromium without a window."""
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    plain = ["--headless", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}", *root]
    subprocess.run([str(browser), *plain, *arguments], check=True, capture_output=True, timeout=120)


def first_pages(pdf: Path, count: int = 2) -> Image.Image:
    """The first pages of a PDF beside each other."""
    pages = _pages_of(pdf, count)
    height = max(page.height for page in pages)
    both = Image.new("RGB", (sum(page.width for page in pages) + 10 * (len(pages) - 1), height), "#bbbbbb")
    for number, page in enumerate(pages):
        both.paste(page, (number * (page.width + 10), 0))
    return both


def _pages_of(pdf: Path, count: int) -> list[Image.Image]:
    if importlib.util.find_spec("pypdfium2"):
        import pypdfium2

        document = pypdfium2.PdfDocument(pdf)
        pages = [document[number] for number in range(min(count, len(document)))]
        return [page.render(scale=PAPER_WIDTH / page.get_width()).to_pil().convert("RGB") for page in pages]
    if shutil.which("pdftoppm") is None:
        raise SystemExit("the picture of the paper needs pdftoppm (poppler) or the package pypdfium2")
    with tempfile.TemporaryDirectory() as folder:
        size = ["-scale-to-x", str(PAPER_WIDTH), "-scale-to-y", "-1"]
        command = ["pdftoppm", "-png", "-l", str(count), *size, str(pdf), f"{folder}/page"]
        subprocess.run(command, check=True)
        return [Image.open(path).convert("RGB") for path in sorted(Path(folder).glob("page*.png"))]


def write_small(path: Path, picture: Image.Image) -> None:
    """Write a picture as a PNG of few colours."""
    picture.quantize(COLORS, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
