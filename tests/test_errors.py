"""Errors: their facts survive pickling and formatting, and a missing package is named with its extra."""

import pickle
import sys

import pytest

from agrifm.errors import AgriFMError, CubeError, LabelError, OutputError, did_you_mean, require_installed


@pytest.mark.parametrize("kind", [AgriFMError, CubeError, OutputError])
def test_an_error_keeps_its_sentence_and_facts_in_another_process(kind: type[AgriFMError]) -> None:
    error = pickle.loads(pickle.dumps(kind("reading: no band 'B8A'", band="B8A")))
    assert type(error) is kind
    assert str(error) == "reading: no band 'B8A'"
    assert error.facts == {"band": "B8A"}


def test_the_nearest_known_name_is_suggested() -> None:
    assert "'sentinel-2'" in did_you_mean("sentinel2", ["landsat", "sentinel-2"])
    assert did_you_mean("x", ["sentinel-2"], cutoff=0.4) == ""
    assert did_you_mean("x", []) == ""


def test_an_absent_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    require_installed("drawing", "report", "numpy")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(LabelError, match=r"agrifm\[report\]") as error:
        require_installed("drawing", "report", "numpy", "jinja2", kind=LabelError)
    assert error.value.facts == {"package": "jinja2"}
