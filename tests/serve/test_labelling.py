"""Points labelled on the page: what is written is what `read_form` writes, and what follows is what `assess` says."""

import csv
import json
import random
import shutil
import subprocess
import sys
import time
from importlib.resources import files
from itertools import cycle
from pathlib import Path

import geopandas as gpd
import pytest
from sklearn.metrics import cohen_kappa_score
from tests.assess.test_form import content
from tests.browser import Browser, installed
from tests.mapping.small_parcels import LEGEND
from tests.serve.small_season import request, served, small_season

from agrifm.assess import point_season
from agrifm.assess.answers import read_form
from agrifm.assess.design import draw_points
from agrifm.assess.report import assess
from agrifm.cli import main
from agrifm.errors import AgriFMError, AssessmentError, ServeError
from agrifm.grid import LONLAT
from agrifm.locks import locked
from agrifm.serve.finished_season import finished_season
from agrifm.serve.labelling import open_labelling
from agrifm.serve.run import PointsToLabel, page_of

POINTS = 12
CODES = LEGEND.codes
JSON = "Content-Type: application/json"


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    return small_season(tmp_path_factory.mktemp("season") / "season")


@pytest.fixture(scope="module")
def drawn(season):
    draw_points(season.maps / "classes.tif", POINTS, 0, season.directory / "points.gpkg")
    return season.directory / "points.gpkg"


@pytest.fixture
def points(drawn, tmp_path):
    """Points of the map in a folder of the test."""
    return Path(shutil.copy(drawn, tmp_path))


@pytest.fixture
def port(season, points):
    with served(season.directory, PointsToLabel(points, ["Ana", "Ben"], ["4300=Fallow"])) as number:
        yield number


def so_far(port, number=0):
    status, found, _ = request(port, f"/label/answers?interpreter={number}")
    assert status == 200, found
    return json.loads(found)


def post(port, path, body, *headers, token=None):
    """Status and content of what the page would send, with further lines of the head."""
    stated = so_far(port)["token"] if token is None else token
    lines = (JSON, f"X-Agrifm-Token: {stated}", *headers)
    status, found, _ = request(port, path, json.dumps(body).encode(), headers=lines)
    return status, json.loads(found)


def answer(number, label, confidence="", comment="", interpreter=0):
    return {
        "interpreter": interpreter,
        "id": str(number),
        "label": label,
        "confidence": confidence,
        "comment": comment,
    }


def answer_all(port, points, labels, interpreter=0):
    token = so_far(port)["token"]
    for number, label in zip(gpd.read_file(points)["id"], labels, strict=False):
        assert post(port, "/label/answers", answer(number, label, interpreter=interpreter), token=token)[0] == 200


