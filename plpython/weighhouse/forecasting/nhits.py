"""N-HiTS: nets that look at a window coarsely first, then finely, learnt from all series.

References
----------
See `networks`.
"""

from __future__ import annotations

from weighhouse.forecasting.networks import NHITS
from weighhouse.forecasting.neural import Nets

__all__ = ["KIND"]

KIND = Nets("nhits", NHITS)
