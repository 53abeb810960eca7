"""A network as ONNX in integers of 8 bits, which onnxruntime makes of one in floats."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import torch

from archdsl.backends.optimizing.calibration import Sample
from archdsl.backends.optimizing.engines.base import EngineFailed
from archdsl.output import write_whole

# What computes with weights, and what goes on with the result without widening its range much.
# Softmax, normalizations of layers and GELU stay floats: 256 steps are too few for them.
OPERATIONS = (
    "Conv", "ConvTranspose", "Gemm", "MatMul", "Relu", "Clip", "Add", "Concat", "MaxPool",
    "AveragePool", "GlobalAveragePool", "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze",
    "Split", "Slice", "Pad",
)  # fmt: skip


def quantized(data: bytes, names: Sequence[str], samples: Sequence[Sample]) -> bytes:
    """Return a network of ONNX whose tensors go through integers of 8 bits.

    Weights have a scale for each channel, other tensors one each, from the least to the largest
    number that the samples make in them.

    Args:
        names: of its inputs, in order.

    Raises:
        EngineFailed: onnxruntime can't make it.
    """
    path = [*sys.path]
    from onnxruntime import quantization

    sys.path[:] = path  # to which it adds a folder of its own
    with TemporaryDirectory() as folder, _quiet():
        given, made = (os.path.join(folder, name) for name in ("given.onnx", "made.onnx"))
        write_whole(given, data)
        try:
            quantization.quantize_static(
                given,
                made,
                _Reader(names, samples),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=[*OPERATIONS],
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                # without VNNI a product of two pairs of 8 bits may overflow its 16
                reduce_range=not _has_vnni(),
            )
        except Exception as error:  # of its own kinds
            said = " ".join(str(error).split())[:300]
            raise EngineFailed(f"can't be led to 8 bits: {said}") from error
        with open(made, "rb") as written:
            return written.read()


class _Reader:
    """Gives samples one after the other, as onnxruntime asks for them."""

    def __init__(self, names: Sequence[str], samples: Sequence[Sample]) -> None:
        self.names, self.left = names, iter(samples)

    def get_next(self) -> Any:
        sample = next(self.left, None)
        if sample is None:
            return None
        return {name: each.numpy() for name, each in zip(self.names, sample, strict=True)}


def _has_vnni() -> bool:
    return bool(getattr(torch.cpu, "_is_vnni_supported", lambda: False)())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep onnxruntime from advising, by the root logger, what our passes have done already."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
