"""The GPU benchmark on a processor: it fills batches, knows cards by name, and runs to its end."""

from pathlib import Path

import gpu
import pytest
import torch
from gpu import data_sheet, most_samples

MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB."


def test_the_batch_is_doubled_until_memory_is_full() -> None:
    tried = []

    def attempt(samples: int) -> None:
        tried.append(samples)
        if samples > 11:
            raise torch.OutOfMemoryError(MEMORY)

    assert most_samples(attempt, 4096) == (8, "16: CUDA out of memory")
    assert tried == [1, 2, 4, 8, 16]
    assert most_samples(tried.append, 4)[0] == 4


def test_a_single_sample_that_does_not_fit_is_an_error() -> None:
    def attempt(_: int) -> None:
        raise torch.OutOfMemoryError(MEMORY)

    with pytest.raises(torch.OutOfMemoryError):
        most_samples(attempt, 4)


def test_cards_are_known_by_a_part_of_their_name() -> None:
    assert data_sheet("NVIDIA A100-SXM4-80GB") == 312e12
    assert data_sheet("NVIDIA H100 80GB HBM3") == 989e12
    assert data_sheet("NVIDIA H100 PCIe") is None


@pytest.mark.check
def test_it_runs_on_a_processor(tmp_path: Path) -> None:
    gpu.main("--device", "cpu", "--quick", "--out", tmp_path)
    text = next(tmp_path.iterdir()).read_text("utf-8")
    assert text.count("2 samples are the most") == 4
    assert text.count("aten::") >= 5


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_it_says_what_to_do() -> None:
    with pytest.raises(SystemExit, match="--device cpu --quick"):
        gpu.main("--preset", "tiny")
