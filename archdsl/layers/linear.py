"""Linear and bilinear maps of the last axis, and the identity.

A multiply-accumulate is one product of a weight and an input with its addition. The additions of
a bias stand under `other`, one for each number of the output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archdsl.layers.agreeing import agree
from archdsl.layers.arguments import Flag, FreeSize
from archdsl.layers.base import (
    ANY,
    GLOBAL,
    POINTWISE,
    Disagreement,
    Example,
    Facts,
    Layer,
    Shape,
    Shapes,
    TorchModule,
    Window,
    Windows,
    axis_name,
    by,
    numel,
    several,
    single,
    unpack,
)
from archdsl.layers.rewriting import Owned

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from archdsl.layers.autograd import Autograd, Tensor


def last_axis(shape: Shape, axes: int = 1) -> Windows:
    """Return the windows of what reads the whole last axis, or several, at each place of others."""
    if len(shape) == 1:
        return POINTWISE
    # a stride of 0: every output along the last axes reads the same places
    whole = [Window(size, 0) for size in shape[-axes:]]
    return (*[Window(1)] * (len(shape) - 1 - axes), *whole[-(len(shape) - 1) :])


class Linear(Layer):
    """Linear map of the last axis, `y = x W^T + b`: [..., in_features] to [..., out_features]."""

    family = "linear"
    batchless = True
    elsewhere = tuple((name, "Linear(out_features)") for name in ("dense", "fc", "fullyconnected"))

    examples = (
        Example({"out_features": 84}, inputs=((120,),), output=(84,), params=10_164, macs=10_080),
        Example(
            {"out_features": 5, "bias": False},
            inputs=((7, 6, 4),),
            output=(7, 6, 5),
            params=20,
            macs=840,
        ),
    )

    out_features: FreeSize
    bias: Flag = True

    def infer(self, inputs: Shapes) -> Facts:
        *others, features = unpack(inputs, "... features")
        output = (*others, self.out_features)
        seen = f"({features} + 1)" if self.bias else features
        return Facts(
            output=output,
            torch=TorchModule(
                "nn.Linear",
                (features, self.out_features),
                self.for_torch("out_features"),
                overwritable=True,
            ),
            params={"weight": (self.out_features, features)}
            | ({"bias": (self.out_features,)} if self.bias else {}),
            macs=numel(output) * features,
            other={"bias": numel(output)} if self.bias else {},
            windows=last_axis(inputs[0]),
            apart=len(output) > 1,
            arithmetic=by(seen, self.out_features),
        )

    def functional(self) -> str:
        return f"F.linear({{0}}, {{weight}}{', {bias}' if self.bias else ''})"

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.linear(inputs[0], torch.own["weight"], torch.own.get("bias"))

    def scaled(
        self, own: Owned, factor: Any, summand: Any, output: Shape
    ) -> tuple[Self, Owned] | None:
        if len(output) != 1:  # the first axis isn't the one that it gives
            return None
        bias = own["bias"] * factor + summand if "bias" in own else summand
        weights = {"weight": own["weight"] * factor[:, None], "bias": bias}
        return self.model_copy({"bias": True}), weights

    def fed(self, own: Owned, factor: Any, summand: Any, input: Shape) -> tuple[Self, Owned] | None:
        if len(input) != 1:
            return None
        bias = own["weight"] @ summand + own.get("bias", 0)
        return self.model_copy({"bias": True}), {"weight": own["weight"] * factor, "bias": bias}

    def narrowed(
        self, own: Owned, seen: Any, given: Any, input: Shape
    ) -> tuple[Self, Owned] | None:
        if len(input) != 1:
            return None
        kept = {name: each[given] for name, each in own.items()}
        kept["weight"] = kept["weight"][:, seen]
        return self.model_copy({"out_features": len(kept["weight"])}), kept

    def abreast(self, others: Sequence[Self]) -> Self | None:
        features = sum([each.out_features for each in (self, *others)])
        one = self.model_copy({"out_features": features})
        return one if all(each.bias == self.bias for each in others) else None


class Bilinear(Layer):
    """Bilinear map of two tensors, `y = x1 W x2 + b`: [..., in1] and [..., in2] to [..., out].

    As torch computes it, `x1 W` is formed for every output and then multiplied with `x2`, which
    makes `in2 (in1 + 1)` multiply-accumulates for each number of the output. (FlopCounterMode
    sees none of them: it does not look inside this operator.)
    """

    family = "linear"
    examples = (
        Example({"out_features": 7}, inputs=((3,), (5,)), output=(7,), params=112, macs=140),
        Example(
            {"out_features": 2, "bias": False},
            inputs=((6, 3), (6, 4)),
            output=(6, 2),
            params=24,
            macs=192,
        ),
    )

    out_features: FreeSize
    bias: Flag = True

    def infer(self, inputs: Shapes) -> Facts:
        for shape in several(inputs, least=2, most=2):
            unpack((shape,), "... features")
        (*others, first), (*same, second) = inputs
        if len(others) != len(same):
            raise Disagreement(())
        pairs = tuple(zip(others, same, strict=True))
        differ = [axis for axis, (left, right) in enumerate(pairs) if not agree(left, right)]
        if differ:
            raise Disagreement([axis_name(axis, len(inputs[0])) for axis in differ])
        output = (*others, self.out_features)
        product = by(first, second)
        return Facts(
            output=output,
            torch=TorchModule(
                "nn.Bilinear",
                (first, second, self.out_features),
                self.for_torch("out_features"),
                overwritable=True,
            ),
            params={"weight": (self.out_features, first, second)}
            | ({"bias": (self.out_features,)} if self.bias else {}),
            # first numbers for each of x1 W, and one more for its product with x2
            macs=numel(output) * second * (first + 1),
            other={"bias": numel(output)} if self.bias else {},
            # each tensor is read along its own last axis, and windows are the same for all inputs
            windows=POINTWISE if not others else GLOBAL,
            arithmetic=by(f"({product} + 1)" if self.bias else product, self.out_features),
            agreements=tuple((left, right) for left, right in pairs if left != right),
        )

    def functional(self) -> str:
        return f"F.bilinear({{0}}, {{1}}, {{weight}}{', {bias}' if self.bias else ''})"

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        rows = numel(torch.output[:-1])
        left, right = (torch.reshape(x, (rows, x.shape[-1])) for x in inputs)
        weight = torch.own["weight"]
        product = torch.result(
            (left, weight, right), (rows, self.out_features), saves=(left, weight, right)
        )
        if self.bias:
            product = torch.add(product, torch.own["bias"])
        return torch.reshape(product, torch.output)


class Identity(Layer):
    """The input as it is; computes nothing."""

    family = "linear"
    takes = ANY
    inert = True
    batchless = True
    examples = (Example({}, inputs=((3, 4, 4),), output=(3, 4, 4)),)

    def infer(self, inputs: Shapes) -> Facts:
        return Facts(output=single(inputs), torch=TorchModule("nn.Identity"), apart=True, view=True)

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return inputs[0]
