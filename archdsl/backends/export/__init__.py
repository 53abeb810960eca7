"""Files for other programs: ONNX, torch.export's .pt2, safetensors. Imports torch."""

from __future__ import annotations

from archdsl.backends.export.writing import (
    Exported,
    export_onnx,
    export_pt2,
    save_weights,
    weights_as_bytes,
)

__all__ = ["Exported", "export_onnx", "export_pt2", "save_weights", "weights_as_bytes"]
