"""How a network computes does not change what it computes: precision, compilation, recomputed activations."""

import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.nn import functional

from agrifm.errors import ModelError
from agrifm.models.agrifm.network import AgriFM, AgriFMConfig, preset
from agrifm.models.agrifm.timeseries import ObservedSeries
from agrifm.models.precision import (
    compile_network,
    computing,
    precision_notes,
    recompute_blocks,
    warn_of_precision,
)

CPU = torch.device("cpu")
SIDE, FRAMES = 24, 8


def small_network(dated: bool = False) -> AgriFM:
    """Two sensors, shifted and padded windows, random weights; where `dated`, tokens know their dates and gaps."""
    torch.manual_seed(0)
    plain = preset("tiny", {"sentinel-2": 3, "landsat": 2}, classes=4, frames=FRAMES)
    encoder = {"embed_dim": 8, "depths": (2, 1, 1, 1), "heads": (1, 1, 2, 2), "dates": dated, "validity": dated}
    return AgriFM(AgriFMConfig.model_validate(plain.model_dump() | {"encoder": plain.encoder.model_dump() | encoder}))


def series() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "sentinel-2": torch.randn(2, FRAMES, 3, SIDE, SIDE, generator=generator),
        "landsat": torch.randn(2, FRAMES, 2, SIDE // 3, SIDE // 3, generator=generator),
    }


def observed_series() -> dict[str, ObservedSeries]:
    """The same numbers with gaps, dates, a band that one sample lacks, and a sample of fewer frames."""
    generator = torch.Generator().manual_seed(3)
    return {
        name: ObservedSeries(
            image=image,
            valid=torch.rand(2, FRAMES, *image.shape[-2:], generator=generator) < 0.6,
            day=10.0 * torch.arange(FRAMES).expand(2, FRAMES),
            first_day=torch.full((2,), 60.0),
            absent=torch.arange(2 * image.shape[2]).reshape(2, -1) == 0,
            frames=torch.tensor([FRAMES, FRAMES - 2]),
        )
        for name, image in series().items()
    }


Backend = Callable[[GraphModule, list[Tensor]], Callable[..., object]]


def counting(graphs: list[GraphModule]) -> Backend:
    """A compiler that only collects the graphs, and runs them as they are: PyTorch's eager backend, counted."""

    def backend(graph: GraphModule, _: list[Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    return backend


def gradients(network: AgriFM) -> dict[str, Tensor]:
    """Of a training step with dropped paths and dropped detail, whose random numbers are the same every time."""
    torch.manual_seed(2)
    target = torch.arange(2 * SIDE * SIDE).reshape(2, SIDE, SIDE) % 4
    functional.cross_entropy(network.train()(series()), target).backward()
    return {name: parameter.grad for name, parameter in network.named_parameters() if parameter.grad is not None}


def test_recomputed_activations_give_the_same_gradients() -> None:
    usual, recomputed = gradients(small_network()), gradients(recompute_blocks(small_network()))
    assert usual.keys() == recomputed.keys()
    for name, gradient in usual.items():
        torch.testing.assert_close(recomputed[name], gradient, rtol=1e-5, atol=1e-7)
    assert max(float(gradient.abs().max()) for gradient in usual.values()) > 1e-3


def test_recomputing_keeps_less_for_the_backward_pass() -> None:
    """Bytes that autograd saves inside the encoders, counted by its own hook; those that enter a block are not."""
    kept = {}
    for name, network in (("usual", small_network()), ("recomputed", recompute_blocks(small_network()))):
        saved: dict[int, int] = {}

        def keep(tensor: Tensor, saved: dict[int, int] = saved) -> Tensor:
            storage = tensor.untyped_storage()
            saved[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            network.train().encoders(series())
        kept[name] = sum(saved.values())
    assert kept["recomputed"] < 0.6 * kept["usual"]


def test_bfloat16_is_used_inside_and_gives_nearly_the_same_probabilities() -> None:
    network, images = small_network().eval(), series()
    types = []
    backbone = network.encoders.backbone
    assert backbone is not None
    backbone.layers[0].blocks[0].mlp.fc1.register_forward_hook(lambda _, __, output: types.append(output.dtype))
    found = {}
    for precision in ("float32", "bfloat16"):
        with torch.inference_mode(), computing(precision, CPU):
            found[precision] = network(images).float().softmax(dim=1)
    assert types == [torch.float32] * len(images) + [torch.bfloat16] * len(images)
    apart = (found["float32"] - found["bfloat16"]).abs().max()
    assert 0 < apart < 0.02  # bfloat16 has eight bits: 0.4 % per product


@pytest.mark.parametrize(
    ("precision", "device", "fact"),
    [
        ("float16", "cpu", "bfloat16"),
        ("float8", "cpu", "float32, bfloat16, float16"),
        ("float32", "cuda", "no GPU"),
    ],
)
def test_what_a_device_does_not_compute_in_is_refused(
    precision: str, device: str, fact: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match=fact):
        precision_notes(precision, torch.device(device))


def test_bfloat16_without_instructions_for_it_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    for native in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, native, lambda: False)
    with pytest.warns(UserWarning, match="no instructions"):
        warn_of_precision("bfloat16", CPU)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert precision_notes("bfloat16", CPU) == []


@pytest.mark.check
@pytest.mark.parametrize("images", [series(), observed_series()], ids=["plain", "observed"])
def test_the_compiler_sees_one_graph_without_breaks_and_the_same_numbers(
    images: Mapping[str, Tensor | ObservedSeries],
) -> None:
    """Every break would make one graph more. The graph, run as it is, gives the network's numbers bit by bit."""
    dated = isinstance(images["landsat"], ObservedSeries)
    graphs: list[GraphModule] = []
    usual, compiled = small_network(dated).eval(), small_network(dated).eval()
    compiled.compile(backend=counting(graphs), dynamic=False)
    with torch.inference_mode():
        assert torch.equal(compiled(images), usual(images))
    assert len(graphs) == 1
    assert compiled.state_dict().keys() == usual.state_dict().keys()


@pytest.mark.check
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # the compiler itself does so
def test_training_compiles_to_one_graph_with_the_same_gradients() -> None:
    graphs: list[GraphModule] = []
    compiled = small_network()
    compiled.compile(backend=counting(graphs), dynamic=False)
    usual, found = gradients(small_network()), gradients(compiled)
    assert usual.keys() == found.keys()
    assert all(torch.equal(found[name], gradient) for name, gradient in usual.items())
    assert len(graphs) == 1


@pytest.mark.check
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")  # within PyTorch
@pytest.mark.parametrize("images", [series(), observed_series()], ids=["plain", "observed"])
def test_a_compiled_network_gives_the_same_scores(images: Mapping[str, Tensor | ObservedSeries]) -> None:
    dated = isinstance(images["landsat"], ObservedSeries)
    try:
        compiled = compile_network(small_network(dated).eval())
    except ModelError as error:
        pytest.skip(str(error))
    with torch.inference_mode():
        torch.testing.assert_close(compiled(images), small_network(dated).eval()(images), rtol=1e-5, atol=1e-5)


def test_compiling_without_a_compiler_or_headers_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ModelError, match="no-such-compiler"):
        compile_network(small_network())
    monkeypatch.setenv("CXX", "true")  # a program that is there
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    with pytest.raises(ModelError, match=r"Python\.h"):
        compile_network(small_network())
