"""Pieces of random specs that keep a map as large as it is: tensors of the network's own, computed
and tied weights, constants, masks, attention, recurrent layers.

Each is written for a map of `c` channels, `h` high and `w` wide; `n` makes its names its own.
"""

from __future__ import annotations

# Shapes that spread to the map, one for each rank and some with the axis of the batch
SHAPES = (
    "[]", "[{w}]", "[1]", "[{h}, {w}]", "[{h}, 1]", "[{c}, 1, 1]", "[1, {h}, {w}]",
    "[{c}, {h}, {w}]", "[1, {c}, 1, 1]", "[batch, {c}, 1, 1]", "[batch, 1, {h}, {w}]",
)  # fmt: skip
VALUES = (
    "parameter p{n}: {shape} = normal(std = 0.5)",
    "parameter p{n}: {shape} = uniform(-1, 1)",
    "parameter p{n}: {shape} = 0.5",
    "buffer p{n}: {shape} = 0.5",
    "constant p{n}: {shape} = 0.25",
)
MEETINGS = (
    "add {{ branch {{}} branch {{ from p{n} }} }}",
    "sub {{ branch {{}} branch {{ from p{n} }} }}",
    "mul {{ branch {{ from p{n} }} branch {{}} }}",
    "x{n}: in; from x{n}, p{n} -> Maximum",
    "x{n}: in; from p{n} -> Square -> Shift(1) -> q{n}: Sqrt; from x{n}, q{n} -> Div",
)
SEQUENCE = "Flatten(2) -> seq{n}: Transpose(1, 2)"
MAP = "Transpose(1, 2) -> Unflatten(2, [{h}, {w}])"
PLAIN = "x{n}: in"