def test_answers_are_written_as_read_form_writes_them(season, port, points, tmp_path):
    drawn, before = gpd.read_file(points), points.read_bytes()
    given = [
        ("1", CODES[0], "low", 'hedge, "old"'),
        ("3", "4300", "", ""),
        ("5", "", "low", ""),
        ("2", CODES[1], "", ""),
    ]
    given = [(str(drawn["id"][int(place)]), *rest) for place, *rest in given]
    for one in given:
        assert post(port, "/label/answers", answer(*one))[0] == 200
    assert post(port, "/label/answers", answer(given[-1][0], ""))[1] == {"answered": 3}
    assert so_far(port)["answers"].keys() == {one[0] for one in given[:-1]}
    assert so_far(port, 1)["answers"] == {}
    place = drawn.to_crs(LONLAT).set_index("id").geometry
    with (tmp_path / "answers.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "longitude", "latitude", "label", "confidence", "comment", "interpreter", "answered"))
        for number, *rest in given[:-1]:
            at, when = place[int(number)], so_far(port)["answers"][number]["answered"]
            writer.writerow((number, at.x, at.y, *rest, "Ana", when))
    read_form(points, tmp_path / "answers.csv", season.maps / "classes.tif", tmp_path / "read.gpkg", ["4300"])
    saved, read = gpd.read_file(tmp_path / "points-Ana.gpkg"), gpd.read_file(tmp_path / "read.gpkg")
    assert saved.to_json() == read[saved.columns].to_json()
    assert set(saved.columns) == set(read.columns)
    assert points.read_bytes() == before


def test_a_server_that_starts_again_has_the_answers_of_before(season, points, tmp_path):
    to_label = PointsToLabel(points, ["Ana"])
    with served(season.directory, to_label) as port:
        answer_all(port, points, [CODES[1]] * 2)
        before = so_far(port)
    with served(season.directory, to_label) as port:
        assert so_far(port)["answers"] == before["answers"]
        assert post(port, "/label/answers", answer("1", CODES[0]), token=before["token"])[0] == 403
    (tmp_path / "points-Ana.gpkg").rename(tmp_path / "points-Eva.gpkg")
    with pytest.raises(ServeError):
        page_of(season.directory, to_label=PointsToLabel(points, ["Eva"]))


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"id": "999"}, 422), ({"label": "9999"}, 422), ({"confidence": "sure"}, 422), ({"interpreter": 2}, 404),
        ({"interpreter": -1}, 404), ({"interpreter": "../x"}, 422), ({"comment": "x" * 501}, 422),
        ({"id": "999", "label": ""}, 422), ({"comment": "x" * 9000}, 413), ({"file": "/etc/passwd"}, 422),
        ({"label": None}, 422),
    ],
)  # fmt: skip
def test_wrong_answers_are_refused_and_nothing_is_written(port, points, change, status):
    number = gpd.read_file(points)["id"][0]
    assert post(port, "/label/answers", answer(number, CODES[0]) | change)[0] == status
    assert [path.name for path in points.parent.iterdir()] == [points.name]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((JSON,), 403), ((JSON, "X-Agrifm-Token: wrong"), 403), ((JSON, "X-Agrifm-Token: é"), 403),
        (("Content-Type: text/plain", "X-Agrifm-Token: {token}"), 403),
        ((JSON, "X-Agrifm-Token: {token}", "Origin: http://evil.example"), 403),
        ((JSON, "X-Agrifm-Token: {token}", "Sec-Fetch-Site: cross-site"), 403),
        ((JSON, "X-Agrifm-Token: {token}", "Origin: http://127.0.0.1"), 200),
    ],
)  # fmt: skip
def test_other_pages_cannot_answer(port, points, headers, status):
    token = so_far(port)["token"]
    body = json.dumps(answer(gpd.read_file(points)["id"][0], CODES[0])).encode()
    lines = tuple(line.format(token=token) for line in headers)
    assert request(port, "/label/answers", body, headers=lines)[0] == status
    assert (points.parent / "points-Ana.gpkg").exists() == (status == 200)
    if status != 200:
        assert request(port, "/label/report", b'{"interpreter": 0, "early": true}', headers=lines)[0] == status


def test_what_another_process_writes_stays_and_is_waited_for(port, points):
    answer_all(port, points, CODES[:1])
    file = points.parent / "points-Ana.gpkg"
    numbers = gpd.read_file(points)["id"].astype(str)
    other = gpd.read_file(file)
    other.loc[1, ["label", "interpreter", "answered"]] = [CODES[1], "Ana", "2026-01-01T00:00:00Z"]
    other.to_file(file, layer=file.stem)
    with locked(file.resolve(), "writing"):
        assert post(port, "/label/answers", answer(numbers[2], CODES[2]))[0] == 409
    assert post(port, "/label/answers", answer(numbers[2], CODES[2]))[0] == 200
    assert {number: one["label"] for number, one in so_far(port)["answers"].items()} == dict(
        zip(numbers, CODES, strict=False)
    )


def test_without_points_there_is_no_labelling_page(season):
    with served(season.directory) as port:
        for path in ("/label", "/label/answers?interpreter=0", "/label/form.js", "/label/report/0"):
            assert request(port, path)[0] == 404
        assert request(port, "/label/answers", b"{}", headers=(JSON,))[0] == 404
        assert json.loads(request(port, "/season.json")[1])["labelling"] is False


