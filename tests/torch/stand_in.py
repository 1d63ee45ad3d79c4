"""A head in NumPy with the interface of `slide_rs._core.Head`: the oracle of its tests.

Its sampler takes all units, or the labels of a row and units drawn by seed and step.
"""

from __future__ import annotations

import json

import numpy as np
from scipy.sparse import csr_array


class Head:
    def __init__(self, config: str, threads: int | None = None) -> None:
        self._given = json.loads(config)
        self.inputs, self.units = self._given["inputs"], self._given["units"]
        self.sampler, self.loss = self._given["sampler"], self._given["loss"]
        if self.sampler["kind"] == "lsh":
            self.sampler["n_active"] = self.sampler["n_active"] or 16
            self.sampler["rebuild"] = {**self.sampler["rebuild"], "every": 50, "growth": 1.05}
        self.threads = threads or 1
        self.stales = self.rehashes = 0

    @property
    def config(self) -> str:
        return json.dumps(self._given)

    @property
    def shape(self) -> tuple[int, int]:
        return -(-self.units // 8) * 8, -(-self.inputs // 16) * 16

    def set_threads(self, threads: int) -> None:
        self.threads = threads

    def _matrix(self, x):
        if isinstance(x, tuple):
            indptr, indices, values = x
            for start, stop in zip(indptr[:-1], indptr[1:], strict=True):
                assert (np.diff(indices[start:stop]) > 0).all(), "ids of a row ascend"
            return csr_array((values, indices, indptr), (len(indptr) - 1, self.inputs)).toarray()
        assert x.flags.c_contiguous
        assert x.dtype == np.float32
        return x

    def _check(self, weight, bias):
        assert weight.shape == self.shape
        assert weight.ctypes.data % 64 == 0
        assert not weight[self.units :].any()
        assert not weight[:, self.inputs :].any()
        assert (bias is not None) == self._given["bias"]
        return weight[: self.units, : self.inputs], 0 if bias is None else bias[: self.units]

    def choose(self, weight, bias, x, targets, step):
        rows = len(self._matrix(x))
        sets = []
        for row in range(rows):
            own = np.empty(0, np.int64)
            if targets is not None:
                own = targets[1][targets[0][row] : targets[0][row + 1]].astype(np.int64)
            if self.sampler["kind"] == "full":
                others = np.arange(self.units)
            else:
                random = np.random.default_rng([self._given["seed"], step, row])
                others = random.permutation(self.units)[: self.sampler["n_active"] or 16]
            sets.append(np.concatenate([own, np.setdiff1d(others, own)]))
        indptr = np.cumsum([0, *map(len, sets)])
        return indptr.astype(np.int64), np.concatenate(sets).astype(np.int64)

    def find(self, weight, bias, x):
        weights, biases = self._check(weight, bias)
        scores = self._matrix(x) @ weights.T + biases
        k = self.units if self.sampler["kind"] == "full" else self.sampler["n_active"] or 16
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k].astype(np.int64)
        return np.arange(len(best) + 1, dtype=np.int64) * best.shape[1], best.ravel()

    def logits(self, weight, bias, x, indptr, indices):
        weights, biases = self._check(weight, bias)
        samples = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        found = (weights[indices].astype(float) * self._matrix(x)[samples]).sum(1)
        if bias is not None:
            found += biases[indices]
        return found.astype(np.float32)

    def losses(self, weight, bias, x, targets, step, gradients):
        indptr, indices = self.choose(weight, bias, x, targets, step)
        logits = self.logits(weight, bias, x, indptr, indices)
        losses, deltas = np.zeros(len(indptr) - 1), np.zeros(len(logits))
        for row in range(len(losses)):
            start, stop = targets[0][row : row + 2]
            if start == stop:
                continue
            z = logits[indptr[row] : indptr[row + 1]].astype(float)
            y = np.zeros(len(z))
            y[: stop - start] = 1 if len(targets) == 2 else targets[2][start:stop]
            if self.loss == "softmax":
                y /= y.sum()
                log_p = z - z.max() - np.log(np.exp(z - z.max()).sum())
                losses[row], p = -(y @ log_p), np.exp(log_p)
            else:
                losses[row] = (np.logaddexp(0, z) - y * z).sum()
                p = 1 / (1 + np.exp(-z))
            deltas[indptr[row] : indptr[row + 1]] = p - y
        deltas = deltas.astype(np.float32)
        dx = self.back(weight, x, indptr, indices, deltas) if gradients else np.empty(0, np.float32)
        return losses.astype(np.float32), indptr, indices, logits, deltas, dx

    def back(self, weight, x, indptr, indices, deltas):
        sums = csr_array((deltas, indices, indptr), (len(indptr) - 1, self.units))
        dense = np.asarray(sums @ weight[: self.units, : self.inputs].astype(float))
        if not isinstance(x, tuple):
            return dense.astype(np.float32)
        rows = np.repeat(np.arange(len(dense)), np.diff(x[0]))
        return dense[rows, x[1]].astype(np.float32)

    def _gradient(self, gradients):
        dense, biases = np.zeros((self.units, self.inputs)), np.zeros(self.units)
        for x, indptr, indices, deltas in gradients:
            sums = csr_array((deltas, indices, indptr), (len(indptr) - 1, self.units))
            dense += sums.T @ self._matrix(x).astype(float)
            biases += np.bincount(indices, deltas, self.units)
        return dense, biases if self._given["bias"] else 0 * biases

    def norm(self, gradients):
        dense, biases = self._gradient(gradients)
        return float(np.sqrt((dense**2).sum() + (biases**2).sum()))

    def apply(self, weight, bias, moments, optimizer, lr, t, gradients):
        told = json.loads(optimizer)
        b1, b2, eps = told["beta1"], told["beta2"], told["eps"]
        rows = np.unique(np.concatenate([indices for _, _, indices, _ in gradients]))
        dense, biases = self._gradient(gradients)
        m, v, m_bias, v_bias = moments
        means = m
        if m.dtype == np.uint16:
            means = (m.astype(np.uint32) << 16).view(np.float32)
        g = np.zeros((len(rows), self.shape[1]))
        g[:, : self.inputs] = dense[rows]
        means[rows] = b1 * means[rows] + (1 - b1) * g
        if m.dtype == np.uint16:
            m[rows] = (means[rows].view(np.uint32) >> 16).astype(np.uint16)
        if told["second_moment"] == "row":
            v[rows] = b2 * v[rows] + (1 - b2) * (g**2).sum(1) / self.inputs
            squares = v[rows][:, None]
        else:
            v[rows] = b2 * v[rows] + (1 - b2) * g**2
            squares = v[rows]
        root = np.sqrt(squares / (1 - b2**t)) + eps
        weight[rows] -= lr * means[rows] / (1 - b1**t) / root
        if bias is not None:
            g = biases[rows]
            m_bias[rows] = b1 * m_bias[rows] + (1 - b1) * g
            v_bias[rows] = b2 * v_bias[rows] + (1 - b2) * g**2
            bias[rows] -= (
                lr * m_bias[rows] / (1 - b1**t) / (np.sqrt(v_bias[rows] / (1 - b2**t)) + eps)
            )

    def stale(self):
        self.stales += 1

    def rehash(self, weight, bias, step):
        self.rehashes += 1
        return False

    def topk(self, weight, bias, x, k, mode):
        weights, biases = self._check(weight, bias)
        scores = self._matrix(x) @ weights.T + biases
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k].astype(np.int64)
        return best, np.take_along_axis(scores, best, 1).astype(np.float32)