PIECES: tuple[tuple[str, ...], ...] = (
    # computed with before they meet the flow
    (PLAIN, "parameter p{n}: [{c}] = normal()", "from p{n} -> Exp -> q{n}: Reshape([{c}, 1, 1])",
     "from x{n}", "mul {{ branch {{}} branch {{ from q{n} }} }}"),
    (PLAIN, "parameter p{n}: [{w}, {h}] = normal()",
     "from p{n} -> Softmax(0) -> q{n}: Transpose(0, 1)",
     "from x{n}", "add {{ branch {{ from q{n} }} branch {{}} }}"),
    (PLAIN, "parameter p{n}: [2, {c}] = normal()", "from p{n} -> q{n}: Select(1, dim = 0)",
     "from p{n} -> Mean(0) -> Unflatten(0, [{c}, 1, 1]) -> r{n}: Sin", "from x{n}",
     "mul {{ branch {{}} branch {{ from r{n} }} }}", "Permute([0, 2, 3, 1])",
     "add {{ branch {{}} branch {{ from q{n} }} }}", "Permute([0, 3, 1, 2])"),
    (PLAIN, "parameter p{n}: [{h}, {w}] = normal()", "buffer b{n}: [1, {w}] = 0.5",
     "concat(dim = 0) {{ branch {{ from p{n} }} branch {{ from b{n} }} }} as both{n}",
     "from both{n} -> q{n}: Slice(1, none, dim = 0)", "from x{n}",
     "add {{ branch {{}} branch {{ from q{n} }} }}"),
    ("parameter p{n}: [batch, 1, {h}, {w}] = normal()",
     "concat(dim = 1) {{ branch {{ from p{n} }} branch {{}} }}", "Slice(1, none, dim = 1)"),
    ("parameter p{n}: [1, {h}, {w}] = normal()",
     "concat(dim = 1) {{ branch {{}} branch {{ from p{n} }} }}", "Slice(0, {c}, dim = 1)"),
    (PLAIN, "parameter p{n}: [{w}, {w}] = normal(std = 0.3)", "from x{n}, p{n} -> MatMul"),
    (PLAIN, "parameter p{n}: [{c}, {c}] = normal(std = 0.3)",
     'from x{n}, p{n} -> Einsum("bchw,dc->bdhw")'),
    # constants, masks and indices
    ("constant k{n}: [{h}, {w}] = [sin(i / (j + 1)) for i, j]",
     "add {{ branch {{}} branch {{ from k{n} }} }}"),
    ("constant k{n}: [{c}, 1, {w}] = [2 * k if k > i else -1 for i, j, k]",
     "add {{ branch {{ from k{n} }} branch {{}} }}"),
    (PLAIN, "constant k{n}: [{h}, {w}] = [j <= i for i, j]", "from x{n}, k{n} -> MaskedFill(0.5)"),
    (PLAIN, "buffer k{n}: [{w}] = [i % 2 == 0 for i]", "from x{n} -> y{n}: Neg",
     "from k{n}, x{n}, y{n} -> Where"),
    (PLAIN, "buffer k{n}: [{h}, {w}] = [(i + 2 * j) % 5 for i, j]",
     "from k{n} -> Embedding(5, {c}) -> q{n}: Permute([2, 0, 1])", "from x{n}",
     "add {{ branch {{}} branch {{ from q{n} }} }}"),
    (PLAIN, "constant k{n}: [{w}] = [{w} - 1 - i for i]",
     "parameter p{n}: [{w}, {c}] = normal()", "from p{n} -> t{n}: Tanh",
     "from k{n} -> Embedding({w}, {c}, weight = from t{n}) -> q{n}: Transpose(0, 1)",
     "from q{n} -> r{n}: Unsqueeze(1)", "from x{n}",
     "add {{ branch {{}} branch {{ from r{n} }} }}"),
    (PLAIN, "from x{n} -> Greater(0) -> To(\"float\") -> q{n}: Scale(0.5)", "from x{n}",
     "mul {{ branch {{}} branch {{ from q{n} }} }}"),
    # weights of others, and computed ones
    ("a{n}: Conv2d({c}, 3, padding = 1)", "ReLU",
     "b{n}: Conv2d({c}, 3, padding = 1, weight = from a{n}.weight)"),
    ("a{n}: Linear({w})", "b{n}: Linear({w}, bias = false, weight = from a{n}.weight)"),
    ("parameter p{n}: [{c}, {c}, 1, 1] = normal(std = 0.3)",
     "Conv2d({c}, 1, bias = false, weight = from p{n})", "GELU",
     "Conv2d({c}, 1, weight = from p{n})"),
    (PLAIN, "parameter p{n}: [{c}, 1, 3, 3] = normal(std = 0.3)",
     "from p{n} -> q{n}: Tanh", "from x{n}",
     "Conv2d({c}, 3, padding = 1, groups = {c}, bias = false, weight = from q{n})"),
    (PLAIN, "parameter p{n}: [{w}, {w}] = normal(std = 0.3)", "parameter b{n}: [{w}]",
     "from p{n} -> q{n}: LayerNorm(elementwise_affine = false)", "from x{n}",
     "Linear({w}, weight = from q{n}, bias = from b{n})"),
    ("a{n}: Conv2d({c}, 1)", "SiLU", "reuse a{n}"),
    ("a{n}: {{ Conv2d({c}, 1) -> BatchNorm2d }}", "reuse a{n}"),
    # sequences
    (SEQUENCE, "from seq{n}, seq{n}, seq{n} -> ScaledDotProductAttention", MAP),
    (SEQUENCE, "from seq{n}, seq{n}, seq{n} -> ScaledDotProductAttention(causal = true)", MAP),
    (SEQUENCE, "constant k{n}: [{h} * {w}, {h} * {w}] = [-0.1 * abs(i - j) for i, j]",
     "from seq{n}, seq{n}, seq{n}, k{n} -> ScaledDotProductAttention", MAP),
    (SEQUENCE, "parameter p{n}: [{h} * {w}, {h} * {w}] = normal()",
     "from seq{n}, seq{n}, seq{n}, p{n} -> ScaledDotProductAttention", MAP),
    (SEQUENCE, "MultiheadAttention(1)", MAP),
    (SEQUENCE, "GRU({c})", MAP),
    (SEQUENCE, "LSTM({c}, num_layers = 2)", MAP),
    (SEQUENCE, "RNN({c}, bias = false)", MAP),
    (SEQUENCE, "GRU({c}, bidirectional = true)", "Linear({c})", MAP),
    (SEQUENCE, "RMSNorm", MAP),
    # places
    ("Roll([1, -1], [2, 3])",),
    ("Flip([1, 3])",),
    ("CumSum(2)",),
    ("Pad([1, 0, 0, 2, 1, 1])", "Pad([-1, 0, 0, -2, -1, -1])"),
    ("Unfold(3, padding = 1)", "Fold([{h}, {w}], 3, padding = 1)"),
    ("IndexSelect([-1, 0], dim = 3)", "Mean(3, keepdim = true)", "Expand([-1, -1, {w}])"),
    ("Repeat([1, 2, 1])", "Slice(0, {h}, dim = 2)"),
    ("RepeatInterleave(2, 3)", "Slice(0, none, step = 2, dim = 3)"),
    ("Flatten(2)", "f{n}: in", "from f{n}, f{n} -> d{n}: CDist", "from d{n}, f{n} -> MatMul",
     "Unflatten(2, [{h}, {w}])"),
    (PLAIN, "from x{n}, x{n} -> Stack(1)", "Select(0)"),
    ("Normalize(dim = 2)",),
    ("FrozenBatchNorm2d",),
)  # fmt: skip
