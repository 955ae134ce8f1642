"""A reader of the documents: gives the commands of a page, and does by hand what the page leaves to people.

It labels the points that were drawn, answers as interpreters, looks at a page that is served and stops the server,
points a new project to imagery on disk, and asks for the small sizes. `GIVEN` has a finished season to take these from.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import geopandas as gpd
import rasterio

GIVEN = "AGRIFM_PAGES_GIVEN"
"""Variable of the environment: the finished season."""
QUICK = {"names": '["classic"]', "steps": "20", "side": "48", "batch": "2"}
"""Keys under [model] that make training quick."""
ADDRESS = re.compile(r"http://\S+")


def given() -> Path:
    return Path(os.environ[GIVEN])


def agrifm(*words: str) -> list[str]:
    return [sys.executable, "-m", "agrifm", *words]


def option(words: list[str], name: str) -> str | None:
    """The word after an option."""
    return words[words.index(name) + 1] if name in words else None


def use_imagery_on_disk(project: Path) -> None:
    """Replace the provider by the scenes of the finished season, make training quick, and name parcels."""
    file = project / "agrifm.toml"
    text = file.read_text(encoding="utf-8")
    text = re.sub("^provider = .*", f'catalog = "{given()}/season/catalog.json"', text, flags=re.MULTILINE)
    text = re.sub("^products = .*", 'products = ["sentinel-2-c1-l2a"]', text, flags=re.MULTILINE)
    for key, value in QUICK.items():
        text, replaced = re.subn(rf"^#? ?{key} = .*", f"{key} = {value}", text, count=1, flags=re.MULTILINE)
        if not replaced:
            text = text.replace("[model]\n", f"[model]\n{key} = {value}\n")
    if project.name == "fields":  # what docs/boundaries.md asks for
        text = text.replace("[model]\n", '[model]\ntask = "boundaries"\n').replace(QUICK["names"], '["agrifm"]')
    if project.name == "rice":  # haze of the monsoon looks as if an offset had been removed twice (docs/imagery.md)
        text = text.replace("[imagery]\n", '[imagery]\noffset = "metadata"\n')
    if project.name == "my-season" and "\n[parcels]" not in text:  # what README.md asks for
        text += f'\n[parcels]\nfile = "{given()}/season/truth/parcels.gpkg"\n'
    file.write_text(text, encoding="utf-8")


def true_labels(points: Path) -> gpd.GeoDataFrame:
    """The points of a file, with the class that the simulated season has there in the column `label`."""
    drawn = gpd.read_file(points)
    with rasterio.open(given() / "season/truth/crops.tif") as truth:
        codes = [entry["code"] for entry in json.loads(truth.tags()["AGRIFM_LEGEND"])["classes"]]
        places = drawn.to_crs(truth.crs).geometry
        drawn["label"] = [codes[value[0]] for value in truth.sample(zip(places.x, places.y, strict=True))]
    return drawn


def label_points(points: Path, mapped: Path) -> None:
    """Label the points in their file, and write the answers of two interpreters, one of whom errs at every ninth.

    What the map has no class for stays without a label.
    """
    drawn = true_labels(points)
    with rasterio.open(mapped) as source:
        known = {entry["code"] for entry in json.loads(source.tags()["AGRIFM_LEGEND"])["classes"]}
    drawn.loc[~drawn["label"].isin(known), "label"] = ""
    drawn.to_file(points)
    places = drawn.to_crs("EPSG:4326").geometry
    answers = drawn.assign(longitude=places.x, latitude=places.y)[["id", "longitude", "latitude", "label"]]
    for name in ("Ana", "Ben"):
        drawn.to_file(points.with_name(f"points-{name}.gpkg"))
    answers.to_csv(points.with_name("points-Ana.csv"), index=False)
    answers.loc[answers.index % 9 == 0, "label"] = "other"
    answers.to_csv(points.with_name("points-Ben.csv"), index=False)


def look_at_served_page(words: list[str]) -> int:
    """Look at the page of `agrifm serve`, and answer for the interpreters if there are some."""
    if "--port" not in words:
        words = [*words, "--port", "0"]
    names, points = [], Path(option(words, "--points") or "")
    if "--interpreter" in words:
        names = list(takewhile(lambda word: not word.startswith("-"), words[words.index("--interpreter") + 1 :]))
    for name in names:  # they begin anew
        points.with_name(f"{points.stem}-{name}.gpkg").unlink(missing_ok=True)
    return look_at(agrifm(*words), names, points)


def look_at(command: list[str], names: Sequence[str] = (), points: Path = Path()) -> int:
    """Start a server, read its page, answer for interpreters, and stop it as Ctrl+C does."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        address = next(found for line in process.stdout if (found := ADDRESS.search(line))).group().rstrip(".,")
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert b"<html" in answer.read(4096).lower()
        for number, _ in enumerate(names):
            answer_points(address, points, number)
    finally:
        process.send_signal(signal.SIGINT)
        ended = process.wait(60)
    return 0 if ended in (0, 130, -signal.SIGINT) else ended


def answer_points(address: str, points: Path, interpreter: int) -> None:
    """Label every point on the page as an interpreter does, with the truth of the finished season."""
    answers = f"{address.partition('/label')[0].rstrip('/')}/label/answers"
    with urllib.request.urlopen(f"{answers}?interpreter={interpreter}", timeout=60) as answer:
        token = json.load(answer)["token"]
    for point in true_labels(points).itertuples():
        body = {"interpreter": interpreter, "id": str(point.id), "label": point.label, "confidence": "", "comment": ""}
        head = {"Content-Type": "application/json", "X-Agrifm-Token": token}
        urllib.request.urlopen(urllib.request.Request(answers, json.dumps(body).encode(), head), timeout=60).close()


def main(words: list[str]) -> int:
    if words[0] == "python":  # a program that serves a page
        return look_at([sys.executable, *words[1:]])
    if words[0] == "serve" and "--static" not in words:
        return look_at_served_page(words)
    if words[0] == "demo":
        words = ["demo", "--small", *words[1:]]
    if words[0] == "init" and Path(words[1], "agrifm.toml").exists():
        shutil.rmtree(words[1])  # another way to make the same project
    if words[:2] == ["assess", "design"]:
        Path(option(words, "--out") or "").unlink(missing_ok=True)  # the same points, with another option
    done = subprocess.run(agrifm(*words), check=False)
    if done.returncode == 0 and words[0] == "init":
        use_imagery_on_disk(Path(words[1]))
    if done.returncode == 0 and words[:2] == ["assess", "design"]:
        label_points(Path(option(words, "--out") or ""), Path(option(words, "--map") or ""))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
