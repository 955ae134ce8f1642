"""What decides a class is read from the table of an explanation."""

import pytest

from agrifm.serve.deciding import deciding

HEAD = "kind,name,class,method,unit,sensor,band,start,end,contribution,low,high,pixels,blocks"
ROWS = """class,wheat,1,occlusion,probability,all,all,2024-04-01,2024-04-30,0.1,,,9,3
class,wheat,1,occlusion,probability,all,all,2024-05-01,2024-05-31,0.3,,,9,3
class,wheat,1,occlusion,probability,all,all,2024-06-01,2024-06-30,-0.2,,,9,3
class,wheat,1,occlusion,probability,sentinel-2,B08,2024-04-01,2024-06-30,0.05,,,9,3
class,wheat,1,occlusion,probability,sentinel-2,B04,2024-04-01,2024-06-30,0.07,,,9,3
class,wheat,1,occlusion,probability,sentinel-2,B04,2024-05-01,2024-05-31,0.9,,,9,3
class,wheat,1,occlusion,"log probability, nats",all,all,2024-04-01,2024-04-30,7,,,9,3
class,wheat,1,integrated gradients,"log probability, nats",all,all,2024-04-01,2024-06-30,8,,,9,3
parcel,p1,1,occlusion,probability,all,all,2024-04-01,2024-04-30,0.8,,,9,3
class,maize,2,occlusion,probability,all,all,2024-04-01,2024-04-30,,,,0,0"""


def test_the_strongest_periods_and_bands_come_first(tmp_path):
    (tmp_path / "contributions.csv").write_text(f"{HEAD}\n{ROWS}\n")
    missing = {}
    found = deciding(tmp_path, missing)
    assert [(one["start"], one["effect"]) for one in found["1"]["periods"]] == [
        ("2024-05-01", 0.3),
        ("2024-04-01", 0.1),
    ]
    assert [(one["band"], one["effect"]) for one in found["1"]["bands"]] == [("B04", 0.07), ("B08", 0.05)]
    assert found["2"] == {"periods": [], "bands": []}
    assert missing == {}


@pytest.mark.parametrize("content", ["kind,name\nclass,x\n", f"{HEAD}\n{ROWS}".replace("0.3", "much")])
def test_a_damaged_table_is_named(tmp_path, content):
    (tmp_path / "contributions.csv").write_text(content)
    missing = {}
    assert deciding(tmp_path, missing) == {}
    assert "contributions.csv" in missing["What decides"]
