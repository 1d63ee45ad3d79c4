"""Arrays that are wrong, as pairs of what to call and the error that must say so."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import slide_rs as sr
from scipy import sparse
from slide_rs import layers, metrics

Case = tuple[Callable[[], object], type[Exception], str]

F4, I4 = np.float32, np.int32
ROWS, FEATURES, LABELS = 3, 6, 5
GOOD_Y = [[0], [1, 4], []]
NAN, INF = float("nan"), float("inf")


@cache
def net() -> sr.Network:
    return sr.Network([layers.SparseInput(FEATURES), layers.Dense(4), layers.SampledDense(LABELS)])


def csr(
    indptr: Any = (0, 2, 2, 4),
    indices: Any = (0, 3, 1, 5),
    data: Any = (1, 2, 3, 4),
    shape: Any = (ROWS, FEATURES),
    index: Any = I4,
    value: Any = F4,
) -> Any:
    """Arrays as they come, in a CSR that checks nothing."""
    return SimpleNamespace(
        indptr=np.array(indptr, index),
        indices=np.array(indices, index),
        data=np.array(data, value),
        shape=shape,
    )


def label_csr(
    indptr: Any = (0, 1, 3, 3),
    indices: Any = (0, 1, 4),
    data: Any = (1, 1, 1),
    shape: Any = (ROWS, LABELS),
    index: Any = I4,
    value: Any = F4,
) -> Any:
    return csr(indptr, indices, data, shape, index, value)


def good_x() -> Any:
    return np.ones((ROWS, FEATURES), F4)


def x(found: Any, error: type[Exception], match: str, **options: Any) -> Case:
    return lambda: net().train_batch(found, GOOD_Y, **options), error, match


def y(found: Any, error: type[Exception], match: str, **options: Any) -> Case:
    return lambda: net().train_batch(good_x(), found, **options), error, match


def weight(found: Any, error: type[Exception], match: str, **options: Any) -> Case:
    call = lambda: net().train_batch(good_x(), GOOD_Y, sample_weight=found, **options)  # noqa: E731
    return call, error, match


def topk(match: str, error: type[Exception] = ValueError, **options: Any) -> Case:
    return lambda: net().predict_topk(good_x(), **options), error, match


def proba(found: Any, error: type[Exception], match: str) -> Case:
    return lambda: net().predict_proba(found), error, match


def fit(
    match: str, error: type[Exception] = ValueError, X: Any = None, Y: Any = None, **options: Any
) -> Case:
    rows = good_x() if X is None else X
    return lambda: net().fit(rows, GOOD_Y if Y is None else Y, **options), error, match


def measure(match: str, error: type[Exception] = ValueError, *arguments: Any) -> Case:
    return lambda: net().evaluate(*arguments), error, match


V, T = ValueError, TypeError
BIG = np.iinfo(np.int64).max
EMPTY = np.zeros((0, FEATURES), F4)

CASES: dict[str, Case] = {
    # X: kinds
    "x-none": x(None, T, "X: found NoneType"),
    "x-number": x(3.0, T, "X: found float"),
    "x-text": x("rows", T, "X: found str"),
    "x-bytes": x(b"rows", T, "X: found bytes"),
    "x-dict": x({0: 1.0}, T, "X: found dict"),
    "x-set": x({1.0}, T, "X: found set"),
    "x-list-of-lists": x([[1.0] * FEATURES] * ROWS, T, "X: found list"),
    "x-tuple": x(((0, 1), (0,), (1.0,)), T, "X: found tuple"),
    "x-generator": x((row for row in ()), T, "X: found generator"),
    # X: dense
    "x-scalar-array": x(np.array(1.0, F4), V, "X: found 0 dimensions"),
    "x-vector": x(np.ones(FEATURES, F4), V, "X: found 1 dimensions"),
    "x-cube": x(np.ones((1, ROWS, FEATURES), F4), V, "X: found 3 dimensions"),
    "x-no-columns": x(np.ones((ROWS, 0), F4), V, "X: found 0 columns, wanted 6"),
    "x-narrow": x(np.ones((ROWS, 5), F4), V, "X: found 5 columns, wanted 6"),
    "x-wide": x(np.ones((ROWS, 7), F4), V, "X: found 7 columns, wanted 6"),
    "x-no-rows": x(EMPTY, V, "X: found 0 rows"),
    "x-text-array": x(np.full((ROWS, FEATURES), "a"), T, "X: found dtype <U1"),
    "x-object-array": x(np.full((ROWS, FEATURES), None), T, "X: found dtype object"),
    "x-complex": x(np.ones((ROWS, FEATURES), complex), T, "X: found dtype complex128"),
    "x-dates": x(np.zeros((ROWS, FEATURES), "M8[D]"), T, "X: found dtype datetime64"),
    "x-nan": x(np.full((ROWS, FEATURES), NAN, F4), V, "X: found the value nan"),
    "x-inf": x(np.full((ROWS, FEATURES), INF, F4), V, "X: found the value inf"),
    "x-minus-inf": x(np.full((ROWS, FEATURES), -INF, F4), V, "X: found the value -inf"),
    "x-one-nan": x(np.diag([1, NAN, 1, 1, 1, 1]).astype(F4)[:ROWS], V, "X: found the value nan"),
    "x-beyond-float32": x(np.full((ROWS, FEATURES), 1e300), V, "X: found the value inf"),
    "x-rows-unlike-y": x(np.ones((4, FEATURES), F4), V, "Y: found 3 rows, wanted the 4 of X"),
    "x-float64-no-copy": x(np.ones((ROWS, FEATURES)), V, "X: copy=False", copy=False),
    "x-fortran-no-copy": x(np.ones((ROWS, FEATURES), F4, "F"), V, "X: copy=False", copy=False),
    # X: CSR
    "x-indptr-start": x(csr((1, 2, 2, 4)), V, r"X\.indptr: found 1 at its start"),
    "x-indptr-negative-start": x(csr((-1, 2, 2, 4)), V, r"X\.indptr: found -1 at its start"),
    "x-indptr-falls": x(csr((0, 3, 2, 4)), V, r"X\.indptr: found a fall at row 1"),
    "x-indptr-negative": x(csr((0, -2, 2, 4)), V, r"X\.indptr: found a fall at row 0"),
    "x-indptr-short": x(csr((0, 2, 4)), V, r"X\.indptr: found length 3, wanted 4"),
    "x-indptr-long": x(csr((0, 1, 2, 3, 4)), V, r"X\.indptr: found length 5"),
    "x-indptr-empty": x(csr(()), V, r"X\.indptr: found length 0"),
    "x-indptr-past-end": x(csr((0, 2, 2, 9)), V, r"X\.indptr: found 9 at its end"),
    "x-indptr-huge": x(csr((0, 2, 2, BIG), index=np.int64), V, r"X\.indptr: found 9223372036"),
    "x-indptr-2d": x(csr(((0, 2, 2, 4),)), V, r"X\.indptr: found 2 dimensions"),
    "x-indices-2d": x(csr(indices=((0, 3, 1, 5),)), V, r"X\.indices: found 2 dimensions"),
    "x-data-2d": x(csr(data=((1, 2, 3, 4),)), V, r"X\.data: found 2 dimensions"),
    "x-indices-short": x(csr(indices=(0, 3, 1)), V, r"X\.indptr: found 4 at its end"),
    "x-indices-long": x(csr(indices=(0, 3, 1, 5, 2)), V, r"X\.data: found 4 values for 5"),
    "x-data-short": x(csr(data=(1, 2, 3)), V, r"X\.data: found 3 values for 4"),
    "x-data-long": x(csr(data=(1, 2, 3, 4, 5)), V, r"X\.data: found 5 values for 4"),
    "x-data-empty": x(csr(data=()), V, r"X\.data: found 0 values"),
    "x-float-indices": x(csr(index=np.float64), T, r"X\.indptr: found dtype float64"),
    "x-bool-indices": x(csr(index=bool), T, r"X\.indptr: found dtype bool"),
    "x-text-data": x(csr(value="U1"), T, r"X\.data: found dtype <U1"),
    "x-object-data": x(csr(value=object), T, r"X\.data: found dtype object"),
    "x-complex-data": x(csr(value=complex), T, r"X\.data: found dtype complex128"),
    "x-negative-id": x(csr(indices=(0, 3, -1, 5)), V, "X: found column -1 in row 2"),
    "x-id-too-large": x(csr(indices=(0, 6, 1, 5)), V, "X: found column 6 in row 0"),
    "x-id-int32-max": x(csr(indices=(0, 2**31 - 1, 1, 5)), V, "X: found column 2147483647"),
    "x-id-int64-max": x(csr(indices=(0, BIG, 1, 5), index=np.int64), V, "X: found column 922337"),
    "x-id-last-row": x(csr(indices=(0, 3, 1, 8)), V, "X: found column 8 in row 2"),
    "x-csr-nan": x(csr(data=(1, 2, NAN, 4)), V, "X: found the value nan at place 2"),
    "x-csr-inf": x(csr(data=(1, INF, 3, 4)), V, "X: found the value inf at place 1"),
    "x-csr-both-infs": x(csr(data=(-INF, INF, 3, 4)), V, "X: found the value -inf at place 0"),
    "x-csr-overflow": x(csr(data=(1, 1e39, 3, 4), value=np.float64), V, "X: found the value inf"),
    "x-csr-sum-overflows": x(
        csr(indices=(3, 3, 1, 5), data=(3e38, 3e38, 1, 1)), V, "X: found the value inf"
    ),
    "x-csr-narrow": x(csr(shape=(ROWS, 5)), V, "X: found 5 columns, wanted 6"),
    "x-csr-wide": x(csr(shape=(ROWS, 100)), V, "X: found 100 columns, wanted 6"),
    "x-csr-shape-1d": x(csr(shape=(ROWS,)), V, "X: found shape"),
    "x-csr-shape-3d": x(csr(shape=(ROWS, FEATURES, 1)), V, "X: found shape"),
    "x-csr-rows": x(csr(shape=(2, FEATURES)), V, r"X\.indptr: found length 4, wanted 3"),
    "x-csr-no-rows": x(csr((0,), (), (), (0, FEATURES)), V, "X: found 0 rows"),
    "x-csr-fewer-rows-than-y": x(csr((0, 2, 4), shape=(2, FEATURES)), V, "Y: found 3 rows"),
    "x-unsorted-no-copy": x(csr(indices=(3, 0, 1, 5)), V, "X: copy=False", copy=False),
    "x-repeated-no-copy": x(csr(indices=(3, 3, 1, 5)), V, "X: copy=False", copy=False),
    "x-float64-csr-no-copy": x(csr(value=np.float64), V, "X: copy=False", copy=False),
    "x-int16-indices-no-copy": x(csr(index=np.int16), V, "X: copy=False", copy=False),
    "x-csc-no-copy": x(sparse.csc_array(good_x()), V, "X: copy=False", copy=False),
    "x-coo-narrow": x(sparse.coo_array(np.ones((ROWS, 2), F4)), V, "X: found 2 columns"),
    # Y: kinds
    "y-none": y(None, T, "Y: found NoneType"),
    "y-number": y(1, T, "Y: found int"),
    "y-text": y("abc", T, "Y: found str"),
    "y-dict": y({0: 1}, T, "Y: found dict"),
    "y-set": y({0, 1, 2}, T, "Y: found set"),
    "y-generator": y((row for row in ()), T, "Y: found generator"),
    "y-dense": y(np.ones((ROWS, LABELS)), T, "Y: found a dense 2-D array"),
    "y-cube": y(np.ones((ROWS, 1, 1), int), T, "Y: found 3 dimensions"),
    "y-scalar": y(np.array(1), T, "Y: found 0 dimensions"),
    # Y: vector
    "y-float-vector": y(np.array([0.0, 1.0, 2.0]), T, "Y: found dtype float64"),
    "y-bool-vector": y(np.array([True, False, True]), T, "Y: found dtype bool"),
    "y-text-vector": y(np.array(["a", "b", "c"]), T, "Y: found dtype <U1"),
    "y-object-vector": y(np.array([0, None, 1]), T, "Y: found int as row 0"),
    "y-minus-one": y(np.array([0, -1, 2]), V, "Y: found label -1 in row 1"),
    "y-vector-too-large": y(np.array([0, 1, 5]), V, "Y: found label 5 in row 2, wanted 0 to 4"),
    "y-vector-huge": y(np.array([0, 1, 2**40]), V, "Y: found label 1099511627776"),
    "y-vector-short": y(np.array([0, 1]), V, "Y: found 2 rows, wanted the 3 of X"),
    "y-vector-long": y(np.array([0, 1, 2, 3]), V, "Y: found 4 rows"),
    "y-vector-empty": y(np.array([], int), V, "Y: found 0 rows"),
    "y-vector-int8-no-copy": y(np.zeros(3, np.int8), V, "Y: copy=False", copy=False),
    "y-list-of-bools": y([True, False, True], T, "Y: found dtype bool"),
    "y-list-minus-one": y([0, 1, -1], V, "Y: found label -1 in row 2"),
    # Y: lists
    "y-lists-short": y([[0], [1]], V, "Y: found 2 rows"),
    "y-lists-long": y([[0], [1], [], []], V, "Y: found 4 rows"),
    "y-lists-empty": y([], V, "Y: found 0 rows"),
    "y-lists-negative": y([[0], [-1], []], V, "Y: found label -1 in row 1"),
    "y-lists-too-large": y([[0], [1], [3, 5]], V, "Y: found label 5 in row 2"),
    "y-lists-beyond-int64": y([[0], [2**70], []], T, "Y: found 1-D object in row 1"),
    "y-lists-floats": y([[0], [1.0], []], T, "Y: found 1-D float64 in row 1"),
    "y-lists-bools": y([[True], [False], []], T, "Y: found 1-D bool in row 0"),
    "y-lists-text": y([["a"], ["b"], []], T, "Y: found 1-D <U1 in row 0"),
    "y-lists-none": y([[0], None, []], T, "Y: found NoneType as row 1"),
    "y-lists-dict": y([[0], {1: 1}, []], T, "Y: found dict as row 1"),
    "y-lists-string-row": y(["ab", [0], [1]], T, "Y: found str as row 0"),
    "y-lists-nested": y([[[0]], [[1]], [[2]]], T, "Y: found 2-D int64 in row 0"),
    "y-lists-number-row": y([[0], 1, [2]], T, "Y: found int as row 1"),
    # Y: CSR
    "y-nan": y(label_csr(data=(1, NAN, 1)), V, "Y: found the value nan"),
    "y-inf": y(label_csr(data=(1, INF, 1)), V, "Y: found the value inf"),
    "y-negative": y(label_csr(data=(1, -1, 1)), V, "Y: found the value -1"),
    "y-negative-int": y(label_csr(data=(1, -2, 1), value=int), V, "Y: found the value -2"),
    "y-complex": y(label_csr(value=complex), T, r"Y\.data: found dtype complex128"),
    "y-csr-narrow": y(label_csr(shape=(ROWS, 4)), V, "Y: found 4 columns, wanted 5"),
    "y-csr-wide": y(label_csr(shape=(ROWS, 6)), V, "Y: found 6 columns, wanted 5"),
    "y-csr-id-too-large": y(label_csr(indices=(0, 1, 5)), V, "Y: found column 5 in row 1"),
    "y-csr-id-negative": y(label_csr(indices=(-1, 1, 4)), V, "Y: found column -1 in row 0"),
    "y-csr-start": y(label_csr((1, 1, 3, 3)), V, r"Y\.indptr: found 1 at its start"),
    "y-csr-falls": y(label_csr((0, 3, 1, 3)), V, r"Y\.indptr: found a fall at row 1"),
    "y-csr-short": y(label_csr((0, 1, 3)), V, r"Y\.indptr: found length 3"),
    "y-csr-past-end": y(label_csr((0, 1, 3, 4)), V, r"Y\.indptr: found 4 at its end"),
    "y-csr-lengths": y(label_csr(data=(1, 1)), V, r"Y\.data: found 2 values for 3"),
    "y-csr-rows": y(label_csr((0, 1, 3), shape=(2, LABELS)), V, "Y: found 2 rows"),
    "y-csr-float-ids": y(label_csr(index=float), T, r"Y\.indptr: found dtype float64"),
    "y-zeros-no-copy": y(label_csr(data=(1, 0, 1)), V, "Y: copy=False", copy=False),
    "y-unsorted-no-copy": y(label_csr(indices=(0, 4, 1)), V, "Y: copy=False", copy=False),
    "y-grade-too-large": y(label_csr(data=(1, 1e39, 1), value=float), V, "Y: found the value inf"),
    "y-grades-no-copy": y(label_csr(data=(1, 0.5, 1), value=float), V, "Y: copy=False", copy=False),
    # sample_weight
    "weight-short": weight(np.ones(2, F4), V, r"sample_weight: found shape \(2,\)"),
    "weight-matrix": weight(np.ones((ROWS, 1), F4), V, r"sample_weight: found shape \(3, 1\)"),
    "weight-number": weight(1.0, T, "sample_weight: found float"),
    "weight-text": weight("111", T, "sample_weight: found str"),
    "weight-dict": weight({0: 1}, T, "sample_weight: found dict"),
    "weight-sparse": weight(sparse.csr_array((1, ROWS)), T, "sample_weight: found csr_array"),
    "weight-strings": weight(["a", "b", "c"], T, "sample_weight: found dtype <U1"),
    "weight-complex": weight(np.ones(ROWS, complex), T, "sample_weight: found dtype complex128"),
    "weight-negative": weight(np.array([1, -1, 1], F4), V, "sample_weight: found the value -1"),
    "weight-nan": weight(np.array([1, NAN, 1], F4), V, "sample_weight: found the value nan"),
    "weight-inf": weight(np.array([1, INF, 1], F4), V, "sample_weight: found the value inf"),
    "weight-too-large": weight(np.array([1, 1e39, 1]), V, "sample_weight: found the value inf"),
    "weight-no-copy": weight(np.ones(ROWS), V, "sample_weight: copy=False", copy=False),
    "fit-weight-short": fit("sample_weight: found shape", sample_weight=[1.0]),
    # predict_topk
    "k-zero": topk("k: found 0", k=0),
    "k-negative": topk("k: found -1", k=-1),
    "k-too-large": topk("k: found 6, wanted at most 5", k=6),
    "k-2-70": topk("k: found 1180591620717411303424", k=2**70),
    "k-float": topk("k: found 1.5", T, k=1.5),
    "k-text": topk("k: found '3'", T, k="3"),
    "k-none": topk("k: found None", T, k=None),
    "k-bool": topk("k: found True", T, k=True),
    "mode-unknown": topk("mode: found 'fast'", mode="fast"),
    "mode-upper-case": topk("mode: found 'LSH'", mode="LSH"),
    "mode-none": topk("mode: found None", T, mode=None),
    "threshold-nan": topk("threshold: found nan", threshold=NAN),
    "threshold-inf": topk("threshold: found inf", threshold=INF),
    "threshold-text": topk("threshold: found 'high'", T, threshold="high"),
    "candidates-negative": topk("candidates: found label -1", candidates=[[0], [-1], [2]]),
    "candidates-too-large": topk("candidates: found label 5", candidates=[[0], [1], [5]]),
    "candidates-rows": topk("candidates: found 2 rows", candidates=[[0], [1]]),
    "candidates-shared-large": topk("candidates: found label 9", candidates=np.array([0, 9])),
    "candidates-shared-negative": topk("candidates: found label -2", candidates=[-2, 1]),
    "candidates-floats": topk("candidates: found dtype float64", T, candidates=np.array([0.5])),
    "candidates-text": topk("candidates: found str", T, candidates="all"),
    "candidates-number": topk("candidates: found int", T, candidates=3),
    "candidates-dense": topk(
        "candidates: found a dense", T, candidates=np.zeros((ROWS, LABELS), int)
    ),
    "candidates-csr-wide": topk("candidates: found 9 columns", candidates=sparse.csr_array((3, 9))),
    "candidates-csr-rows": topk("candidates: found 2 rows", candidates=sparse.csr_array((2, 5))),
    "candidates-lsh": topk("candidates: found with mode", mode="lsh", candidates=[0, 1]),
    "proba-too-large": proba(np.zeros((2_000_001, FEATURES), F4), V, "predict_topk"),
    "proba-list": proba([[1.0] * FEATURES], T, "X: found list"),
    "recall-no-rows": (lambda: net().sampling_recall(EMPTY), V, "X: found 0 rows"),
    # fit and evaluate
    "fit-no-rows": fit("X: found 0 rows", X=EMPTY, Y=[]),
    "epochs-zero": fit("epochs: found 0", epochs=0),
    "epochs-2-70": fit("epochs: found 1180591620717411303424", epochs=2**70),
    "epochs-float": fit("epochs: found 2.0", T, epochs=2.0),
    "batch-zero": fit("batch_size: found 0", batch_size=0),
    "batch-2-70": fit("batch_size: found 1180591620717411303424", batch_size=2**70),
    "batch-2-31": fit("batch_size: found 2147483648", batch_size=2**31),
    "batch-text": fit("batch_size: found '32'", T, batch_size="32"),
    "verbose-unknown": fit("verbose: found 'loud'", verbose="loud"),
    "callbacks-wrong": fit(r"callbacks\[0\]: found int", T, callbacks=[3]),
    "validation-single": fit("validation_data", T, validation_data=(good_x(),)),
    "validation-array": fit("validation_data", T, validation_data=good_x()),
    "validation-x": fit(
        r"validation_data\[0\]: found 2 columns", validation_data=(np.ones((3, 2), F4), GOOD_Y)
    ),
    "validation-y": fit(
        r"validation_data\[1\]: found label 7", validation_data=(good_x(), [[7], [], []])
    ),
    "validation-empty": fit(r"validation_data\[0\]: found 0 rows", validation_data=(EMPTY, [])),
    "metrics-unknown": fit("metrics: found 'accuracy'", metrics=["accuracy"]),
    "metrics-zero": measure("metrics: found 'p@0'", V, good_x(), GOOD_Y, ["p@0"]),
    "metrics-text": measure("metrics: found 'p@1'", T, good_x(), GOOD_Y, "p@1"),
    "metrics-number": measure("metrics: found 5", T, good_x(), GOOD_Y, 5),
    "metrics-psp": measure("inv_propensity: found None", V, good_x(), GOOD_Y, ["psp@1"]),
    "evaluate-mode": measure("mode: found 'x'", V, good_x(), GOOD_Y, ["p@1"], "x"),
    "evaluate-rows": measure("Y: found 1 rows", V, good_x(), [[0]]),
    "evaluate-empty": measure("X: found 0 rows", V, EMPTY, []),
    "propensity-short": (
        lambda: net().evaluate(good_x(), GOOD_Y, ["psp@1"], inv_propensity=np.ones(2)),
        V,
        "inv_propensity: found shape",
    ),
    "propensity-of-lists": (lambda: metrics.inv_propensity(GOOD_Y), T, "Y: found list"),
    "csr-labels-too-few": (
        lambda: sr.TopK(np.array([[3]], I4), np.ones((1, 1), F4)).to_csr(3),
        V,
        "n_labels: found 3",
    ),
}
