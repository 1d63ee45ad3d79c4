"""What a notebook shows of training and of a history."""

from __future__ import annotations

import pytest

# Kernels of today do not go with the oldest matplotlib.
nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

CELLS = (
    """
import slide_rs
from slide_rs import layers
data = slide_rs.datasets.make_xmc(300, n_features=200, n_labels=1500, seed=0)
net = slide_rs.Network([layers.SparseInput(200), layers.Dense(8), layers.SampledDense(1500)])
history = net.fit(data.X, data.Y, epochs=2)
""",
    "net",
    "history.plot()",
    "axes = slide_rs.inspect.plot_buckets(net)",
    "history.to_frame()",
)


def test_a_kernel_trains_in_silence_and_shows_plots_and_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Set by other tests, it would keep pictures out of the notebook.
    monkeypatch.delenv("MPLBACKEND", raising=False)
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbclient.NotebookClient(book, kernel_name="python3", timeout=120).execute()
    trained, network, plot, buckets, frame = (cell["outputs"] for cell in book["cells"])
    # A kernel is no terminal: no bar is drawn over its cell.
    assert trained == []
    assert "slide_rs.Network 200 -> 8 -> 1500" in network[-1]["data"]["text/plain"]
    for outputs in (plot, buckets):
        assert ["image/png" in output.get("data", {}) for output in outputs] == [True]
    assert "<table" in frame[-1]["data"]["text/html"]
