"""Vectors of a network: those of a window, and those of single pixels where a model knows no neighbours."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.inference.test_predictor import changed, make_model, make_sample

from agrifm.errors import ModelError
from agrifm.inference.embeddings import network_vectors, require_vectors, vector_size
from agrifm.inference.pixels import pixel_groups
from agrifm.inference.predictor import TorchModel
from agrifm.inference.tensors import tensor_batch


def test_the_last_layer_makes_the_probabilities_of_the_vectors() -> None:
    model, sample = make_model("observed"), make_sample("observed")
    vectors = network_vectors(model, sample)
    assert vectors.shape == (vector_size(model), *sample.label.shape)
    known = sample.any_valid
    assert np.isnan(vectors).any(axis=0).tolist() == (~known).tolist()
    head = model.classifier.network.decoder.head
    with torch.inference_mode():
        logits = head(torch.from_numpy(np.nan_to_num(vectors))[None])[0]
    found = torch.softmax(logits, dim=0).numpy()
    np.testing.assert_allclose(found[:, known], model.probabilities(sample)[:, known], atol=1e-5)


def test_a_model_of_single_pixels_has_the_vectors_of_each_alone() -> None:
    model, sample = make_model("observed"), make_sample("observed")
    for name, series in sample.series.items():  # a corner is enough
        side = series.valid.shape[1] // 4
        inside = np.zeros(series.valid.shape[1:], bool)
        inside[:side, :side] = True
        sample = changed(sample, name, valid=series.valid & inside)
    alone = TorchModel(model.record.model_copy(update={"side": 1}), model.classifier)
    vectors = network_vectors(alone, sample).reshape(vector_size(alone), -1)
    seen = np.zeros(vectors.shape[1], bool)
    for samples, chosen in pixel_groups(sample, 7):
        batch = tensor_batch(samples, alone.record.sensors, alone.record.absent_sensors)
        with torch.inference_mode():
            expected = alone.classifier.network.features(alone.classifier.network_input(batch))[:, :, 0, 0]
        np.testing.assert_allclose(vectors[:, chosen].T, expected.numpy(), atol=1e-5)
        seen[chosen] = True
    assert np.isnan(vectors).any(axis=0).tolist() == (~seen).tolist()


def test_a_model_of_another_family_has_none() -> None:
    model = make_model("observed")
    other = replace(model, record=model.record.model_copy(update={"family": "tempcnn"}))
    with pytest.raises(ModelError) as error:
        require_vectors(other, "making embeddings")
    assert error.value.facts["family"] == "tempcnn"
    assert require_vectors(model, "making embeddings") is model
