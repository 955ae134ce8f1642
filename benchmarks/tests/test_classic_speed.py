"""The benchmark of classic models prints a rate for each model."""

import pytest
from classic_speed import main


def test_the_rate_is_of_the_area_and_the_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    main("--quick")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    found = {words[0]: float(words[1]) for words in lines if words and words[0] in ("logistic", "minirocket")}
    assert set(found) == {"logistic", "minirocket"}
    assert min(found.values()) > 0