def test_the_form_is_the_same_and_its_scripts_are_files(season, port, points, tmp_path, monkeypatch):
    monkeypatch.setattr("agrifm.serve.label_routes.SOON", 0)
    _, page, headers = request(port, "/label")
    assert b'id="data"' not in page
    assert headers["refresh"] == "2"
    while b'id="data"' not in page:
        _, page, headers = request(port, "/label")
    assert "refresh" not in headers
    assert "unsafe" not in headers["content-security-policy"]
    command = f"assess form --points {points} --map {season.maps}/classes.tif --season {season.directory} --also"
    assert main([*command.split(), "4300=Fallow", "--out", str(tmp_path / "form.html")]) == 0
    served_form = content(page.decode())
    assert not any("pictures" in point for point in served_form["points"])
    for place, point in enumerate(served_form["points"]):
        point |= json.loads(request(port, f"/label/points/{place}")[1])
    assert served_form == content((tmp_path / "form.html").read_text(encoding="utf-8"))
    assert all(point["pictures"] for point in served_form["points"])
    for wrong in (POINTS, -1, "a", "0/.."):
        assert request(port, f"/label/points/{wrong}")[0] == 404
    assert b"<style" not in page
    assert b"style=" not in page
    for name in ("form.css", "form.js", "form_server.js"):
        assert f'"label/{name}"'.encode() in page
        assert request(port, f"/label/{name}")[0] == 200
    assert request(port, "/label/form.py")[0] == 404


def test_the_form_opens_when_its_first_points_are_read(season, port, points, monkeypatch):
    monkeypatch.setattr("agrifm.assess.form_page.SAMPLE", 2)
    read = []

    def counted(*given):
        read.append(given[-1])
        return plain(*given)

    plain = point_season._read
    monkeypatch.setattr("agrifm.assess.point_season._read", counted)
    while b'id="data"' not in (found := request(port, "/label")[1]):
        pass
    order = [point["id"] for point in content(found.decode())["points"]]
    number = list(gpd.read_file(points)["id"].astype(str))
    assert [number[at] for at in read] == order[:2]
    for place in (1, 5):
        request(port, f"/label/points/{place}")
    assert [number[at] for at in read] == [*order[:2], order[5]]


def test_the_reports_hectares_are_those_of_assess(season, port, points, tmp_path):
    wanted = {"interpreter": 0, "early": False}
    labels = [code for code, _ in zip(cycle((*CODES, CODES[0])), range(POINTS), strict=False)]
    answer_all(port, points, labels[:-1])
    assert request(port, "/label/report/0")[0] == 404
    status, found = post(port, "/label/report", wanted)
    assert status == 428
    assert f"{POINTS - 1} of {POINTS}" in found["error"]
    answer_all(port, points, labels)
    status, found = post(port, "/label/report", wanted)
    assert status == 200, found
    frame = gpd.read_file(points)
    frame["label"] = labels
    frame.to_file(tmp_path / "labelled.gpkg")
    direct = assess(season.maps / "classes.tif", tmp_path / "labelled.gpkg", "label", tmp_path / "report")
    assert found["areas"] == json.loads(json.dumps(direct["areas"]))
    _, page, headers = request(port, "/label/report/0")
    assert page == (season.directory / "report-Ana" / "report.html").read_bytes()
    assert "script-src" not in headers["content-security-policy"]
    assert "default-src 'none'" in headers["content-security-policy"]


def test_two_interpreters_are_compared(season, port, points):
    first = [code for code, _ in zip(cycle(CODES), range(POINTS), strict=False)]
    second = [*first[:-4], *[CODES[0]] * 4]
    answer_all(port, points, first, 0)
    wanted = {"interpreter": 1, "early": False}
    assert post(port, "/label/agreement", wanted)[0] == 428
    answer_all(port, points, second, 1)
    status, found = post(port, "/label/agreement", wanted)
    assert status == 200, found
    assert found["kappa"]["estimate"] == pytest.approx(cohen_kappa_score(first, second))
    low, high = found["kappa"]["interval"]
    assert low < found["kappa"]["estimate"] < high
    different = {str(n) for n, one, two in zip(gpd.read_file(points)["id"], first, second, strict=True) if one != two}
    assert {one["id"] for one in found["disagreements"]} == different
    assert (season.directory / "agreement" / "agreement.json").exists()


