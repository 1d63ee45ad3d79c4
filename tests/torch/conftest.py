"""The compiled head, or what stands in for it where the binary has none."""

from __future__ import annotations

import stand_in
from slide_rs import _core

if not hasattr(_core, "Head"):
    _core.Head = stand_in.Head
