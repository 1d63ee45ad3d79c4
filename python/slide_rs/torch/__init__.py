"""Layers and an optimiser for PyTorch: ``pip install 'slide_rs[torch]'``."""

from slide_rs import extras

extras.imported("torch", "torch", "slide_rs.torch")

from slide_rs.torch.activations import SlideOutput, SparseActivations, TopK  # noqa: E402
from slide_rs.torch.adam import SlideAdam  # noqa: E402
from slide_rs.torch.linear import SlideLinear  # noqa: E402
from slide_rs.torch.softmax import SampledSoftmax  # noqa: E402

__all__ = [
    "SampledSoftmax",
    "SlideAdam",
    "SlideLinear",
    "SlideOutput",
    "SparseActivations",
    "TopK",
]
