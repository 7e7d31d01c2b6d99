"""LSTM: recurrent nets with a memory, learnt from all series.

References
----------
See `networks`.
"""

from __future__ import annotations

from weighhouse.forecasting.networks import LSTM
from weighhouse.forecasting.neural import Nets

__all__ = ["KIND"]

KIND = Nets("lstm", LSTM)
