"""The file of a pretraining."""

from pathlib import Path

import pytest

from agrifm.cli import main
from agrifm.errors import ConfigError
from agrifm.train.pretrain_config import read_pretraining


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[terms]\nfraction = 1", "fraction"),
        ("[terms]\nfractions = -1", "-1"),
        ("[terms]\nfractions = 0", "weight 0"),
        ("averaging = 0", "averaging"),
        ("frames = 2", "frames"),
        ("step = 3", "step"),
        ("steps = ", "TOML"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key(tmp_path: Path, text: str, part: str):
    (tmp_path / "pretrain.toml").write_text(text)
    with pytest.raises(ConfigError) as error:
        read_pretraining(tmp_path)
    assert part in str(error.value) or error.value.facts["path"] == tmp_path / "pretrain.toml"


def test_the_command_needs_a_file_and_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["pretrain", str(tmp_path)]) == 2
    assert "pretrain.toml" in capsys.readouterr().err
    (tmp_path / "pretrain.toml").write_text('out = "weights.pt"\n')
    assert main(["pretrain", str(tmp_path)]) == 2
    assert "weights.pt" in capsys.readouterr().err
    (tmp_path / "pretrain.toml").write_text("steps = 2\n")
    assert main(["pretrain", str(tmp_path)]) == 2
    assert "[world]" in capsys.readouterr().err
