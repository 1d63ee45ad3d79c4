"""A layer that computes only some of its outputs, others for each row."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from slide_rs import checks, samplers
from slide_rs.document import sampler_fields
from slide_rs.torch import exact, ops, reference, storage
from slide_rs.torch.activations import SlideOutput, SparseActivations, TopK, ascending
from slide_rs.torch.head import HeadState
from slide_rs.torch.targets import IGNORED, targets

__all__ = ["SlideLinear"]

#: Names of losses here and in the engine.
LOSSES = {"softmax": "softmax", "bce": "sigmoid"}
GRADIENTS = ("rows", "sparse", "dense")


class SlideLinear(nn.Module):  # type: ignore[misc, unused-ignore]
    """A linear layer with a loss, of which each row computes its labels and likely neurons.

    In place of ``nn.Linear(in_features, out_features)`` and a loss function, where `out_features`
    is large. Time and memory of a training step follow from the active neurons alone.

    Parameters
    ----------
    in_features, out_features : int
        The widths.
    bias : bool
        Whether outputs have biases.
    sampler : samplers.Sampler, optional
        Which neurons are active besides the labels of a row; `samplers.LSH()` when not given.
    loss : {"softmax", "bce"}
        Cross entropy of a softmax over the active neurons, or the sum of the binary cross entropies
        of the active neurons.
    grad : {"rows", "sparse", "dense"}, optional
        What a backward pass leaves: rows for `SlideAdam`, which are never made dense and not in
        ``.grad``; a sparse ``.grad`` for ``torch.optim.SparseAdam`` or ``SGD``, for which
        `in_features` is a multiple of 16; or a dense one for any optimiser, which takes time and
        memory like a linear layer. Rows when not given, dense in float64.
    seed : int
        Of the sampler.
    ignore_index : int
        The target class of rows that have none, which have no loss.
    dtype : torch.dtype, optional
        float32; or float64, a slow path in plain PyTorch with the same sampler, to check with.

    Attributes
    ----------
    weight : nn.Parameter
        Shape (out_features, in_features), in memory that the engine changes in place.
    bias : nn.Parameter or None
        Shape (out_features,).

    Notes
    -----
    Inputs in 16 bits, of automatic mixed precision say, are cast to float32. What is drawn at
    random follows from `seed`, the steps of the optimiser and the backward passes since, so
    checkpoints (``torch.utils.checkpoint``) compute the same again. In a graph of ``torch.compile``
    each backward pass comes before the next forward pass. From Chen et al., "SLIDE", MLSys 2020.

    Examples
    --------
    >>> layer = SlideLinear(8, 2000, sampler=samplers.Uniform(n_active=20))
    >>> out = layer(torch.randn(4, 8), torch.tensor([3, 1999, 0, 7]))
    >>> out.logits.shape
    torch.Size([80])
    >>> layer.topk(torch.randn(4, 8), 5).labels.shape
    torch.Size([4, 5])
    """

    in_features: int
    out_features: int
    loss: str
    grad: str
    ignore_index: int
    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        sampler: samplers.Sampler | None = None,
        loss: str = "softmax",
        grad: str | None = None,
        seed: int = 0,
        ignore_index: int = IGNORED,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        dtype = dtype or torch.float32
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(f"dtype: found {dtype}, wanted torch.float32 or torch.float64")
        self.in_features = checks.whole("in_features", in_features, 1)
        self.out_features = checks.whole("out_features", out_features, 1)
        self.loss = checks.choice("loss", loss, tuple(LOSSES))
        self.ignore_index = checks.whole("ignore_index", ignore_index, -(2**31))
        rule = "rows" if dtype == torch.float32 else "dense"
        self.grad = rule if grad is None else checks.choice("grad", grad, GRADIENTS)
        if dtype == torch.float64 and self.grad != "dense":
            raise ValueError(f"grad: found {grad!r} in float64, wanted 'dense'")
        if sampler is not None and not isinstance(sampler, samplers.KINDS):
            raise TypeError(f"sampler: found {type(sampler).__name__}, wanted one of samplers")
        config = {
            "inputs": self.in_features,
            "units": self.out_features,
            "bias": checks.flag("bias", bias),
            "sampler": sampler_fields(samplers.LSH() if sampler is None else sampler),
            "loss": LOSSES[self.loss],
            "seed": checks.whole("seed", seed, 0, 2**64 - 1),
            "sparse": False,
        }
        self._state = HeadState(config, rows=self.grad == "rows")
        if dtype == torch.float64:
            reference.check_sampler(self._state.config["sampler"])
        if self.grad == "sparse" and self._state.apart:
            raise ValueError(
                f"in_features: found {in_features} with grad='sparse', wanted a multiple of 16; "
                "other widths would cost a copy of the weight a step, as grad='dense' does"
            )
        places, stride = self._state.shape
        if dtype == torch.float64 or self._state.apart:
            stride = self.in_features
        room = storage.allocate(places, stride, dtype=dtype)
        self.weight = nn.Parameter(room[: self.out_features, : self.in_features])
        room = storage.allocate(places, dtype=dtype)
        self.register_parameter("bias", nn.Parameter(room[: self.out_features]) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights and biases as ``nn.Linear`` does, from PyTorch's generator."""
        bound = 1 / math.sqrt(self.in_features)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)
        if self.weight.dtype == torch.float32 and not self._state.apart:
            self._state.adopt(self.weight, self.bias)
        self._state.head.stale()

    def forward(
        self, input: Tensor | SlideOutput | SparseActivations, target: Any = None
    ) -> SlideOutput:
        """Return the active neurons of each row, and the loss if there are targets.

        Parameters
        ----------
        input : Tensor, SlideOutput or SparseActivations
            Floats of shape (rows, in_features), or what another sampled layer returned.
        target : Tensor, array, CSR, or list of lists, optional
            One class a row, int64, shape (rows,); labels padded with -1 or -100, shape
            (rows, most); CSR of shape (rows, out_features); or a list with the label ids of each
            row.

        Returns
        -------
        SlideOutput
            The loss is the mean over the rows that have labels; others have no active neurons.
            Without a target, a row computes in training what its sampler chooses, and what
            prediction through the tables would score when ``self.training`` is False.

        Raises
        ------
        TypeError, ValueError
            If shapes, types or ids are wrong.
        RuntimeError
            In a module that is wrapped in ``DistributedDataParallel``.
        """
        x = self._input(input)
        grad = self.grad
        self._check_surroundings()
        if self.weight.dtype == torch.float64:
            return reference.forward(self, x, target)
        state = self._state
        parameters = self.weight, self.bias
        if target is None:
            logits, indptr, indices = ops.sampled_logits(
                *x, *parameters, state.ledger, state.handle, grad, self.training
            )
            return SlideOutput(None, indptr, indices, logits)
        rows = x[0].shape[0] if x[1] is None else x[1].shape[0] - 1
        wanted = targets(target, self.out_features, rows, ignore_index=self.ignore_index)
        losses, indptr, indices, logits, _, _ = ops.sampled_loss(
            *x,
            *parameters,
            wanted.labels,
            wanted.indptr,
            wanted.grades,
            state.ledger,
            state.handle,
            grad,
        )
        return SlideOutput(losses.sum() / wanted.labelled, indptr, indices, logits, losses)

    def _input(self, found: Any) -> tuple[Tensor, Tensor | None, Tensor | None]:
        if not isinstance(found, Tensor | SlideOutput | SparseActivations):
            raise TypeError(
                f"input: found {type(found).__name__}, wanted a Tensor, or what a sampled layer "
                "returns"
            )
        if isinstance(found, Tensor):
            if found.ndim != 2 or found.shape[1] != self.in_features:
                raise ValueError(
                    f"input: found shape {tuple(found.shape)}, wanted (rows, {self.in_features}); "
                    "input.flatten(0, -2) makes rows of more dimensions"
                )
            x, indptr, indices = found, None, None
        else:
            indptr, indices, x, _ = ascending(found, self.in_features)
        if x.device.type != "cpu":
            raise ValueError(f"input: found device {x.device}, wanted cpu")
        if x.dtype in (torch.bfloat16, torch.float16):
            x = x.float()
        if x.dtype != self.weight.dtype:
            raise TypeError(f"input: found dtype {x.dtype}, wanted {self.weight.dtype}")
        return x.contiguous(), indptr, indices

    def _check_surroundings(self) -> None:
        if self.bias is not None and self.bias.requires_grad != self.weight.requires_grad:
            raise ValueError(
                "requires_grad: found it for one of weight and bias, wanted it for both or none"
            )
        if torch.compiler.is_compiling():
            return
        if self._state.weight is self.weight:
            # One that was frozen may be trained by now.
            self._state.bind(self.weight, self.bias)
        computed = not isinstance(self.weight, nn.Parameter) and self.weight.requires_grad
        if computed and self.grad == "rows" and torch.is_grad_enabled():
            raise RuntimeError(
                "weight: found a tensor in the place of the layer's own parameter, as of a "
                "parametrization or functional_call, with grad='rows'; wanted grad='dense'"
            )
        if not self.training:
            return
        if DistributedDataParallel._active_ddp_module is not None:
            raise RuntimeError(
                "SlideLinear: found it inside of DistributedDataParallel, which would send dense "
                "gradients; wrap the layers before it only, and keep one head a process"
            )

    def topk(
        self, input: Tensor | SlideOutput | SparseActivations, k: int, mode: str = "exact"
    ) -> TopK:
        """Return the best `k` labels of each row with their scores; no gradient flows.

        Parameters
        ----------
        input : Tensor, SlideOutput or SparseActivations
            As for `forward`.
        k : int
            Labels a row.
        mode : {"exact", "lsh"}
            Among all labels, or among those that the sampler finds.
        """
        return exact.topk(self, self._input(input), k, mode)

    def log_prob(self, input: Tensor) -> Tensor:
        """Return the log of the softmax over all labels, shape (rows, out_features).

        For small problems: it computes and holds every score. Gradients flow to the input, and to
        the parameters with ``grad="dense"`` only.
        """
        return exact.log_prob(self, self._input(input))

    def recall(self, input: Tensor | SlideOutput | SparseActivations, k: int = 1) -> float:
        """Return the share of the exact best `k` labels that the sampler finds.

        Parameters
        ----------
        input, k
            As for `topk`.
        """
        return exact.recall(self, self._input(input), k)

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """Take a parameter in the place of another of this name; assignments do so too."""
        super().register_parameter(name, param)
        if isinstance(weight := self._parameters.get("weight"), Tensor):
            self._state.bind(weight, self._parameters.get("bias"))

    def get_extra_state(self) -> Tensor:
        """Return what a ``state_dict`` holds besides the parameters: configuration and steps.

        It is JSON in UTF-8, a number for each byte, since formats as safetensors hold tensors only.
        """
        return _as_bytes({"config": self._state.config, **self._state.counts()})

    def set_extra_state(self, state: Tensor) -> None:
        """Go on from the steps of a ``state_dict``; sampler and seed stay those of this layer."""
        try:
            told = json.loads(bytes(state.tolist()))
            del told["config"]
            self._state.resume(**told)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"_extra_state: found {type(state).__name__} that no SlideLinear of this version "
                f"saved, wanted bytes with counts ({error})"
            ) from error

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *others: Any) -> None:
        # What a linear layer saved says nothing of steps.
        nothing = {"config": None, "steps": 0, "input_norm": 1.0}
        state_dict.setdefault(f"{prefix}_extra_state", _as_bytes(nothing))
        super()._load_from_state_dict(state_dict, prefix, *others)
        self._state.head.stale()

    def __getstate__(self) -> dict[str, Any]:
        # A copy has a head of its own, and builds its tables anew when it needs them.
        return {**self.__dict__, "_state": self._state.document()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = {**state, "_state": HeadState.from_document(state["_state"])}
        super().__setstate__(state)  # type: ignore[no-untyped-call, unused-ignore]
        self._state.bind(self.weight, self.bias)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SlideLinear:
        empty = self.weight.new_empty(0)
        found = fn(empty)
        if found.device != empty.device or found.dtype != empty.dtype:
            raise ValueError(
                f"SlideLinear: found a move to {found.dtype} on {found.device}, wanted it to stay "
                f"{empty.dtype} on cpu: move the other modules alone, and give it their output "
                "on the CPU; float64 is an option of a new layer"
            )
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call, unused-ignore]
        return self

    def rebuild_(self) -> None:
        """Have every row hashed again before the tables are next asked.

        Needed only where something wrote into the weights that PyTorch does not know of.
        """
        self._state.head.stale()

    def extra_repr(self) -> str:
        """Return the options."""
        kind = self._state.config["sampler"]["kind"]
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}, sampler={kind}, loss={self.loss!r}, grad={self.grad!r}"
        )


def _as_bytes(document: Any) -> Tensor:
    text = json.dumps(document).encode()
    # Of one length whatever was counted, so that a state may be read into the place of another.
    return torch.tensor(list(text.ljust(-(-len(text) // 1024) * 1024)), dtype=torch.uint8)
