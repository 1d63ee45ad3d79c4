"""The layer against dense layers and against gather and product, values and all gradients.

In float32 a score is a sum of d products, so it is off by d EPS times the sum of their sizes; with
d = 32 and sizes of about 0.1 that is 5e-7. Losses and gradients are sums of at most 60 such terms.
``CLOSE`` leaves a factor of three and is far below what a wrong term would make.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from slide_rs import samplers
from slide_rs.torch import SlideLinear, SlideOutput
from torch import Tensor, nn
from torch.nn import functional

D, N, BATCH = 32, 60, 9
CLOSE = 1e-4
SAMPLERS = [
    samplers.LSH(n_active=20, log_q="none"),
    samplers.Uniform(n_active=20, log_q=False),
    samplers.LogUniform(n_active=20, log_q=False),
    samplers.InBatch(n_active=20, log_q=False),
    samplers.Oracle(n_active=20, random_share=0.0),
    samplers.Full(),
]
GRADED = csr_array((np.array([0.5, 2], np.float32), [3, 1], [0, 1, *[2] * 8]), (BATCH, N))
LABELS = [[3, 1], [0], [], [59, 7, 2], [5], [], [8], [1, 2], [4]]


def inputs(dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(BATCH, D, generator=generator).to(dtype).requires_grad_()


def classes() -> Tensor:
    return torch.tensor([1, 2, -100, 59, 0, 0, 7, -100, 3])


def layer_and_dense(dtype: torch.dtype = torch.float32, **options: Any) -> tuple[Any, nn.Linear]:
    torch.manual_seed(0)
    layer = SlideLinear(D, N, dtype=dtype, **{"sampler": samplers.Full(), **options})
    dense = nn.Linear(D, N, bias=layer.bias is not None, dtype=dtype)
    dense.load_state_dict({k: v for k, v in layer.state_dict().items() if "extra" not in k})
    return layer, dense


def dense_loss(scores: Tensor, loss: str) -> Tensor:
    target = classes()
    if loss == "softmax":
        return functional.cross_entropy(scores, target)
    present = target >= 0
    truth = functional.one_hot(target[present], N).to(scores.dtype)
    each = functional.binary_cross_entropy_with_logits(scores[present], truth, reduction="none")
    return each.sum(1).mean()


def gathered(layer: Any, x: Tensor, out: SlideOutput) -> Tensor:
    """Return the scores of the active neurons, by operations that autograd knows."""
    rows = torch.arange(len(x)).repeat_interleave(out.indptr.diff())
    found = torch.bmm(layer.weight[out.indices][:, None], x[rows][:, :, None]).flatten()
    return found if layer.bias is None else found + layer.bias[out.indices]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("loss", ["softmax", "bce"])
@pytest.mark.parametrize("grad", ["sparse", "dense"])
def test_with_every_output_active_loss_and_gradients_are_those_of_a_dense_layer(
    grad: str, loss: str, bias: bool
) -> None:
    layer, dense = layer_and_dense(grad=grad, loss=loss, bias=bias)
    x, same = inputs(), inputs()
    found, wanted = layer(x, classes()).loss, dense_loss(dense(same), loss)
    (3 * found).backward()
    (3 * wanted).backward()
    torch.testing.assert_close(found, wanted, rtol=CLOSE, atol=CLOSE)
    torch.testing.assert_close(x.grad, same.grad, rtol=CLOSE, atol=CLOSE)
    for mine, other in zip(layer.parameters(), dense.parameters(), strict=True):
        assert mine.grad.is_sparse == (grad == "sparse")
        torch.testing.assert_close(mine.grad.to_dense(), other.grad, rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize("loss", ["softmax", "bce"])
def test_in_float64_they_are_equal_to_twelve_digits(loss: str) -> None:
    layer, dense = layer_and_dense(torch.float64, loss=loss)
    x, same = inputs(torch.float64), inputs(torch.float64)
    found, wanted = layer(x, classes()).loss, dense_loss(dense(same), loss)
    found.backward()
    wanted.backward()
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=0)
    torch.testing.assert_close(x.grad, same.grad, rtol=1e-12, atol=1e-15)
    for mine, other in zip(layer.parameters(), dense.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("loss", ["softmax", "bce"])
@pytest.mark.parametrize("target", [LABELS, GRADED])
def test_several_labels_and_grades_have_the_loss_of_the_reference(target: Any, loss: str) -> None:
    if loss == "bce" and not isinstance(target, list):
        target = target * np.float32(0.5)
    layer, _ = layer_and_dense(grad="dense", loss=loss)
    exact = SlideLinear(D, N, sampler=samplers.Full(), loss=loss, dtype=torch.float64)
    exact.load_state_dict(layer.state_dict())
    x, same = inputs(), inputs(torch.float64)
    found, wanted = layer(x, target).loss, exact(same, target).loss
    found.backward()
    wanted.backward()
    torch.testing.assert_close(found.double(), wanted, rtol=CLOSE, atol=CLOSE)
    torch.testing.assert_close(x.grad.double(), same.grad, rtol=CLOSE, atol=CLOSE)
    torch.testing.assert_close(
        layer.weight.grad.double(), exact.weight.grad, rtol=CLOSE, atol=CLOSE
    )


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("with_target", [True, False])
def test_on_the_active_sets_scores_and_gradients_are_those_of_gather_and_product(
    sampler: Any, with_target: bool
) -> None:
    if not with_target and isinstance(sampler, samplers.InBatch):
        pytest.skip("without labels a batch has none to take")
    layer, _ = layer_and_dense(sampler=sampler, grad="dense")
    x, same = inputs(), inputs()
    out = layer(x, LABELS if with_target else None)
    scores = gathered(layer, same, out)
    torch.testing.assert_close(out.logits, scores, rtol=CLOSE, atol=CLOSE)
    slopes = torch.linspace(-1, 1, len(scores))
    (out.logits * slopes).sum().backward()
    found = [parameter.grad for parameter in layer.parameters()]
    layer.zero_grad()
    (scores * slopes).sum().backward()
    torch.testing.assert_close(x.grad, same.grad, rtol=CLOSE, atol=CLOSE)
    for mine, parameter in zip(found, layer.parameters(), strict=True):
        torch.testing.assert_close(mine, parameter.grad, rtol=CLOSE, atol=CLOSE)


def test_gradients_through_the_loss_and_through_scores_add_up() -> None:
    layer, dense = layer_and_dense(grad="dense")
    x, same = inputs(), inputs()
    out = layer(x, classes())
    (out.loss + out.logits.square().sum()).backward()
    scores = dense(same)
    # Rows without a label have no active neurons.
    labelled = scores[classes() >= 0]
    (dense_loss(scores, "softmax") + labelled.square().sum()).backward()
    torch.testing.assert_close(x.grad, same.grad, rtol=CLOSE, atol=CLOSE)
    torch.testing.assert_close(layer.weight.grad, dense.weight.grad, rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize("sampler", [samplers.Full(), samplers.Uniform(n_active=5, log_q=False)])
@pytest.mark.parametrize("loss", ["softmax", "bce"])
def test_the_reference_passes_gradcheck(sampler: Any, loss: str) -> None:
    layer = SlideLinear(4, 12, sampler=sampler, loss=loss, dtype=torch.float64)
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([1, 0, 11])

    def loss_of(x: Tensor, weight: Tensor, bias: Tensor) -> Any:
        return torch.func.functional_call(
            layer, {"weight": weight, "bias": bias}, (x, target), strict=False
        ).loss

    # A sampler that looks at no weight has the same active sets at every call.
    weight, bias = (p.detach().clone().requires_grad_() for p in layer.parameters())
    assert torch.autograd.gradcheck(loss_of, (x, weight, bias))


def test_every_form_of_the_same_target_gives_the_same_loss() -> None:
    layer, _ = layer_and_dense()
    x, ids = inputs(), torch.tensor([[3, 1], [0, -1], [5, 2]])
    indptr, columns = np.array([0, 2, 3, 5]), np.array([1, 3, 0, 2, 5])
    matrix = csr_array((np.ones(5, np.float32), columns, indptr), shape=(3, N))
    forms = [
        ids,
        ids.numpy(),
        [[3, 1], [0], [5, 2]],
        matrix,
        torch.sparse_csr_tensor(
            torch.from_numpy(indptr), torch.from_numpy(columns), torch.ones(5), (3, N)
        ),
    ]
    found = {layer(x[:3], target).loss.item() for target in forms}
    assert len(found) == 1


def test_rows_without_a_class_have_no_loss_and_no_gradient() -> None:
    layer, _ = layer_and_dense(ignore_index=-7)
    x = inputs()
    target = torch.tensor([1, -7, 2, -7, 3, -7, -7, -7, -7])
    layer(x, target).loss.backward()
    assert not x.grad[target == -7].any()
    assert x.grad[target != -7].any(1).all()
    nothing = layer(x, torch.full((BATCH,), -7))
    assert nothing.loss.item() == 0


def test_the_best_labels_are_those_of_all_scores() -> None:
    layer, dense = layer_and_dense()
    best = layer.topk(inputs(), 3)
    wanted = dense(inputs()).topk(3)
    assert torch.equal(best.labels, wanted.indices)
    torch.testing.assert_close(best.scores, wanted.values, rtol=CLOSE, atol=CLOSE)
    exact = SlideLinear(D, N, dtype=torch.float64)
    exact.load_state_dict(layer.state_dict())
    assert torch.equal(exact.topk(inputs(torch.float64), 3).labels, wanted.indices)


def test_log_probabilities_are_those_of_all_scores_and_reach_the_input() -> None:
    layer, dense = layer_and_dense()
    x, same = inputs(), inputs()
    layer.log_prob(x)[:, 4].sum().backward()
    dense(same).log_softmax(1)[:, 4].sum().backward()
    torch.testing.assert_close(x.grad, same.grad, rtol=CLOSE, atol=CLOSE)
    assert layer.weight.grad is None


def test_prediction_looks_into_the_tables_and_training_adds_random_neurons() -> None:
    torch.manual_seed(0)
    layer = SlideLinear(D, 3000, sampler=samplers.LSH(n_active=50))
    x = inputs()
    trained = layer(x)
    assert trained.loss is None
    assert trained.indptr.diff().unique().tolist() == [50]
    layer.eval()
    found = layer(x)
    assert not torch.equal(found.indices, trained.indices)
    torch.testing.assert_close(found.logits, gathered(layer, x, found), rtol=CLOSE, atol=CLOSE)
    assert 0 < layer.recall(x, 5) <= 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((torch.zeros(3, 5),), ValueError, r"input: found shape \(3, 5\), wanted \(rows, 32\)"),
        ((torch.zeros(2, 3, D),), ValueError, "input: found shape .*flatten"),
        ((torch.zeros(3, D).double(),), TypeError, "input: found dtype torch.float64"),
        (([[1.0] * D],), TypeError, "input: found list"),
        ((torch.full((3, D), torch.nan),), ValueError, "NaN"),
        ((torch.zeros(3, D, device="meta"),), ValueError, "input: found device meta, wanted cpu"),
        ((torch.zeros(3, D), torch.zeros(2).long()), ValueError, "target: found 2 rows, wanted"),
        ((torch.zeros(2, D), torch.zeros(2)), TypeError, "target: found dtype torch.float32"),
        ((torch.zeros(2, D), torch.tensor([0, N])), ValueError, "target: found class 60 in row 1"),
        ((torch.zeros(2, D), torch.tensor([-5, 1])), ValueError, "target: found class -5 in row 0"),
        ((torch.zeros(2, D), [[1], [N]]), ValueError, "target"),
        ((torch.zeros(2, D), "ab"), TypeError, "target: found str"),
        ((torch.zeros(2, D), torch.eye(2, N)), TypeError, "target: found a dense 2-D array"),
    ],
)
def test_bad_input_is_refused_by_name(
    arguments: tuple[Any, ...], error: type[Exception], message: str
) -> None:
    layer, _ = layer_and_dense()
    with pytest.raises(error, match=message):
        layer(*arguments)
    assert layer(inputs(), classes()).loss > 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"in_features": 0}, ValueError, "in_features"),
        ({"out_features": 2.5}, TypeError, "out_features"),
        ({"loss": "hinge"}, ValueError, "loss: found 'hinge'"),
        ({"grad": "none"}, ValueError, "grad: found 'none'"),
        ({"sampler": "lsh"}, TypeError, "sampler: found str"),
        ({"seed": -1}, ValueError, "seed"),
        ({"in_features": 20, "grad": "sparse"}, ValueError, "in_features: found 20 with grad"),
        ({"dtype": torch.bfloat16}, ValueError, "dtype: found torch.bfloat16"),
        ({"dtype": torch.float64, "grad": "rows"}, ValueError, "grad: found 'rows' in float64"),
        (
            {"dtype": torch.float64, "sampler": samplers.Uniform(9)},
            ValueError,
            "sampler: found log_q=True in float64",
        ),
    ],
)
def test_bad_options_are_refused_by_name(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        SlideLinear(**{"in_features": D, "out_features": N, **options})


def test_the_layer_tells_what_it_is() -> None:
    text = repr(SlideLinear(D, 3000, bias=False))
    assert "in_features=32, out_features=3000, bias=False, sampler=lsh" in text
