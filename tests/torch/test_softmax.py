"""The softmax of classes against what it stands in for."""

from __future__ import annotations

import pytest
import torch
from slide_rs import samplers
from slide_rs.torch import SampledSoftmax, SlideAdam


def test_with_every_class_active_it_is_the_log_softmax() -> None:
    torch.manual_seed(0)
    softmax = SampledSoftmax(8, 50, sampler=samplers.Full())
    x, y = torch.randn(6, 8), torch.tensor([0, 49, 3, 3, 7, 20])
    output, loss = softmax(x, y)
    wanted = softmax.log_prob(x)
    torch.testing.assert_close(wanted.exp().sum(1), torch.ones(6))
    torch.testing.assert_close(output, wanted[torch.arange(6), y])
    torch.testing.assert_close(loss, -output.mean())
    assert torch.equal(softmax.predict(x), wanted.argmax(1))


def test_it_has_the_return_shape_of_the_adaptive_softmax() -> None:
    x, y = torch.randn(6, 8), torch.arange(6)
    adaptive = torch.nn.AdaptiveLogSoftmaxWithLoss(8, 50, [10, 20])(x, y)
    sampled = SampledSoftmax(8, 50)(x, y)
    assert sampled._fields == adaptive._fields
    assert [part.shape for part in sampled] == [part.shape for part in adaptive]


def test_it_learns_with_the_optimizer() -> None:
    torch.manual_seed(0)
    softmax = SampledSoftmax(8, 3000, sampler=samplers.LSH(n_active=50))
    optimizer = SlideAdam(softmax.parameters(), lr=0.05)
    x, y = torch.randn(6, 8), torch.arange(6) * 400
    for _ in range(60):
        optimizer.zero_grad()
        softmax(x, y).loss.backward()
        optimizer.step()
    assert (softmax.predict(x) == y).all()


def test_every_row_has_a_class() -> None:
    with pytest.raises(ValueError, match="target: found rows without a class"):
        SampledSoftmax(8, 50)(torch.randn(2, 8), torch.tensor([1, -100]))
