"""What a layer has besides its parameters: sampler and tables, gradients of rows, counts of steps.

The compiled head owns no weights. Each call lends it the memory of the parameters, after a look at
whether they were replaced or changed since: then they are brought into memory that it can use, or
its tables are told. Operators of PyTorch take numbers and tensors, so they know a state by its
handle.
"""

from __future__ import annotations

import itertools
import json
import os
import threading
import weakref
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from slide_rs._core import Head
from slide_rs.torch import openmp, storage
from slide_rs.torch.pending import Floats, Pending, RowGradients
from slide_rs.torch.watch import Watch

__all__ = ["HeadState", "at", "clock", "owners"]

_states: weakref.WeakValueDictionary[int, HeadState] = weakref.WeakValueDictionary()
_handles = itertools.count(1)
#: Steps are below this.
_STRIDE = 1 << 32


def at(handle: int) -> HeadState:
    """Return the state with this handle.

    Raises
    ------
    RuntimeError
        If its layer is gone.
    """
    state = _states.get(handle)
    if state is None:
        raise RuntimeError(
            "backward: found a graph whose SlideLinear was deleted, wanted the layer to be alive"
        )
    return state


def owners() -> dict[int, list[HeadState]]:
    """Return the states of living layers that keep rows, by the identities of their parameters."""
    found: dict[int, list[HeadState]] = {}
    for state in list(_states.values()):
        for parameter in (state.weight, state.bias):
            if parameter is not None and state.rows:
                found.setdefault(id(parameter), []).append(state)
    return found


def _unlock() -> None:
    """Free, in a forked child, what threads of the parent held."""
    for state in list(_states.values()):
        state.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)


