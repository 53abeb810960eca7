"""The table of layers: what each of Keras becomes in torch. A new one is an entry in a family."""

from __future__ import annotations

from archdsl.importing.keras import (
    attention,
    convolution,
    functions,
    merging,
    normalization,
    pooling,
    recurrent,
)
from archdsl.importing.keras.at import LAYERS

FAMILIES = (attention, convolution, functions, merging, normalization, pooling, recurrent)

__all__ = ["FAMILIES", "LAYERS"]
