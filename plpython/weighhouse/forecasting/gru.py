"""GRU: recurrent nets with gates, learnt from all series.

References
----------
See `networks`.
"""

from __future__ import annotations

from weighhouse.forecasting.networks import GRU
from weighhouse.forecasting.neural import Nets

__all__ = ["KIND"]

KIND = Nets("gru", GRU)
