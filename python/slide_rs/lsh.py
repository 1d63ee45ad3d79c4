"""Hash tables that find the neurons likely to matter: what they are, and how to size them.

Examples
--------
>>> SimHash(n_tables=50, n_hashes=8).n_hashes
8
"""

from slide_rs.tables import DOPH, DWTA, WTA, Rebuild, SimHash, Tables
from slide_rs.tuning import Trial, Tuning, autotune

__all__ = [
    "DOPH",
    "DWTA",
    "WTA",
    "Rebuild",
    "SimHash",
    "Tables",
    "Trial",
    "Tuning",
    "autotune",
]
