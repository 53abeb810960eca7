"""Everything in the language compiles, and computes what its nodes say one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
from compiled import load, verified

from archdsl.analysis.state import state_dict
from archdsl.backends.python_source import CompileError, python_source
from archdsl.backends.torch_module import torch_module
from archdsl.pipeline import Spec

CONSTRUCTS = {
    "several inputs": """
        network net { input left: [3, 8, 8]; input right: [3, 8, 8]
          a: { from left -> Conv2d(4, 3, padding = 1) }
          b: { from right -> Conv2d(4, 3, padding = 1) }
          add { branch { from a } branch { from b } }
        }""",
    "several outputs": """
        network net { input image: [3, 8, 8]
          stem: Conv2d(4, 3, padding = 1)
          output boxes { box: Conv2d(2, 1) }
          output class { Conv2d(5, 1) -> Sigmoid }
          head: Conv2d(7, 1)
          output logits
        }""",
    "outputs in training": """
        network net { input image: [3, 8, 8]
          stem: Conv2d(4, 3)
          output aux when training { Flatten -> Dropout(0.5) -> fc_aux: Linear(3) }
          output aux2 when training { Flatten -> Linear(5) }
          head: Conv2d(2, 1)
        }""",
    "outputs in training inside a block": """
        block Head { aux: { Conv2d(5, 1) -> ReLU } }
        block Body { stem: Conv2d(4, 3); side: Head; from stem -> main: Conv2d(2, 1) }
        network net { input image: [3, 8, 8]
          body: Body
          output aux when training { from body.side -> Conv2d(1, 1) }
        }""",
    "two evaluated and one for training": """
        network net { input image: [3, 8, 8]
          stem: Conv2d(4, 3)
          output early { Flatten -> Linear(3) }
          output aux when training { Flatten -> Linear(5) }
          head: Conv2d(2, 1)
        }""",
    "reuse of a layer": """
        network net { input image: [3, 8, 8]
          conv: Conv2d(3, 3, padding = 1); ReLU; reuse conv; ReLU; reuse conv
        }""",
    "reuse of a block": """
        block Unit(width) {
          residual { conv: Conv2d(width, 3, padding = 1) -> bn: BatchNorm2d -> ReLU }
        }
        network net { input image: [3, 8, 8]
          unit: Unit(3); between: Conv2d(3, 1); reuse unit; reuse unit; last: Conv2d(2, 1)
        }""",
    "names that loops count with": """
        block Unit(i, layer) {
          named: { stem: Linear(i); for j in range(3) { "l{j}": Linear(i) } }
          listed: { Linear(layer); repeat 3 { ReLU; Linear(layer) } }
          repeat 5 { Linear(i); Linear(layer) }
        }
        network net { input i: [8]; input layer: [8]
          from i -> one: { Unit(5, 6); Unit(7, 4) }
          for j in range(5) {
            "x{j}": { from one -> Linear(8) -> add { branch {} branch { from layer } } }
          }
          add { for j in range(5) { branch { from "x{j}" } } }
        }""",
    "reuse of a block with a tensor of its own": """
        block Unit { Conv2d(4, 1)
          parameter p: [4, 1, 1] = 0.5
          mul { branch {} branch { from p } }
          Identity
        }
        network net { input image: [4, 4, 4]
          unit: Unit
          reuse unit
          add { branch {} branch { from unit } }
        }""",
    "reuse of a block whose tensor is read outside of it": """
        block Scaled {
          parameter factor: [4, 1, 1] = 0.5
          mul { branch {} branch { from factor } }; Conv2d(4, 1)
        }
        block Twice {
          inner: Scaled; Tanh; mul { branch {} branch { from inner.factor } }
          reuse inner; Sigmoid; mul { branch {} branch { from inner.factor } }
          last: Conv2d(4, 1)
          add { branch { from last -> Tanh } branch { from inner -> ReLU } }
        }
        network net { input image: [4, 8, 8]; a: Twice; between: Conv2d(4, 1); b: Twice; ReLU }
        """,
    "reuse of a group that ends with a reuse": """
        block Unit { Conv2d(4, 1) -> Conv2d(4, 3, padding = 1) }
        network net { input image: [4, 4, 4]
          group: { Conv2d(4, 1); unit: Unit; reuse unit }
          reuse group
          ReLU
        }""",
    "siamese": """
        block Twin { conv: Conv2d(4, 3); Tanh; Flatten; fc: Linear(5) }
        network net { input left: [3, 8, 8]; input right: [3, 8, 8]
          from left -> twin: Twin
          a: in
          from right -> b: reuse twin
          sub { branch { from a } branch { from b } }
          Abs
        }""",
    "reuse from within another scope": """
        network net { input image: [3, 8, 8]
          conv: Conv2d(3, 3, padding = 1)
          deep: { inner: { reuse conv -> Conv2d(3, 1) } -> ReLU }
        }""",
    "skips": """
        block Down(width) { conv: Conv2d(width, 3, padding = 1); ReLU; }
        network net { input image: [3, 16, 16]
          enc1: Down(4)
          enc2: { MaxPool2d(2) -> Down(8) }
          mid: { MaxPool2d(2) -> Down(8) -> Upsample(scale_factor = 2) }
          concat { branch { from enc2 } branch {} }
          dec2: Down(8)
          up: ConvTranspose2d(4, 2, stride = 2)
          concat { branch { from enc1 } branch {} }
          Conv2d(2, 1)
        }""",
    "from into a block": """
        block Inner { first: Conv2d(4, 3, padding = 1); ReLU; second: Conv2d(4, 3, padding = 1) }
        block Outer { inner: Inner; last: Conv2d(4, 1) }
        network net { input image: [3, 8, 8]
          outer: Outer
          add { branch {} branch { from outer.inner.first } branch { from outer.inner } }
        }""",
    "a scope that reads what is outside": """
        network net { input image: [3, 8, 8]
          stem: Conv2d(4, 3, padding = 1)
          other: Conv2d(4, 1)
          join: { add { branch { Conv2d(4, 1) } branch { from stem } } -> ReLU }
        }""",
    "a block of several inputs": """
        block Fuse(width) {
          input low; input high
          a: { from low -> Conv2d(width, 1) }
          b: { from high -> Conv2d(width, 1) }
          mul { branch { from a } branch { from b } }
        }
        network net { input image: [3, 8, 8]
          one: Conv2d(4, 1)
          two: Conv2d(5, 1)
          from one, two -> f1: Fuse(3)
          from two, f1 -> f2: Fuse(6)
        }""",
    "dotted labels": """
        network net { input image: [3, 8, 8]
          layers.0: Conv2d(4, 1)
          ReLU
          layers.1: Conv2d(4, 1)
          parts.a.x: Conv2d(4, 1)
          parts.b: BatchNorm2d
          parts.a.y: Conv2d(2, 1)
        }""",
    "tensors of its own": """
        block Scaled(width) {
          parameter gamma: [in.channels, 1, 1] = 0.000001
          conv: Conv2d(in.channels, 1)
          mul { branch {} branch { from gamma } }
        }
        network net { input image: [3, 8, 8]
          buffer mean: [3, 1, 1] = [0.5, 0.4, 0.3]
          sub { branch {} branch { from mean } }
          a: Scaled(3); wide: Conv2d(6, 1); b: Scaled(6)
        }""",
    "a class token": """
        network net { input tokens: [7, 12]
          parameter class_token: [batch, 1, 12] = normal(std = 0.02)
          concat { branch { from class_token } branch {} }
          layer: { norm: LayerNorm -> attention: MultiheadAttention(3) }
          Select(0, dim = 1)
          head: Linear(5)
        }""",
    "free sizes": """
        network net { input image: [3, H, W]
          a: Conv2d(4, 3, padding = 1) -> MaxPool2d(2) -> Upsample(scale_factor = 2)
          concat { branch { from a } branch {} }
          Conv2d(2, 1)
        }""",
    "layers that torch lacks": """
        network net { input image: [3, 9, 9]
          c1: Conv2d(4, 3, stride = 2, padding = "same")
          c2: Conv2d(6, 3, stride = 2, padding = "same")
          n: LayerNorm2d
          c3: Conv2d(2, 2, connections = [[0, 1], [2, 3, 4]])
        }""",
    "a long sum": """
        network net { input image: [3, 8, 8]
          add { for i in range(12) { branch { "c{i}": Conv2d(4, 1) } } }
          mul { branch {} branch { Sigmoid } branch { Tanh } }
        }""",
    "numbers in the forward pass": """
        block Part(start) { Slice(start, start + 2); Conv2d(4, 1) -> Scale(start + 0.5) }
        network net { input image: [8, 4, 4]
          a: Part(0); wide: Conv2d(8, 1); b: Part(3); Conv2d(8, 1); c: Part(5)
        }""",
    "nothing but functions": """
        block Swish { mul { branch {} branch { Sigmoid } } }
        block Turn { Permute([0, 2, 3, 1]) }
        network net { input image: [3, 8, 8]; c: Conv2d(4, 1); Swish; Turn; Linear(3); Swish }
        """,
    "a network without parameters": "network net { input image: [3, 8, 8]; ReLU; MaxPool2d(2) }",
    "the identity": "network net { input image: [3, 8, 8]; Identity; output same; }",
    "indices": """
        network net { input words: [6]; table: Embedding(10, 4); LSTMless: Linear(3) }
        """,
    "an attention block": """
        block Attend(width, heads) {
          residual { norm1: LayerNorm; attention: MultiheadAttention(heads) }
          residual { norm2: LayerNorm; mlp: { Linear(4 * width) -> GELU -> Linear(width) } }
        }
        network net { input tokens: [5, 12]; repeat 3 { Attend(12, 3) }; norm: LayerNorm }
        """,
}


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_it_computes_what_its_nodes_say(name: str, tmp_path: Path) -> None:
    checked = load(tmp_path, CONSTRUCTS[name])

    _, found = verified(checked)

    assert not found.disagreeing
    assert not found.differing
    assert found.parameters.agrees, found.parameters
    module = torch_module(checked, device="meta")
    assert [*module.state_dict()] == [*state_dict(checked)]


@pytest.mark.parametrize(
    ("bad", "label"),
    [
        ("forward: Conv2d(4, 1)", "forward"),
        ("ReLU -> b.forward : Conv2d(4, 1)", "b.forward"),
        ("forward: residual { Conv2d(4, 1) }", "forward"),
        ("b.double.q: Conv2d(4, 1)", "b.double.q"),
        ('ReLU; "forward": Inner', '"forward"'),
        ("c: { ReLU; forward: { Inner; Inner } }", "forward"),
        ("add { branch forward { Inner; Inner } branch { in } }", "forward"),
        ('for i in range(2) { "d{i}": Inner(i) }', '"for{a}"'),
    ],
)
def test_a_reserved_label_is_shown_where_it_stands(bad: str, label: str, tmp_path: Path) -> None:
    path = tmp_path / "net.arch"
    path.write_text(
        f"network n {{ input x: [4, 8, 8]; first: Conv2d(4, 1); b.x: Conv2d(4, 1); {bad} }}\n"
        'block Inner(n = 1) {\n  let a = "ward" if n == 0 else "x"\n'
        '  "for{a}": { Conv2d(4, 1) }\n}\n'
    )
    with pytest.raises(CompileError) as raised:
        python_source(Spec(str(path)).graph())
    (found,) = raised.value.diagnostics
    assert found.span is not None
    assert found.span.source.text[found.span.start : found.span.end] == label
    assert len(found.trail) == (1 if label == '"for{a}"' else 0)
