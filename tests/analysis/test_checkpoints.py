"""Modules that compute blocks again in the backward pass: the same numbers, and the memory said."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from compiled import require_success
from test_training import inputs_of, kept_by_torch, tracked
from torch import Tensor, nn

import archdsl
from archdsl import ArchError
from archdsl.analysis.training import Options, Training
from archdsl.backends.python_source import generate
from archdsl.patterns import checkpointed

pytestmark = pytest.mark.usefixtures("one_thread")

BLOCK = (
    "block Block(out) { conv: Conv2d(out, 3, padding = 1); bn: BatchNorm2d; ReLU; Dropout(0.3) }"
)
# The peak is compared with the last patterns of each.
CASES = {
    "blocks": (
        "input x: [3, 16, 16]; a: Block(4); b: Block(6); c: Block(4)",
        ("a", "b c", "*"),
    ),
    "in a list": (
        """input x: [3, 16, 16]; Conv2d(4, 1)
        body: { Block(4); Block(4); Block(4); Block(4); Block(8) }""",
        ("body", "body.*", "body.1 body.4"),
    ),
    "begins in place": (
        "input x: [3, 32, 32]; Conv2d(4, 3); a: { ReLU; conv: Linear(8) } ReLU; b: { ReLU6; Tanh }",
        ("a", "b", "a b"),
    ),
    "applied again": (
        "input x: [4, 8, 8]; a: Block(4); Tanh; reuse a; reuse a; b: { Linear(8); Tanh } reuse b",
        ("a", "b", "a b"),
    ),
    "functions alone": (
        """input x: [3, 8, 8]; Conv2d(4, 1)
        g: { Neg; ReLU; Flatten } h: { Identity; Reshape([4, 8, 8]) } Conv2d(4, 1)""",
        ("g", "h", "g h"),
    ),
    "several come in and go out": (
        """input x: [3, 16, 16]; stem: Conv2d(4, 1)
        side: {
          concat { branch { l: Conv2d(2, 1) } branch { from x; r: Conv2d(2, 3, padding = 1) } }
        }
        two: Two; from two.fine, two -> Pair; Conv2d(1, 1)
        """,
        ("two", "side two", "*", "side"),
    ),
    "own tensors": (
        """input x: [6, 8]; for i in range(4) { "t{i}": Mixed }; Linear(3)""",
        ("t*", "t1 t3"),
    ),
    "tied": (
        """input tokens: [5]; embed: Embedding(10, 4); mix: Mixed
        head: { Linear(10, weight = from embed.weight, bias = false); LogSoftmax(-1) }""",
        ("mix", "head", "mix head"),
    ),
}
MORE = """
block Two { Conv2d(4, 1); output fine { ReLU } MaxPool2d(2); Upsample(scale_factor = 2) }
block Pair { input a; input b; from a, b -> MatMul; Scale(2) }
block Mixed {
  parameter position: [in.shape[0], in.features]
  residual { LayerNorm; MultiheadAttention(2, dropout = 0.2) }
  add { branch {} branch { from position } }
}
"""


def network_of(body: str, folder: Path) -> archdsl.Network:
    file = folder / "n.arch"
    # a small result, since torch holds what comes back to it for as long as the backward pass takes
    file.write_text(f"network n {{{body}; Flatten; Linear(2)}}\n{BLOCK}\n{MORE}")
    return archdsl.load(file)


def step(module: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    """Run a training step; return what comes out, the gradients, and all that is stored then."""
    torch.manual_seed(1)
    module.train()
    given = module(*inputs)
    ends = [given] if isinstance(given, Tensor) else [*given]
    torch.autograd.backward(ends, [torch.ones_like(end) for end in ends])
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    return [*ends, *gradients, *module.state_dict().values()]


def check(network: archdsl.Network, patterns: list[str], *, peak: bool = True) -> None:
    scopes = checkpointed(network.checked, patterns).scopes
    plain = network.compile().train()
    module = network.compile(checkpoint=patterns).train()
    module.load_state_dict(copy.deepcopy(plain.state_dict()))
    inputs = inputs_of(network.checked, 2, torch.float32)

    assert [*module.state_dict()] == [*plain.state_dict()]
    kept = kept_by_torch(copy.deepcopy(module), inputs)
    assert Training(network.checked, Options(2, checkpoint=scopes)).kept == kept
    for one, other in zip(step(plain, inputs), step(module, inputs), strict=True):
        assert torch.equal(one, other)
    if peak:
        options = Options(16, "float32", "sgd", scopes)
        found = Training(network.checked, options).peak
        assert found is not None
        source = generate(network.checked, scopes).text
        assert found.size == pytest.approx(tracked(network, options, source), rel=0.05)


@pytest.mark.parametrize("name", CASES)
def test_a_step_is_the_same_and_keeps_what_is_said(name: str, tmp_path: Path) -> None:
    body, chosen = CASES[name]
    network = network_of(body, tmp_path)
    for patterns in chosen:
        check(network, patterns.split(), peak=patterns == chosen[-1])


@pytest.mark.parametrize(
    ("name", "patterns", "parameters", "shape"),
    [
        ("resnet20", ["layer*.*"], {}, [3, 16, 16]),
        ("densenet40_k12", ["*block1.*", "*block3"], {}, [3, 32, 32]),
        ("shufflenet_v2_x0_5", ["stage*"], {}, [3, 64, 64]),
        (
            "gpt2",
            ["transformer.h.*"],
            {"layers": 3, "width": 32, "vocabulary": 50, "heads": 2},
            [8],
        ),
    ],
)
def test_networks_that_ship(
    name: str, patterns: list[str], parameters: dict[str, object], shape: list[int | str]
) -> None:
    (given,) = archdsl.load(name).checked.inputs
    network = archdsl.load(name, parameters=parameters, inputs={given: shape})
    check(network, patterns, peak=False)


def test_what_is_no_module_of_its_own_is_refused(tmp_path: Path) -> None:
    body = "input x: [3, 8, 8]; p.a: Linear(8); ReLU; p.b: Linear(8); q: Block(3); r: Tanh; "
    network = network_of(body + "reuse q.conv", tmp_path)

    with pytest.raises(ArchError, match=r"`p` can't be computed again.*filled at several places"):
        network.compile(checkpoint="p")
    with pytest.raises(ArchError, match=r"`q` can't be .*a layer in it is applied from elsewhere"):
        network.compile(checkpoint=["q"])
    with pytest.raises(ArchError, match="no block is called `r`"):
        network.compile(checkpoint=["r"])
    for name in ("p", "q"):
        with pytest.raises(ArchError, match=f"`{name}` can't be computed again"):
            checkpointed(network.checked, name)  # what is counted, too


def test_a_wildcard_leaves_out_what_is_no_module_of_its_own(tmp_path: Path) -> None:
    body = """
        input x: [3, 8, 8]
        p.a: { Linear(8); ReLU } Tanh; p.b: { Linear(8); ReLU } q: Block(3)
        r: { s: { Linear(8); ReLU } t: { Linear(8); ReLU } } u: Block(3)
        reuse q.conv; reuse r.t; reuse u
    """
    network = network_of(body, tmp_path)
    found = checkpointed(network.checked, "*")

    assert found.scopes == {"p.a", "p.b", "r.s", "r.t", "u"}
    assert {one.name: one.reason.partition(",")[0] for one in found.left_out} == {
        "p": "what is in it doesn't follow each other",
        "q": "a layer in it is applied from elsewhere",
        "r": "a layer in it is applied from elsewhere",
    }
    with pytest.warns(UserWarning, match="`[pqr]` is not computed again in the backward pass"):
        network.compile(checkpoint="*")
    check(network, [*found.scopes], peak=False)
    with pytest.raises(ArchError, match="`q` can't be computed again"):
        checkpointed(network.checked, ["*", "q"])  # by its name
    with pytest.raises(ArchError, match="`q` can't be computed again"):
        checkpointed(network.checked, "q*")  # and nothing else is left


def test_source_is_as_a_hand_would_write_it(tmp_path: Path) -> None:
    """Lists become classes with a loop, since what stands in `nn.Sequential` calls itself."""
    network = network_of(
        "input x: [8, 8]; body: { repeat 4 { Mixed } } tail: { Linear(8); Tanh }", tmp_path
    )
    source = generate(
        network.checked, checkpointed(network.checked, ["body.*", "tail"]).scopes
    ).text

    assert "for layer in self.children():\n            x = checkpoint(layer, x, use_ree" in source
    assert "        x = checkpoint(self.tail, x, use_reentrant=False)\n" in source
    assert "\nfrom torch.utils.checkpoint import checkpoint\n" in source
    assert "checkpointed" not in source  # nothing has statistics
    assert generate(network.checked).text == network.source


def test_source_passes_linter_and_formatter(tmp_path: Path) -> None:
    written = tmp_path / "written"
    written.mkdir()
    for name, (body, chosen) in CASES.items():
        network = network_of(body, tmp_path)
        for at, patterns in enumerate(chosen):
            scopes = checkpointed(network.checked, patterns.split()).scopes
            path = written / f"{name.replace(' ', '_')}_{at}.py"
            path.write_text(generate(network.checked, scopes).text)
    require_success("ruff", "check", "--isolated", "--no-cache", str(written))
    require_success("ruff", "format", "--isolated", "--no-cache", "--check", str(written))
