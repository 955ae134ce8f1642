"""The report: the published example from files to JSON, the page, scores of models and training parcels."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from io import BytesIO

import geopandas as gpd
import numpy as np
import pytest
from PIL import Image
from tests.assess.rasters import CROPS, crop_map, write_points, write_raster

from agrifm.assess.class_map import read_map
from agrifm.assess.page import (
    _chart,
    _hectares_interval,
    _percent_interval,
    format_hectares,
    format_percent,
    short_hectares,
)
from agrifm.assess.page_pictures import draw_maps
from agrifm.assess.report import assess
from agrifm.errors import AssessmentError, OutputError
from agrifm.legend import Legend
from agrifm.vectors import VectorKeys

OLOFSSON = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
SCORES = {
    "models": {
        name: {
            "overall_accuracy": accuracy,
            "overall_accuracy_interval": [accuracy - 0.1, accuracy + 0.1],
            "macro_f1": 0.7,
            "macro_f1_interval": [0.6, 0.8],
            "macro_f1_parcels": None,
            "counts": [[51, 2, 3], [4, 55, 6], [7, 8, 59]],
            "f1": {"1110": 0.81, "1121": 0.77},
        }
        for name, accuracy in (("agrifm", 0.91), ("random-forest", 0.83))
    },
    "majority_class": {"overall_accuracy": 0.52},
    "legend": CROPS.model_dump(),
    "scored": ["1110", "1121"],
    "blocks": {"train": 20, "validation": 4, "test": 6},
}


@pytest.fixture
def season(tmp_path):
    """A map of three classes and 90 labelled points of it, every tenth label wrong."""
    values = crop_map()
    generator = np.random.default_rng(5)
    places = [
        np.argwhere(values == number)[generator.permutation((values == number).sum())[:30]] for number in range(3)
    ]
    rows, cols = np.concatenate(places).T
    labels = [CROPS.codes[(values[r, c] + (i % 10 == 0)) % 3] for i, (r, c) in enumerate(zip(rows, cols, strict=True))]
    write_raster(tmp_path / "classes.tif", values, legend=CROPS, nodata=255)
    write_points(tmp_path / "points.gpkg", rows, cols, labels)
    return tmp_path


def run(season, **more):
    return assess(season / "classes.tif", season / "points.gpkg", "label", season / "report", **more)


def published_example(folder, first, legend=None):
    """The map and the points; its four classes are the pixel values from `first` on."""
    sizes = [200, 150, 3200, 6450]
    values = np.repeat(np.arange(first, first + 4, dtype=np.uint8), sizes).reshape(100, 100)
    crs = {"crs": "EPSG:3035", "side": 1000.0, "corner": (4_000_000, 3_000_000)}
    path = write_raster(folder / "m.tif", values, legend=legend, **crs)
    rows, cols, labels = [], [], []
    for i, counts in enumerate(OLOFSSON):
        where = np.argwhere(values == i + first)[: counts.sum()]
        rows, cols = [*rows, *where[:, 0]], [*cols, *where[:, 1]]
        labels += np.repeat(["1", "2", "3", "4"], counts).tolist()
    return path, write_points(folder / "p.gpkg", rows, cols, labels, **crs)


def test_merged_classes_are_estimated_over_the_strata_of_the_points(tmp_path):
    """Stable forest and stable land of Olofsson et al. 2014 as one class above both; the two changes have no parent.

    By hand, with strata of 20, 15, 320 and 645 thousand ha: 0, 20, 164 of 165 and 322 of 325 points are of the
    group. Its area is all but that of the two changes, and so has the standard error of their sum.
    """
    parents = [None, None, "stable", "stable"]
    names = ["Deforestation", "Forest gain", "Stable forest", "Stable non-forest"]
    classes = [
        {"code": str(i + 1), "name": name, "color": "#000000", "parent": parent}
        for i, (name, parent) in enumerate(zip(names, parents, strict=True))
    ]
    legend = Legend.model_validate({"classes": classes})
    report = assess(*published_example(tmp_path, first=0, legend=legend), "label", tmp_path / "out")
    (level,) = report["levels"]
    assert (level["level"], level["without_parent"]) == ("1 level up", ["1", "2"])
    assert level["confusion"]["codes"] == ["1", "2", "stable"]
    assert level["confusion"]["counts"] == [[66, 0, 9], [0, 55, 20], [3, 1, 486]]
    assert np.sum(level["confusion"]["area_shares"], 0)[2] == pytest.approx(0.96350676, abs=1e-8)
    assert level["overall_accuracy"]["estimate"] == pytest.approx(0.985707, abs=1e-6)
    stable = level["areas"][2]
    assert stable["classes"] == ["3", "4"]
    assert stable["mapped_ha"] == pytest.approx(965_000)
    assert stable["area_ha"] == pytest.approx(963_506.76, abs=0.01)
    assert stable["standard_error_ha"] == pytest.approx(4_082.87, abs=0.01)
    assert level["users_accuracy"][2]["estimate"] == pytest.approx(0.991820, abs=1e-6)
    # classes that are not merged keep their estimates
    for one in (0, 1):
        assert level["areas"][one]["area_ha"] == pytest.approx(report["areas"][one]["area_ha"])
        assert level["areas"][one]["standard_error_ha"] == pytest.approx(report["areas"][one]["standard_error_ha"])
    assert "Merged classes: 1 level up" in (tmp_path / "out" / "report.html").read_text()


def test_the_published_example_comes_out_of_files(tmp_path):
    """Olofsson et al. 2014: a raster with 2, 1.5, 32 and 64.5 percent of its pixels mapped to the four classes."""
    report = assess(*published_example(tmp_path, first=1), "label", tmp_path / "out")
    # 1000 pixels of the paper are one pixel of 100 ha here
    area = report["areas"][0]
    assert area["code"] == area["name"] == "1"
    assert area["mapped_ha"] == pytest.approx(20_000)
    assert area["area_ha"] == pytest.approx(23_508.6, abs=0.1)
    assert 1.96 * area["standard_error_ha"] == pytest.approx(6_841.8, abs=0.1)
    low, high = area["interval_ha"]
    assert 0 < low < area["area_ha"] < high
    assert round(report["overall_accuracy"]["estimate"], 2) == 0.95
    assert [round(entry["estimate"], 2) for entry in report["users_accuracy"]] == [0.88, 0.73, 0.93, 0.96]
    assert [round(entry["estimate"], 2) for entry in report["producers_accuracy"]] == [0.75, 0.85, 0.93, 0.96]
    assert report["confusion"]["codes"] == ["1", "2", "3", "4"]
    assert report["confusion"]["counts"] == OLOFSSON.tolist()
    assert "models" not in report


def test_the_json_on_disk_is_the_returned_report_and_has_its_form(season):
    report = run(season)
    written = json.loads((season / "report" / "report.json").read_text())
    assert written == report
    assert set(written["overall_accuracy"]) == {"estimate", "standard_error", "interval"}
    for key in ("users_accuracy", "producers_accuracy", "f1"):
        assert [entry["code"] for entry in written[key]] == ["1110", "1121", "other"]
        assert all({"code", "estimate", "standard_error"} <= set(entry) for entry in written[key])
    area_keys = {"code", "name", "mapped_ha", "area_ha", "standard_error_ha", "interval_ha"}
    assert all(set(entry) == area_keys for entry in written["areas"])
    assert [entry["name"] for entry in written["areas"]] == ["Maize", "Winter wheat", "Other land"]
    assert written["points"] == {
        "read": 90,
        "used": 90,
        "skipped": {"no label": 0, "no place": 0, "outside the map": 0, "on nodata": 0},
    }
    assert sum(area["area_ha"] for area in written["areas"]) == pytest.approx(45)
    assert written["nodata_ha"] == pytest.approx(3)
    assert written["warnings"] == []
    assert written["provenance"]["crs"] == "EPSG:32631"
    digests = {
        name: hashlib.sha256((season / name).read_bytes()).hexdigest() for name in ("classes.tif", "points.gpkg")
    }
    assert written["provenance"]["sha256"] == digests
    assert json.loads((season / "report" / ".agrifm.json").read_text())["kind"] == "report"


def test_undefined_accuracies_are_null(tmp_path):
    write_raster(tmp_path / "m.tif", np.repeat(np.array([[0, 1]], np.uint8), 20, 0), legend=CROPS)
    write_points(tmp_path / "p.gpkg", [0, 1, 2, 3, 4], [0, 0, 1, 1, 1], ["1110", "other", "1110", "1110", "1110"])
    report = assess(tmp_path / "m.tif", tmp_path / "p.gpkg", "label", tmp_path / "out")
    users, producers = report["users_accuracy"], report["producers_accuracy"]
    assert users[2] == {"code": "other", "estimate": None, "standard_error": None, "interval": None}
    assert producers[1] == {"code": "1121", "estimate": None, "standard_error": None, "interval": None}
    assert ">–</td>" in (tmp_path / "out" / "report.html").read_text()


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.open += [] if tag in {"meta", "img", "input", "br"} else [tag]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["style"], ["title"]):
            self.text.append(data)

    def find(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def test_the_page_is_whole_and_needs_nothing_from_outside(season):
    run(season)
    path = season / "report" / "report.html"
    page = Page(path.read_text(encoding="utf-8"))
    assert page.open == []
    assert path.stat().st_size <= 5_000_000
    assert not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in page.elements}
    outside = [value for _, found in page.elements for key, value in found.items() if key in {"href", "src", "srcset"}]
    assert all(value.startswith("data:image/png;base64,") for value in outside)
    assert len(page.find("img")) == 2 * 3  # the small and the large map, each of three classes
    assert all(len(image["alt"]) > 3 for image in page.find("img"))
    assert all(one["aria-label"] for _, one in page.elements if one.get("role") == "img")
    identities = [one["id"] for _, one in page.elements if "id" in one]
    assert len(identities) == len(set(identities)) == 3


def test_each_class_can_be_hidden_and_hides_its_layers_alone(season):
    run(season)
    text = (season / "report" / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    for number in range(3):
        assert re.search(rf"main:has\(#show{number}:not\(:checked\)\) \.l{number} {{ display: none; }}", text)
        assert sum(f"l{number}" in image["class"].split() for image in page.find("img")) == 2
    assert [(box["type"], "checked" in box) for box in page.find("input")] == [("checkbox", True)] * 3


def test_the_layers_together_are_the_map(season):
    run(season)
    page = Page((season / "report" / "report.html").read_text(encoding="utf-8"))
    values, painted = crop_map(), np.full(crop_map().shape, 255)
    for image in page.find("img")[3:]:
        with Image.open(BytesIO(base64.b64decode(image["src"].partition(",")[2]))) as layer:
            colors = np.array(layer.convert("RGBA"))
        inside = colors[..., 3] == 255
        number = int(image["class"].split()[-1][1:])
        assert (colors[inside, :3] == list(bytes.fromhex(CROPS.classes[number].color[1:]))).all()
        assert (painted[inside] == 255).all()
        painted[inside] = number
    assert (painted == values).all()


def test_the_page_has_rules_for_phones_and_for_paper(season):
    run(season)
    page = (season / "report" / "report.html").read_text(encoding="utf-8")
    assert "@media print" in page
    assert "@page" in page
    assert "@media (max-width" in page
    assert 'name="viewport"' in page


def test_nothing_is_warned_of_in_colour_if_nothing_is_wrong(season):
    report = run(season)
    page = Page((season / "report" / "report.html").read_text(encoding="utf-8"))
    assert report["warnings"] == []
    assert not [one for _, one in page.elements if "warning" in one.get("class", "")]


def test_no_number_is_said_to_be_certain(tmp_path):
    """Every point agrees with the map, on 30 of many pixels of each class."""
    values = np.repeat(np.arange(3, dtype=np.uint8), 40)[:, None] * np.ones(50, np.uint8)
    write_raster(tmp_path / "m.tif", values, legend=CROPS)
    rows = np.concatenate([np.arange(30) + 40 * number for number in range(3)])
    write_points(tmp_path / "p.gpkg", rows, np.full(90, 7), np.repeat(CROPS.codes, 30))
    report = assess(tmp_path / "m.tif", tmp_path / "p.gpkg", "label", tmp_path / "out")
    assert report["overall_accuracy"]["estimate"] == 1
    assert report["overall_accuracy"]["interval"][0] < 0.99
    text = " ".join(Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8")).text).replace("\xa0", " ")
    assert "100.0 % (" in text
    assert not re.search(r"100(\.0+)? % (\(100(\.0+)? %|± 0)", text)
    assert not re.search(r"([\d.,]+( %)?) to \1(?![\d.,])", text)
    assert not re.search(r"± ?0|(?<!\.)\b0\.00?\b(?! ?%| ha without a class)", text)


@pytest.mark.check  # half a minute: every class of a map of noise is drawn again at each size
def test_a_large_and_busy_map_still_makes_a_page_that_can_be_sent(tmp_path):
    values = np.random.default_rng(0).integers(0, 24, (1600, 1500)).astype(np.uint8)
    path = write_raster(tmp_path / "m.tif", values)
    small, large = draw_maps(read_map(path), read_map(path).legend.classes, path)
    assert len(large[0].layers) == len(large[1].layers) == 24
    assert small.characters + sum(picture.characters for picture in large) < 4.5e6


def test_a_map_of_many_classes_is_one_picture(tmp_path):
    values = np.arange(100, dtype=np.uint8).reshape(10, 10)
    path = write_raster(tmp_path / "m.tif", values)
    small, _ = draw_maps(read_map(path), read_map(path).legend.classes, None)
    assert len(small.layers) == 1
    assert small.layers[0].number < 0


def test_an_interval_as_narrow_as_its_rounding_has_more_decimals():
    assert _percent_interval([0.99951, 0.99999], 1) == "99.95\xa0%\xa0to\xa0100.00\xa0%"
    area = {"area_ha": 12345.0, "interval_ha": [12344.9, 12345.2]}
    assert _hectares_interval(area) == "12,344.9\xa0to\xa012,345.2"
    assert not any(digit in _percent_interval([1.0, 1.0]) for digit in "0123456789")


def test_the_page_says_the_headline_and_the_sentence_on_trust(season):
    report = run(season, scores=None)
    page = (season / "report" / "report.html").read_text()
    assert report["trust"]["sentence"] in page
    crop = max(report["areas"][:2], key=lambda area: area["area_ha"])
    headline = re.search(r"<h1>(.*)</h1>", page).group(1).replace("\xa0", " ")
    (low, high), interval = crop["interval_ha"], report["overall_accuracy"]["interval"]
    overall = report["overall_accuracy"]
    expected = f"{crop['name']}: {crop['area_ha']:.1f} ha ({low:.1f} to {high:.1f}); map accuracy "
    expected += f"{100 * overall['estimate']:.0f} % ({100 * interval[0]:.0f} % to {100 * interval[1]:.0f} %)"
    assert headline == expected
    assert "Olofsson" in page


def test_tables_have_headers(season):
    run(season)
    page = (season / "report" / "report.html").read_text()
    for table in re.findall(r"<table.*?</table>", page, re.S):
        assert "<caption" in table
        assert 'scope="col"' in table
        assert 'scope="row"' in table


def test_confidence_and_truth_are_shown_when_there(season):
    write_raster(season / "confidence.tif", np.where(crop_map() == 255, 255, 80).astype(np.uint8), nodata=255)
    write_raster(season / "truth.tif", crop_map(seed=1), legend=CROPS)
    run(season, truth=season / "truth.tif")
    page = (season / "report" / "report.html").read_text()
    assert re.findall(r"<h3>(The map|The truth|Confidence of the map)</h3>", page) == [
        "The map",
        "The truth",
        "Confidence of the map",
    ]
    assert page.count("data:image/png;base64,") == 3 + 3 + 3 + 1


def test_the_certainty_of_a_map_is_shown_with_its_key(season):
    levels = Legend.of(["certain", "two", "unknown"], {"certain": "Certain", "two": "Two", "unknown": "Unknown"})
    values = np.where(crop_map() == 255, 255, crop_map() % 3).astype(np.uint8)
    write_raster(season / "certainty.tif", values, legend=levels, nodata=255)
    run(season)
    page = (season / "report" / "report.html").read_text()
    assert re.findall(r"<h3>(The map|How certain the class is)</h3>", page) == ["The map", "How certain the class is"]
    assert all(f"background: {entry.color}" in page for entry in levels.classes)


def test_what_the_map_states_of_unlike_land_is_in_the_report(season):
    stated = {"outside_share": 0.25, "threshold": 0.7, "name": "no number"}
    item = {"properties": {"agrifm:applicability": stated}}
    (season / "item.json").write_text(json.dumps(item))
    report = run(season)
    assert report["map_states"] == {"applicability": {"outside_share": 0.25, "threshold": 0.7}}
    assert len([warning for warning in report["warnings"] if "25 %" in warning]) == 1


def test_names_are_escaped_in_the_page(season):
    legend = Legend.of(["a", "b", "c"], {"a": "<b>Maize & co</b>", "b": "b", "c": "c"})
    values = crop_map()
    write_raster(season / "classes.tif", values, legend=legend, nodata=255)
    places = np.concatenate([np.argwhere(values == number)[:12] for number in range(3)])
    write_points(season / "points.gpkg", *places.T, np.repeat(["a", "b", "c"], 12))
    run(season)
    page = (season / "report" / "report.html").read_text()
    assert "<b>Maize" not in page
    assert "&lt;b&gt;Maize &amp; co&lt;/b&gt;" in page


def test_models_stand_side_by_side_with_intervals_and_matrices(season):
    (season / "scores.json").write_text(json.dumps(SCORES))
    report = run(season, scores=season / "scores.json")
    page = (season / "report" / "report.html").read_text()
    assert {name: model["overall_accuracy"] for name, model in report["models"].items()} == {
        "agrifm": 0.91,
        "random-forest": 0.83,
    }
    assert report["models"]["agrifm"]["macro_f1"] == 0.7
    assert report["unseen_blocks"]["blocks"]["test"] == 6
    assert "0.91 (0.81 to 1.01)" in page
    assert "0.83 (0.73 to 0.93)" in page
    assert page.count(">59</td>") == 2
    assert "6 of 30 blocks" in page


def test_scores_with_the_two_numbers_only_are_enough(season):
    bare = {"models": {"agrifm": {"overall_accuracy": 0.9, "macro_f1": float("nan")}}}
    (season / "scores.json").write_text(json.dumps(bare))
    report = run(season, scores=season / "scores.json")
    assert report["models"] == {"agrifm": {"overall_accuracy": 0.9, "macro_f1": None}}


@pytest.mark.parametrize("content", [None, "[1]", '{"models": {"agrifm": {"macro_f1": 1}}}'])
def test_scores_that_cannot_be_used_are_refused(season, content):
    if content:
        (season / "scores.json").write_text(content)
    with pytest.raises(AssessmentError) as error:
        run(season, scores=season / "scores.json")
    assert error.value.facts == {"path": season / "scores.json"}


def parcels_around(season, number):
    points = gpd.read_file(season / "points.gpkg").geometry[:number]
    gpd.GeoDataFrame({"crop": ["1110"] * number}, geometry=points.buffer(3), crs=points.crs).to_file(season / "t.gpkg")
    return season / "t.gpkg"


def test_points_inside_training_parcels_are_warned_of(season):
    report = run(season, training=parcels_around(season, 7))
    assert report["warnings"][0].startswith("7 of 90")
    assert report["warnings"][0] in (season / "report" / "report.html").read_text()


def test_what_the_file_of_training_parcels_does_not_say_is_stated(season):
    parcels = parcels_around(season, 7)
    frame = gpd.read_file(parcels)
    frame.iloc[:3].to_file(parcels, layer="some", engine="pyogrio")
    with pytest.raises(AssessmentError) as error:
        run(season, training=parcels)
    assert "some" in error.value.facts["layers"]
    report = run(season, training=parcels, training_keys=VectorKeys(layer="some"))
    assert any(warning.startswith("3 of") for warning in report["warnings"])


def test_the_training_parcels_are_found_through_the_map_and_its_model(season):
    model = season / "models" / "agrifm"
    model.mkdir(parents=True)
    link = {"rel": "derived_from", "href": "./models/agrifm/item.json"}
    (season / "item.json").write_text(json.dumps({"links": [{"rel": "self", "href": "./item.json"}, link]}))
    assets = {"weights": {"href": "w"}, "labels": {"href": "../../t.gpkg", "roles": ["data", "training-data"]}}
    (model / "item.json").write_text(json.dumps({"assets": assets}))
    assert "t.gpkg" in run(season)["warnings"][0]
    parcels_around(season, 4)
    assert run(season)["warnings"][0].startswith("4 of 90")
    (season / "item.json").write_text(
        json.dumps({"links": [{"rel": "derived_from", "href": "https://example.org/i.json"}]})
    )
    assert run(season)["warnings"] == []


def test_a_model_that_was_replaced_after_the_map_was_made_is_said(season):
    (season / "models").mkdir()
    weights = season / "models" / "agrifm.safetensors"
    weights.write_bytes(b"weights of the map")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    links = [{"rel": "derived_from", "href": "./models/agrifm.json"}]
    item = {"links": links, "properties": {"agrifm:model_sha256": digest}}
    (season / "item.json").write_text(json.dumps(item))
    assets = {"model": {"href": "./agrifm.safetensors", "roles": ["mlm:model"]}}
    (season / "models" / "agrifm.json").write_text(json.dumps({"assets": assets}))
    assert run(season)["warnings"] == []
    weights.write_bytes(b"weights of another")
    (warning,) = run(season)["warnings"]
    assert "agrifm.safetensors" in warning


@pytest.mark.parametrize("changed", [None, "agrifm.safetensors", "classic.skops", "best.json"])
def test_a_changed_mean_or_member_of_a_mean_is_said(season, changed):
    models = season / "models"
    models.mkdir()
    members, assets = [], {}
    for name in ("agrifm.safetensors", "classic.skops"):
        (models / name).write_bytes(name.encode())
        members.append({"file": name, "sha256": hashlib.sha256(name.encode()).hexdigest()})
        assets[name] = {"href": f"./{name}", "roles": ["mlm:model"]}
    mean = {"assets": assets, "properties": {"agrifm:mean": {"members": members}}}
    (models / "best.json").write_text(json.dumps(mean))
    digest = hashlib.sha256((models / "best.json").read_bytes()).hexdigest()
    links = [{"rel": "derived_from", "href": "./models/best.json"}]
    (season / "item.json").write_text(json.dumps({"links": links, "properties": {"agrifm:model_sha256": digest}}))
    if changed:
        with (models / changed).open("ab") as file:
            file.write(b" ")
    warnings = run(season)["warnings"]
    assert len(warnings) == (changed is not None)
    assert all(changed in warning for warning in warnings)


def test_training_parcels_that_were_named_must_be_readable(season):
    with pytest.raises(AssessmentError, match=r"absent\.gpkg"):
        run(season, training=season / "absent.gpkg")


def test_a_directory_that_is_not_a_report_is_refused_before_any_work(season):
    (season / "report").mkdir()
    (season / "report" / "thesis.txt").write_text("years")
    with pytest.raises(OutputError, match="agrifm did not"):
        assess(season / "absent.tif", season / "points.gpkg", "label", season / "report")


def test_files_that_somebody_keeps_in_a_report_are_not_lost(season):
    run(season)
    run(season)  # an earlier report alone is replaced
    (season / "report" / "labels.gpkg").write_text("weeks of work")
    with pytest.raises(OutputError) as error:
        run(season)
    assert error.value.facts == {"files": ["labels.gpkg"]}
    assert (season / "report" / "labels.gpkg").read_text() == "weeks of work"


def test_a_refused_assessment_leaves_the_earlier_report_whole(season):
    run(season)
    before = (season / "report" / "report.json").read_bytes()
    write_points(season / "points.gpkg", [0], [6], ["1110"])
    with pytest.raises(AssessmentError, match="label more points"):
        run(season)
    assert (season / "report" / "report.json").read_bytes() == before
    assert not (season / "report.partial").exists()


def test_maps_in_degrees_and_running_northwards_get_a_report(tmp_path):
    write_raster(tmp_path / "m.tif", crop_map(), crs="EPSG:4326", side=0.0001, corner=(4, 50), legend=CROPS, nodata=255)
    places = np.concatenate([np.argwhere(crop_map() == number)[:12] for number in range(3)])
    labels = np.repeat(CROPS.codes, 12)
    write_points(tmp_path / "p.gpkg", *places.T, labels, crs="EPSG:4326", side=0.0001, corner=(4, 50))
    north = assess(tmp_path / "m.tif", tmp_path / "p.gpkg", "label", tmp_path / "north")
    flipped = crop_map()[::-1].copy()
    write_raster(tmp_path / "f.tif", flipped, crs="EPSG:4326", side=0.0001, corner=(4, 50), legend=CROPS, nodata=255)
    import rasterio
    from affine import Affine

    with rasterio.open(tmp_path / "f.tif", "r+") as file:
        file.transform = Affine(0.0001, 0, 4, 0, 0.0001, 50 - 60 * 0.0001)
    south = assess(tmp_path / "f.tif", tmp_path / "p.gpkg", "label", tmp_path / "south")
    assert [area["area_ha"] for area in south["areas"]] == pytest.approx([area["area_ha"] for area in north["areas"]])
    pictures = [
        re.search(r"base64,([^\"]+)", (tmp_path / name / "report.html").read_text()).group(1)
        for name in ("north", "south")
    ]
    assert pictures[0] == pictures[1]


def test_the_chart_holds_every_interval_and_starts_at_or_below_zero():
    areas = [
        {"area_ha": 10, "mapped_ha": 30, "interval_ha": [-6, 26]},
        {"area_ha": 90, "mapped_ha": 80, "interval_ha": [70, 110]},
    ]
    chart = _chart(areas)
    for bar in chart["bars"]:
        assert 0 <= bar["low"] <= bar["low"] + bar["span"] <= 100
        assert 0 <= bar["mapped"] <= 100
    assert chart["bars"][0]["low"] == 0
    assert chart["bars"][0]["zero"] > 0
    assert [text for _, text in chart["ticks"]] == ["0", "50", "100"]


def test_numbers_are_written_with_sensible_decimals():
    assert [format_hectares(value) for value in (1234.5, 61.24, 4.123, -7.5)] == ["1,234", "61.2", "4.12", "−7.50"]
    assert format_hectares(3.21, 412) == "3"
    short = [short_hectares(value).replace("\xa0", " ") for value in (51_742_162, 1_234_567, 123_456, 1234.5, 61.24)]
    assert short == ["51.7 million", "1.23 million", "123,000", "1,230", "61.2"]
    assert short_hectares(51_742_162, None, 1).replace("\xa0", " ") == "51.74 million"
    assert format_percent(0.874) == "87\xa0%"
    assert format_percent(None) == "–"


def test_assessing_does_not_import_torch(season):
    code = (
        "import sys; from pathlib import Path; from agrifm.assess.report import assess; d = Path(sys.argv[1]); "
        "assess(d / 'classes.tif', d / 'points.gpkg', 'label', d / 'new'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(season)], check=True)
