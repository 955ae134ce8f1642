"""Time and memory of a pass: small networks, whose weights and steps are known."""

from measure import Subject, measured, seconds

from agrifm.models.agrifm.network import AgriFM, preset

TINY = preset("tiny", {"sentinel-2": 2}, classes=3, frames=4)


def test_a_process_of_its_own_measures_time_and_memory() -> None:
    """Weights alone are about 4 bytes each; in training a gradient and two means come to them."""
    found = measured(TINY, 4, 16, 1, "training", runs=1)
    weights = sum(parameter.numel() for parameter in AgriFM(TINY).parameters())
    assert 8 * weights < found.peak < 2e9
    assert found.seconds > 0


def test_a_training_step_changes_the_weights_and_a_forward_pass_does_not() -> None:
    for kind in ("forward", "training"):
        subject = Subject(TINY, 4, 16, 1, kind)
        before = subject.network.decoder.head.weight.clone()
        subject.run()
        assert bool((subject.network.decoder.head.weight == before).all()) == (kind == "forward")


def test_networks_that_take_turns_are_timed_one_by_one() -> None:
    wider = preset("tiny", {"sentinel-2": 2, "landsat": 2}, classes=3, frames=4)
    found = seconds({"one": TINY, "two": wider}, 4, 48, 1, "forward", runs=2)
    assert set(found) == {"one", "two"}
    assert all(value > 0 for value in found.values())
