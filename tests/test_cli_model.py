"""`agrifm model …`: one look, there and back, and beside a cube, from the command line."""

from pathlib import Path

import pytest

from agrifm.cli import main
from tests.models.weights.weight_files import weight_files
from tests.toy import toy_project


def test_weights_go_from_a_download_to_a_check_with_a_cube(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    downloaded = weight_files()["distributed.pth"].write(tmp_path)
    kept = tmp_path / "kept.safetensors"
    assert main(["model", "info", str(downloaded)]) == 0
    assert "distributed weights" in capsys.readouterr().out
    assert main(["model", "convert", str(downloaded), str(kept)]) == 2
    assert "agrifm model convert: converting" in capsys.readouterr().err
    assert main(["model", "convert", str(downloaded), str(kept), "--bands", "10m-first"]) == 0
    assert "B02, B03, B04, B08, B05" in capsys.readouterr().out
    assert main(["model", "info", str(kept)]) == 0
    assert "converted weights, from distributed.pth" in capsys.readouterr().out
    cube = toy_project(tmp_path / "toy").cube
    assert main(["model", "check", str(kept), str(cube)]) == 2
    assert "has no band 'B02'" in capsys.readouterr().err


def test_a_window_is_stated_as_three_numbers(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = weight_files()["plain.safetensors"].write(tmp_path)
    assert main(["model", "info", str(path)]) == 2
    assert "--window T,H,W" in capsys.readouterr().err
    assert main(["model", "info", str(path), "--window", "2,3,3"]) == 0
    assert "2 x 3 x 3 tokens" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["model", "info", str(path), "--window", "2,3"])
    assert "write them as 8,7,7" in capsys.readouterr().err