@pytest.mark.parametrize("names", [["a", "b", "c"], ["Ana", "ana"], ["../.."], [""], ["x" * 61], ["A\nna"]])
def test_names_that_cannot_be_files_are_refused(season, points, names):
    with pytest.raises(ServeError) as error:
        page_of(season.directory, to_label=PointsToLabel(points, names))
    assert error.value.facts["names"] == names


def test_points_of_places_to_label_next_are_labelled_by_their_rank(season, points, tmp_path):
    chosen = gpd.read_file(points)[["geometry"]].assign(rank=range(1, POINTS + 1), sampling="non-probability")
    chosen.to_file(tmp_path / "next.gpkg")
    with served(season.directory, PointsToLabel(tmp_path / "next.gpkg")) as port:
        assert post(port, "/label/answers", answer(3, CODES[2]))[0] == 200
        assert post(port, "/label/report", {"interpreter": 0, "early": True})[0] == 422
    saved = gpd.read_file(tmp_path / "next-Interpreter.gpkg").set_index("rank")
    assert saved["label"].dropna().to_dict() == {3: CODES[2]}


def test_points_need_a_project_and_numbers(season, points, tmp_path):
    gpd.read_file(points)[["geometry"]].to_file(tmp_path / "bare.gpkg")
    with pytest.raises(AssessmentError):
        page_of(season.directory, to_label=PointsToLabel(tmp_path / "bare.gpkg"))
    for wrong in (["--interpreter", "Ana"], ["--points", str(points), "--static", str(tmp_path / "page")]):
        assert main(["serve", str(season.directory), *wrong]) == 2
    with pytest.raises(AgriFMError):
        page_of(season.directory, to_label=PointsToLabel(tmp_path / "none.gpkg"))


def begin(browser, port, name):
    browser.open(f"http://127.0.0.1:{port}/label")
    browser.until("!!document.querySelector('.names')")
    browser.run(f"[...document.querySelectorAll('.names button')].find((one) => one.textContent === '{name}').focus()")
    browser.press("Enter")
    browser.until("document.getElementById('progress').textContent")


def finished(browser):
    """Wait until the server has every answer."""
    browser.until("document.body.dataset.unsaved === '0'")


ANSWERING = """
import sys
from itertools import cycle
from agrifm.serve.finished_season import finished_season
from agrifm.serve.labelling import GivenAnswer, open_labelling
directory, points, *codes = sys.argv[1:]
labelling = open_labelling(finished_season(directory), directory, points)
print("begun", flush=True)
for number, code in zip(cycle(labelling.drawn.numbers), cycle(codes)):
    labelling.answer(GivenAnswer(interpreter=0, id=number, label=code, confidence="", comment=""))
    print(number, code, flush=True)
"""
"""Answers all points, again and again, and says so after each."""


@pytest.mark.check
def test_a_server_killed_while_it_writes_has_lost_no_answer(season, points):
    generator, saved = random.Random(0), {}
    for _ in range(12):
        words = [sys.executable, "-c", ANSWERING, str(season.directory), str(points), *CODES]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "begun\n"
            lines = [process.stdout.readline() for _ in range(POINTS)]
            time.sleep(generator.uniform(0, 0.2))
            process.kill()
            lines += process.stdout.read().splitlines()
        saved |= dict(line.split() for line in lines if len(line.split()) == 2)
        labelling = open_labelling(finished_season(season.directory), season.directory, points)
        kept = labelling.rows(labelling.interpreters[0])
        assert kept.keys() >= saved.keys()
        differ = [number for number, code in saved.items() if kept[number]["label"] != code]
        assert len(differ) <= 1  # an answer that was written and not said
        saved |= {number: row["label"] for number, row in kept.items()}
    assert len(saved) == POINTS