class HeadState:
    """The compiled head of one layer, and what it has collected.

    Parameters
    ----------
    config : mapping
        What the compiled head is made of.
    rows : bool
        Whether gradients are kept as rows for `SlideAdam`.

    Attributes
    ----------
    ledger : Tensor
        Steps of the optimiser so far, and backward passes since: int64, shape (2,). What the
        sampler draws follows from the first, and a backward pass changes the second, so compiled
        graphs see all that a call depends on and changes.
    """

    def __init__(self, config: Mapping[str, Any], *, rows: bool) -> None:
        self.handle: int = next(_handles)
        #: Held while memory is lent: two calls may not have it.
        self.lock: Any = threading.RLock()
        self.rows: bool = rows
        self.ledger: Tensor = torch.zeros(2, dtype=torch.int64)
        self.weight: Tensor | None = None
        self.bias: Tensor | None = None
        #: Tells of steps of other optimisers.
        self.watch = Watch()
        #: Takes gradients at once, in the backward pass.
        self.updater: Callable[[RowGradients], None] | None = None
        self._config = dict(config)
        #: The compiled head.
        self.head: Head = self._made()
        self._used = False
        self._pending = Pending(self.ledger)
        self._edge: Any = None
        self._seen: tuple[int, ...] = ()
        self._arrays: tuple[Floats, Floats | None] | None = None
        self._next_rebuild, self._interval = 0, 0.0
        _states[self.handle] = self

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> HeadState:
        """Make a state of its own from what `document` returned of another."""
        state = cls(document["config"], rows=document["rows"])
        state._used = document["used"]
        state.resume(**document["counts"])
        return state

    def document(self) -> dict[str, Any]:
        """Return what a copy is made of: neither tables nor gradients."""
        return {
            "config": self._config,
            "rows": self.rows,
            "used": self._used,
            "counts": self.counts(),
        }

    def counts(self) -> dict[str, Any]:
        """Return what training has counted."""
        # What changed since the last call is counted now, and not again.
        seen = () if self.weight is None else _stamp(self.weight, self.bias)
        same = self._arrays is not None and seen[::2] == self._seen[::2]
        if same and self._differs(seen):
            self._changed()
            self._seen = seen
        # A run that goes on from here builds its tables anew; so does this one, to be the same.
        self.head.stale()
        return {
            "steps": self.steps,
            "input_norm": self.head.input_norm,
            "next_rebuild": self._next_rebuild,
            "interval": self._interval,
        }

    def _made(self) -> Head:
        return Head(json.dumps(self._config), torch.get_num_threads())

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the memory of a weight."""
        rows, columns = self.head.shape
        return int(rows), int(columns)

    @property
    def apart(self) -> bool:
        """Whether the head works on a copy of the weight.

        PyTorch's fused and sparse steps write between the rows of a tensor with gaps, so the weight
        of others than `SlideAdam` has none.
        """
        return not self.rows and self.shape[1] != self._config["inputs"]

    @property
    def config(self) -> dict[str, Any]:
        """What the head is made of, with every open value filled in by rule."""
        found: dict[str, Any] = json.loads(self.head.config)
        return found

    @property
    def sparse(self) -> bool:
        """Whether inputs are sparse; the first input decides."""
        return bool(self._config["sparse"])

    @property
    def steps(self) -> int:
        """Steps of the optimiser."""
        return int(self.ledger[0])

    def resume(
        self, steps: int, input_norm: float, next_rebuild: int = 0, interval: float = 0.0
    ) -> None:
        """Go on from what was counted; the tables are built anew, for inputs of such a length."""
        self.head.set_input_norm(input_norm)
        self.head.resume(steps)
        self.ledger.copy_(torch.tensor([steps, 0]))
        self._next_rebuild, self._interval = next_rebuild, interval
        # Weights that came with it are no step.
        self._seen, self._arrays = (), None
        self.watch.end()
        self.drop()

    def take(self, *, sparse: bool) -> None:
        """Accept inputs of one kind, dense or sparse, and refuse the other from then on.

        Raises
        ------
        ValueError
            If inputs before were of the other kind.
        """
        if sparse != self.sparse:
            if self._used:
                kinds = ("dense", "sparse") if sparse else ("sparse", "dense")
                raise ValueError(
                    f"input: found {kinds[1]} input after {kinds[0]} input, wanted one kind"
                )
            self._config["sparse"] = sparse
            before, self.head = self.head, self._made()
            self.head.set_input_norm(before.input_norm)
            self.head.resume(self.steps)
        self._used = True

    def bind(self, weight: Tensor, bias: Tensor | None) -> None:
        """Remember the parameters of the layer."""
        if weight is not self.weight:
            self._edge = None
        self.weight, self.bias = weight, bias
        if self._edge is None and weight.requires_grad and self.rows and not weight.is_inference():
            with torch.inference_mode(False), torch.enable_grad():
                self._edge = torch.autograd.graph.get_gradient_edge(weight).node

    def lend(self, weight: Tensor, bias: Tensor | None) -> tuple[Floats, Floats | None]:
        """Return the memory of the parameters; copies them only if they lie elsewhere."""
        threads = torch.get_num_threads()
        if self.head.threads != threads:
            self.head.set_threads(threads)
        if threads > 1:
            openmp.pause()
        seen = _stamp(weight, bias)
        changed = self._arrays is None or self._differs(seen)
        if changed or self.apart:
            return self._lend_anew(weight, bias, seen, changed)
        assert self._arrays is not None
        return self._arrays

    def _differs(self, seen: tuple[int, ...]) -> bool:
        """Tell whether weights with this stamp are others than were seen last."""
        if seen != self._seen:
            return True
        # What a backward pass computes again belongs to the step that it is part of.
        again = torch._C._current_graph_task_id() != -1
        return not again and self.weight is not None and self.watch.has_moved(self.weight)

    def _lend_anew(
        self, weight: Tensor, bias: Tensor | None, seen: tuple[int, ...], changed: bool
    ) -> tuple[Floats, Floats | None]:
        own = self.weight is not None and weight.data_ptr() == self.weight.data_ptr()
        if own and self.apart:
            return self._lend_copy(weight, bias, seen, changed)
        if own and self._seen and seen[::2] == self._seen[::2] and self._arrays is not None:
            arrays = self._arrays
            self._changed()
        elif own and self._is_own_room(weight, bias):
            self.adopt(weight, bias)
            self.head.stale()
            assert self._arrays is not None
            return self._arrays
        else:
            # A corner of other memory, however it is laid out, has something else around it.
            room, biases = storage.copied(weight, bias, self.shape)
            arrays = room.numpy(), None if biases is None else biases.numpy()
            if not own or self.weight is None:
                # Tensors of the moment, as of functional calls: nothing is remembered of them.
                return arrays
            self.weight.data = room[: weight.shape[0], : weight.shape[1]]
            if self.bias is not None and biases is not None:
                self.bias.data = biases[: len(self.bias)]
            seen = _stamp(self.weight, self.bias)
            self.head.stale()
        self._arrays, self._seen = arrays, seen
        return arrays

    def _is_own_room(self, weight: Tensor, bias: Tensor | None) -> bool:
        """Tell whether parameters fill memory of the head's shape, as shared copies of it do."""
        places, columns = self.shape
        rooms = [(weight, (places, columns))] + ([] if bias is None else [(bias, (places,))])
        return all(storage.is_room(tensor, shape) for tensor, shape in rooms)

    def _lend_copy(
        self, weight: Tensor, bias: Tensor | None, seen: tuple[int, ...], changed: bool
    ) -> tuple[Floats, Floats | None]:
        places, columns = self.shape
        if self._arrays is None:
            biases = None if bias is None else storage.allocate(places).numpy()
            self._arrays = storage.allocate(places, columns).numpy(), biases
        elif changed:
            self._changed()
        self._arrays[0][: weight.shape[0], : weight.shape[1]] = weight.detach().numpy()
        if bias is not None and self._arrays[1] is not None:
            self._arrays[1][: len(bias)] = bias.detach().numpy()
        self._seen = seen
        return self._arrays

    def adopt(self, weight: Tensor, bias: Tensor | None) -> None:
        """Take parameters that lie in memory of the head's shape with zeros around them."""
        self.bind(weight, bias)
        places, columns = self.shape
        lent = None if bias is None else storage.lent(bias, (places,))
        self._arrays = storage.lent(weight, (places, columns)), lent
        self._seen = _stamp(weight, bias)

    def _changed(self) -> None:
        """Take note of weights that changed behind the back of the head."""
        self.watch.end()
        if self.rows:
            self.head.stale()
            return
        # Another optimiser made a step, and all rows may have moved. They are hashed again as often
        # as the sampler says, and not after each step.
        self.ledger[0] += 1
        if self.steps < self._next_rebuild:
            return
        rebuild = self.config["sampler"].get("rebuild") or {}
        first = not self._interval
        self._interval = self._interval * (rebuild.get("growth") or 1.0) or rebuild.get("every", 50)
        self._next_rebuild = self.steps + round(self._interval)
        if not first:
            self.head.stale()

    def count_changes(self) -> None:
        """Count a step if the weight changed since this was last asked; for the reference."""
        version = 0 if self.weight is None else _version(self.weight)
        if self._seen and self._seen != (version,):
            self.ledger[0] += 1
        self._seen = (version,)

    def wants_rows(self) -> bool:
        """Tell, inside of a backward pass, whether it leads to the weight.

        ``torch.autograd.grad`` with respect to something else leaves all ``.grad`` alone.
        """
        edge = self._edge
        try:
            return edge is None or bool(torch._C._will_engine_execute_node(edge))
        except RuntimeError as error:
            raise RuntimeError(
                "autograd.grad: found the weight of a SlideLinear with grad='rows', which has no "
                "gradient of its own; wanted grad='dense' or 'sparse'"
            ) from error

    def put(self, gradients: RowGradients) -> None:
        """Keep gradients of rows until the optimiser takes them."""
        if self.updater is not None:
            self.updater(gradients)
        elif self.weight is not None:
            self._pending.put(self.weight, gradients)

    def gradients(self) -> list[RowGradients]:
        """Return what was collected since the last step; see `Pending.taken`."""
        assert self.weight is not None
        return self._pending.taken(self.weight, self.bias)

    def drop(self) -> None:
        """Forget the gradients."""
        self._pending.drop(self.weight)

    def claim(self, updater: Callable[[RowGradients], None] | None) -> None:
        """Note that an optimiser takes gradients of rows: at once, if there is an `updater`."""
        self._pending.claimed = self._pending.owned = True
        self.updater = updater

    def apply(
        self, moments: Any, optimizer: str, lr: float, t: int, gradients: list[RowGradients]
    ) -> None:
        """Change the rows that occur in the gradients, and make a step of it."""
        assert self.weight is not None
        with self.lock:
            lent = self.lend(self.weight, self.bias)
            self.head.apply(*lent, moments, optimizer, lr, t, gradients)
            for parameter in (self.weight, self.bias):
                if parameter is not None:
                    torch.autograd.graph.increment_version(parameter)
            self._seen = _stamp(self.weight, self.bias)
            self.ledger[0] += 1
            self.head.rehash(*lent, self.steps)


def clock(ledger: Tensor, labels: Tensor | None) -> int:
    """Return the number by which samplers draw: of the step, and of the labels of the batch.

    So several batches of a step have random neurons of their own, and a batch that is computed
    again, as checkpointing does, has the same. (Inputs would tell batches apart as well, but they
    come with the rounding of the layers before.)
    """
    key = 0 if labels is None else zlib.crc32(labels.numpy().tobytes())
    return int(ledger[0]) + _STRIDE * key


def _stamp(weight: Tensor, bias: Tensor | None) -> tuple[int, ...]:
    found = weight.data_ptr(), _version(weight)
    return found if bias is None else (*found, bias.data_ptr(), _version(bias))


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else int(tensor._version)
