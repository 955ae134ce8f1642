"""Blocks of encoders: tokens that do not exist change nothing, also where they are left out."""

import torch

from agrifm.models.encoder_blocks import EncoderBlock, mean_of_present, present_first, usable_keys


def test_sequences_without_the_tokens_that_all_lack_say_the_same() -> None:
    torch.manual_seed(0)
    block, x, present = EncoderBlock(16, 4), torch.randn(5, 12, 16), torch.rand(5, 12) > 0.5
    present[0], present[1, 3:] = False, False  # a sequence without any token, and a short one
    with torch.no_grad():
        whole = mean_of_present(block(x, usable_keys(present)), present)
        tokens, exists = present_first(x, present)
        cut = mean_of_present(block(tokens, usable_keys(exists)), exists)
    assert tokens.shape[1] == int(present.sum(dim=1).max()) < 12
    assert torch.equal(exists.sum(dim=1), present.sum(dim=1))
    torch.testing.assert_close(cut, whole, atol=1e-6, rtol=1e-5)
