"""The measures of each epoch for services that keep them: Weights & Biases, and MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from slide_rs.callbacks.base import Callback
from slide_rs.callbacks.tensorboard import plain

if TYPE_CHECKING:
    from slide_rs.network import Network

__all__ = ["MLflowLogger", "WandbLogger"]


class WandbLogger(Callback):
    """Logs what `History` records, and the network's configuration, to Weights & Biases.

    Each ``fit`` is a run. ``epoch`` is logged with the measures. A run that training did not bring
    to an end, because of an error or Ctrl-C, is marked as failed.

    Parameters
    ----------
    project, name : str, optional
        As in ``wandb.init``.
    run : wandb.Run, optional
        Log to this run, which stays open, and not to one of its own.
    **options
        Whatever else ``wandb.init`` takes, such as ``mode="offline"``.

    Raises
    ------
    ImportError
        If wandb is not there: ``pip install 'slide_rs[wandb]'``.

    Examples
    --------
    >>> net.fit(X, Y, callbacks=[WandbLogger("labels", mode="offline")])  # doctest: +SKIP
    """

    def __init__(
        self,
        project: str | None = None,
        name: str | None = None,
        *,
        run: Any = None,
        **options: Any,
    ) -> None:
        try:
            import wandb  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            raise ImportError("WandbLogger needs wandb: pip install 'slide_rs[wandb]'") from None
        self._init = wandb.init
        self._options = {**options, "project": project, "name": name}
        self._given = run
        self._run: Any = None
        self._is_whole = False

    def on_train_begin(self, network: Network, epochs: int) -> None:
        """Begin a run, and log the configuration of the network."""
        self._is_whole = False
        self._run = self._init(**self._options) if self._given is None else self._given
        config = {"network": json.loads(network.config.to_json())}
        # The networks of an ensemble differ in their seeds, and a given run has them all.
        self._run.config.update(config, allow_val_change=True)

    def on_epoch_begin(self, epoch: int) -> None:
        """Note that an epoch is running."""
        self._is_whole = False

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Log the measures."""
        self._run.log({"epoch": epoch, **logs})
        self._is_whole = True

    def on_train_end(self) -> None:
        """End the run, if it was begun here."""
        run, self._run = self._run, None
        if run is not None and self._given is None:
            run.finish(exit_code=0 if self._is_whole else 1)


class MLflowLogger(Callback):
    """Logs what `History` records, a step an epoch, and the network's configuration to MLflow.

    Each ``fit`` is a run; the active run of ``mlflow`` is left alone. MLflow knows no ``@`` in
    names: ``val_p@1`` is ``val_p_at_1`` there. What is not a number in an epoch is left out. The
    configuration is the artifact ``network.json``. A run that training did not bring to an end,
    because of an error or Ctrl-C, is marked as failed.

    Parameters
    ----------
    experiment : str
        Its name; it is made if there is none.
    run_name : str, optional
        Name of the run; MLflow chooses one when not given.
    tracking_uri : str, optional
        Where to log to; where MLflow would when not given.

    Raises
    ------
    ImportError
        If mlflow is not there: ``pip install 'slide_rs[mlflow]'``.

    Examples
    --------
    >>> net.fit(X, Y, callbacks=[MLflowLogger("labels")])  # doctest: +SKIP
    """

    def __init__(
        self,
        experiment: str = "Default",
        run_name: str | None = None,
        *,
        tracking_uri: str | None = None,
    ) -> None:
        try:
            from mlflow import MlflowClient  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            raise ImportError("MLflowLogger needs mlflow: pip install 'slide_rs[mlflow]'") from None
        self._client = MlflowClient(tracking_uri=tracking_uri)
        self._experiment, self._run_name = experiment, run_name
        self._run_id: str | None = None
        self._is_whole = False

    def on_train_begin(self, network: Network, epochs: int) -> None:
        """Begin a run, and log the configuration of the network."""
        self._is_whole = False
        found = self._client.get_experiment_by_name(self._experiment)
        number = (
            self._client.create_experiment(self._experiment)
            if found is None
            else found.experiment_id
        )
        self._run_id = self._client.create_run(number, run_name=self._run_name).info.run_id
        self._client.log_text(self._run_id, network.config.to_json(), "network.json")

    def on_epoch_begin(self, epoch: int) -> None:
        """Note that an epoch is running."""
        self._is_whole = False

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Log the measures."""
        assert self._run_id is not None
        for name, value in plain(logs).items():
            self._client.log_metric(self._run_id, name, value, step=epoch)
        self._is_whole = True

    def on_train_end(self) -> None:
        """End the run."""
        run_id, self._run_id = self._run_id, None
        if run_id is not None:
            status = "FINISHED" if self._is_whole else "FAILED"
            self._client.set_terminated(run_id, status)
