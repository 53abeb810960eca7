"""`weight = from standardized`: layers whose parameters are tensors that the network computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from shown import Arch, Wrong

import archdsl
from archdsl.analysis.state import state_dict

NET = """
network n(width: int = 8) {
  input image: [3, 16, 16]
  stem: Standardized(width, 3, stride = 2)
  ReLU
  for i in range(2) { "c{i}": Standardized(width, 3, groups = 2) }
  Mean([2, 3])
  head: Normed(5)
}
# Qiao et al., Micro-Batch Training with Batch-Channel Normalization and Weight Standardization
block Standardized(out, kernel, stride = 1, groups = 1) {
  x: in
  parameter weight: [out, in.channels // groups, kernel, kernel] = normal(std = 0.02)
  parameter bias: [out]
  from weight -> standardized: LayerNorm(eps = 1e-6, elementwise_affine = false, axes = 3)
  from x
  Conv2d(out, kernel, stride, kernel // 2, 1, groups, weight = from standardized, bias = from bias)
}
# Salimans and Kingma, Weight Normalization
block Normed(out) {
  x: in
  parameter length: [out, 1] = 1.0
  parameter direction: [out, in.features] = normal()
  from direction -> Normalize(2.0, 1)
  mul { branch {} branch { from length } } as weight
  from x -> Linear(out, bias = false, weight = from weight)
}
"""


def test_it_is_counted_where_it_is_declared(arch: Arch) -> None:
    graph = arch(NET)
    kinds = {node.name: (node.type, [*node.inputs]) for node in graph.nodes.values()}

    assert kinds["stem.1"] == ("Conv2d", ["image", "stem.standardized", "stem.bias"])
    assert kinds["head.1"] == ("Linear", ["4", "head.mul"])
    assert graph.nodes["stem.1"].facts.params == {}
    assert graph.nodes["stem.1"].facts.macs == 8 * 8 * 8 * 27
    # once, whatever the batch is
    assert graph.nodes["stem.standardized"].facts.other == {"normalization": 5 * 8 * 27}
    assert list(state_dict(graph)) == [
        *(f"{at}.{of}" for at in ("stem", "c0", "c1") for of in ("weight", "bias")),
        *("head.length", "head.direction"),
    ]


def test_module_computes_it_as_by_hand(tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch")
    functional = torch.nn.functional
    path = tmp_path / "n.arch"
    path.write_text(NET)
    module: Any = archdsl.load(path).compile().eval()
    x = image = torch.randn(2, 3, 16, 16)
    for name, stride, groups in (("stem", 2, 1), ("c0", 1, 2), ("c1", 1, 2)):
        held = module.get_submodule(name)
        var, mean = torch.var_mean(held.weight, (1, 2, 3), keepdim=True, unbiased=False)
        weight = (held.weight - mean) * torch.rsqrt(var + 1e-6)
        x = functional.conv2d(x, weight, held.bias, stride, 1, groups=groups)
        x = functional.relu(x) if name == "stem" else x
    direction = module.head.direction
    weight = module.head.length * direction / direction.norm(dim=1, keepdim=True)

    torch.testing.assert_close(module(image), x.mean((2, 3)) @ weight.T, rtol=1e-5, atol=1e-5)


SHARED = """network n {{ input x: [3, 8, 8]
  parameter w: [4, 3, 3, 3] = normal()
  parameter b: [4]
  buffer ints: [4, 3, 3, 3] = 1
  buffer fixed: [4, 3, 3, 3] = 0.25
  from w -> std: Neg
  from b -> b2: Neg
  from x -> first: Conv2d(4, 1)
  {stage}
  output p
  output q {{ from std }}
  output r {{ from b2 }}
  output s {{ from b }}
  output t {{ from ints }}
  output u {{ from fixed }}
  output v {{ from first }}
}}
block Given(out) {{ input x; input w; from x -> Conv2d(out, 3, bias = false, weight = from w) }}
"""


@pytest.mark.parametrize(
    "stage",
    [
        "from x -> Conv2d(4, 3, bias = false, weight = from fixed)",
        "from x -> Conv2d(4, 3, weight = from std, bias = from b)",
        "from x -> Conv2d(4, 3, bias = from b2, weight = from w)",
        "from x, std -> Given(4)",
        "from x\ng: { Conv2d(4, 3, bias = false, weight = from std) }\n"
        "from x -> ReLU -> r: reuse g\nadd { branch { from g } branch { from r } }",
        "from w -> Conv2d(4, 3, bias = false, weight = from std)",
        "from x\nrepeat 2 { Conv2d(4, 3, bias = false, weight = from std) -> Conv2d(3, 1) }",
    ],
)
def test_tensors_that_all_samples_share_do(arch: Arch, stage: str) -> None:
    graph = arch(SHARED.format(stage=stage))
    assert "F.conv2d" in str([node.facts.torch for node in graph.nodes.values()])


@pytest.mark.parametrize(
    ("stage", "message", "help"),
    [
        (
            "Conv2d(4, 3, weight = from std)",
            "`Conv2d` is given its `weight`, and would have a `bias` of its own",
            "`parameter bias: [4]` and `bias = from bias`",
        ),
        (
            "Conv2d(5, 3, bias = false, weight = from std)",
            "`Conv2d` takes a `weight` of 5 x 3 x 3 x 3, and this is 4 x 3 x 3 x 3",
            "",
        ),
        (
            "Conv2d(4, 3, bias = false, kernel = from std)",
            "`Conv2d` has no parameter `kernel`",
            "its parameters here are `weight`",
        ),
        ("ReLU(weight = from std)", "`ReLU` has no parameter `weight`", "it has no parameters"),
        (
            "BatchNorm2d(weight = from b2, bias = from b)",
            "`BatchNorm2d` takes no `weight` that is computed",
            "`RMSNorm` do",
        ),
        (
            "Conv2d(4, 3, weight = from std, bias = from first.bias)",
            "this is a parameter of a layer, and what comes in beside it is computed",
            "declare it as a `parameter` of the network's own",
        ),
        (
            "Conv2d(4, 3, weight = from std, bias = from first.bais)",
            "`first.bais` is no parameter of a layer, and no tensor that all samples share",
            "`from first.weight` or `from first.bias`",
        ),
        (
            "Conv2d(4, 3, bias = false, weight = from x)",
            "`x` is no parameter of a layer, and no tensor that all samples share",
            "",
        ),
        (
            "Conv2d(4, 3, weight = from std, bias = from x)",
            "`Conv2d` takes a `bias` that all samples share, and this one is another for each",
            "",
        ),
        ("Conv2d(4, 3, weight = from std, weight = from std)", "`Conv2d` takes `weight` once", ""),
        (
            "Conv2d(4, 3, bias = false, weight = from ints)",
            "`Conv2d` takes a `weight` of floats, and integers come in",
            "`0.0`",
        ),
        ("Conv2d(4, 3, bias = false, weight = from no)", "no stage before this is labelled", ""),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: Wrong, stage: str, message: str, help: str) -> None:
    (error, *_) = wrong(SHARED.format(stage=f"from x -> {stage}"))
    assert message in error.message()
    assert help in error.help()
