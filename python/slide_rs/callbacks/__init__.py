"""Code that runs in the course of training: the user's, and what many users want."""

from slide_rs.callbacks.base import Callback
from slide_rs.callbacks.csvlog import CSVLogger
from slide_rs.callbacks.progress import ProgressBar, chosen
from slide_rs.callbacks.pruning import OptunaPruning
from slide_rs.callbacks.rates import LearningRateScheduler, ReduceLROnPlateau
from slide_rs.callbacks.stopping import EarlyStopping
from slide_rs.callbacks.tables import HashTableMonitor
from slide_rs.callbacks.tensorboard import TensorBoard
from slide_rs.callbacks.trackers import MLflowLogger, WandbLogger

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "HashTableMonitor",
    "LearningRateScheduler",
    "MLflowLogger",
    "OptunaPruning",
    "ProgressBar",
    "ReduceLROnPlateau",
    "TensorBoard",
    "WandbLogger",
    "chosen",
]
