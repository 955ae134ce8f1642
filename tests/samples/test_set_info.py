"""`agrifm samples info` of the folder of a public set: its name, licence and counts, or one sentence."""

from pathlib import Path

import numpy as np
import pytest
from tests.samples.public.test_eurocropsml import write_set as write_eurocropsml
from tests.samples.public.test_pastis import write_set as write_pastis
from tests.samples.public.test_registry import write_pastis24

from agrifm.cli import main
from agrifm.errors import LabelError
from agrifm.samples.public.registry import PUBLIC_SETS
from agrifm.samples.set_info import parsed_choices
from agrifm.samples.table_info import samples_info


def test_a_set_of_windows_is_counted_by_class_and_division(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["samples", "info", str(write_pastis(tmp_path))]) == 0
    lines = capsys.readouterr().out.splitlines()
    facts = PUBLIC_SETS["pastis"].facts
    assert "'pastis'" in lines[0]
    assert "5 windows" in lines[0]
    assert f"licence: {facts.licence}" in lines
    assert f"citation: {facts.citation}" in lines
    assert "official division 'fold 2': train 3, validation 1, test 1 windows" in lines
    # every patch: 64 rows of its class, 36 of void, 28 of background
    assert "class 0 (Background): 17920 pixels in 5 windows" in lines
    assert "class 3 (Corn): 8192 pixels in 1 windows" in lines
    assert "unlabelled: 28% of the pixels" in lines  # 36 of 128
    assert "of all windows: 128 x 128 pixels, 3 to 3 dates of a sensor, 2018-09-20 to 2018-10-05" in lines


def test_choices_are_given_to_the_reader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pastis(tmp_path)
    assert main(["samples", "info", str(tmp_path), "--choice", "side=64", "--choice", "bands=B04,B08"]) == 0
    shown = capsys.readouterr().out
    assert "20 windows" in shown
    assert "sentinel-2: B04, B08 " in shown
    with pytest.raises(LabelError) as error:
        samples_info(tmp_path, choices={"sides": 64})
    assert error.value.facts["choice"] == "sides"
    with pytest.raises(LabelError) as unreadable:
        parsed_choices(["side"])
    assert unreadable.value.facts["key"] == "side"
    assert parsed_choices(["a=1", "b=x,2.5"]) == {"a": 1, "b": ("x", 2.5)}
    assert parsed_choices(["bands=B04,"]) == {"bands": ("B04",)}


def test_a_set_of_places_is_described_as_a_table_and_drawn(tmp_path: Path) -> None:
    write_eurocropsml(tmp_path / "set")
    picture = tmp_path / "set.png"
    lines = samples_info(tmp_path / "set", picture=picture)
    assert "'eurocropsml'" in lines[0]
    assert any(line.startswith("class ") and "places in" in line for line in lines)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_lost_or_damaged_file_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pastis(tmp_path)
    image = tmp_path / "DATA_S2" / "S2_10003.npy"
    whole = image.read_bytes()
    image.write_bytes(whole[:1000])
    for wanted in (image, tmp_path / "ANNOTATIONS" / "TARGET_10002.npy"):
        assert main(["samples", "info", str(tmp_path)]) == 2
        sentence = capsys.readouterr().err.splitlines()[-1]
        assert str(wanted) in sentence
        assert "Traceback" not in sentence
        image.write_bytes(whole)
        (tmp_path / "ANNOTATIONS" / "TARGET_10002.npy").unlink(missing_ok=True)
    np.save(tmp_path / "ANNOTATIONS" / "TARGET_10002.npy", np.full((3, 128, 128), 77, np.uint8))
    with pytest.raises(LabelError) as error:
        samples_info(tmp_path)
    assert error.value.facts["code"] == 77


def test_folders_of_no_set_and_of_a_refused_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(LabelError) as error:
        samples_info(tmp_path)
    assert error.value.facts["known"] == list(PUBLIC_SETS)
    write_pastis24(tmp_path)
    with pytest.raises(LabelError) as refused:
        samples_info(tmp_path)
    assert refused.value.facts["set"] == "PASTIS24"


def test_a_picture_of_windows_is_refused(tmp_path: Path) -> None:
    write_pastis(tmp_path)
    with pytest.raises(LabelError) as error:
        samples_info(tmp_path, picture=tmp_path / "set.png")
    assert error.value.facts["path"] == tmp_path
