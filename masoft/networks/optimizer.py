"""The optimiser that networks have by default, by the name that saved settings know."""

from masoft.fast.adam import FusedAdam

__all__ = ["FusedAdam"]
