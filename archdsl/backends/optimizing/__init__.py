"""Makes networks faster for inference, and says by how much."""

from __future__ import annotations

from archdsl.backends.optimizing.calibration import MOST
from archdsl.backends.optimizing.engines import ENGINES
from archdsl.backends.optimizing.optimized import Optimized, Report, optimize
from archdsl.backends.optimizing.passes import PASSES

__all__ = ["ENGINES", "MOST", "PASSES", "Optimized", "Report", "optimize"]
