"""A process's peak of memory is its own."""

import subprocess
import sys

import numpy as np
import pytest

from agrifm.process_memory import peak_bytes

LARGE = 400_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of getrusage is inherited on Linux alone")
def test_the_peak_is_not_that_of_the_program_that_started_it() -> None:
    held = np.ones(LARGE, np.uint8)
    assert peak_bytes() > LARGE
    script = "from agrifm.process_memory import peak_bytes; print(peak_bytes())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) < held.nbytes / 2