@pytest.mark.check
@pytest.mark.skipif(not installed(), reason="there is no Chromium or Chrome to drive")
@pytest.mark.parametrize("width", [1280, 390])
def test_points_become_hectares_by_keys_alone(season, points, tmp_path, width):
    with (
        served(season.directory, PointsToLabel(points, ["Ana", "Ben"])) as port,
        Browser(tmp_path, width, 844) as browser,
    ):
        begin(browser, port, "Ana")
        assert browser.text("#progress") == f"Ana: 0 of {POINTS} answered"
        browser.press("1", "u", "n")
        browser.write("hedge")
        browser.press("Escape")
        for key in "23123":
            browser.press("ArrowDown", key)
        assert browser.text("#progress") == f"Ana: 6 of {POINTS} answered"
        assert browser.run("document.documentElement.scrollWidth") <= width
        browser.call("Runtime.evaluate", expression=(files("axe_core_python") / "axe.min.js").read_text("utf-8"))
        assert json.loads(browser.run("axe.run().then((found) => JSON.stringify(found.violations))")) == []
        browser.picture(tmp_path / f"label-{width}.png", whole=False)
        finished(browser)
        browser.run("localStorage.clear()")
        begin(browser, port, "Ana")
        assert browser.text("#progress") == f"Ana: 6 of {POINTS} answered"
        assert browser.text("#place").startswith("7 of")
        browser.press("s", "Enter")
        browser.until("!document.getElementById('results-problem').hidden")
        assert f"6 of {POINTS}" in browser.text("#results-problem")
        browser.press("Escape")
        browser.until("!document.querySelector('dialog[open]')")
        for key in "123123":
            browser.press(key, "ArrowDown")
        assert "Every point" in browser.text("#message")
        finished(browser)
        begin(browser, port, "Ben")
        assert browser.text("#progress") == f"Ben: 0 of {POINTS} answered"
        for key in "1" * POINTS:
            browser.press(key, "ArrowDown")
        finished(browser)
        browser.press("s", "Enter")
        browser.until("!!document.querySelector('#outcome table')")
        browser.picture(tmp_path / f"hectares-{width}.png", whole=False)
        assert browser.text("#open-report") == "Open the report"
        browser.run("document.getElementById('compare').focus()")
        browser.press("Enter")
        browser.until("!!document.querySelector('#outcome button')")
        assert "kappa" in browser.text("#outcome")
        browser.picture(tmp_path / f"agreement-{width}.png", whole=False)
        assert browser.run("document.documentElement.scrollWidth") <= width
        number = browser.text("#outcome button")
        browser.run("document.querySelector('#outcome button').focus()")
        browser.press("Enter")
        assert browser.text("#where") == number
        begin(browser, port, "Ana")
        browser.press("s", "Enter")
        browser.until("!!document.querySelector('#outcome table')")
        shown = browser.run("[...document.querySelectorAll('#outcome tbody tr')].map((row) => row.innerText)")
        labels = {one["label"] for one in so_far(port)["answers"].values()}
        assert labels == set(CODES)
        refused = [one for one in browser.complaints() if "428" not in one]
        assert refused == []
        browser.open(f"http://127.0.0.1:{port}/label/report/0")
        browser.picture(tmp_path / f"report-{width}.png", whole=False)
        assert browser.run("getComputedStyle(document.querySelector('h1')).fontWeight") != ""
        assert [one for one in browser.complaints() if "favicon" not in one] == []
    report = json.loads((season.directory / "report-Ana" / "report.json").read_text())
    assert len(shown) == len(report["areas"])
    for row, one in zip(shown, report["areas"], strict=True):
        assert row.startswith(one["name"])
        digits = 1 if one["area_ha"] < 100 else 0
        assert f"{one['area_ha']:,.{digits}f}" in row
    saved = gpd.read_file(tmp_path / "points-Ana.gpkg")
    assert saved["label"].notna().all()
    assert "hedge" in saved["comment"].tolist()
