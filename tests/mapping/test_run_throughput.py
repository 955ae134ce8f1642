import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "map_throughput.py"


@pytest.mark.check
def test_the_throughput_benchmark_runs_and_states_what_it_measured(tmp_path):
    small = ["--sides", "0.96", "1.92", "--frames", "3", "--steps", "4", "--window", "96", "--overlap", "0"]
    subprocess.run([sys.executable, BENCHMARK, *small, "--out", tmp_path], check=True, capture_output=True)
    (result,) = tmp_path.iterdir()
    text = result.read_text()
    assert result.name.endswith("-map-throughput.txt")
    for word in ("date", "hardware", "versions", "km2/min", "peak GB", "memory of the largest", "network"):
        assert word in text
