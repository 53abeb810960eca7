"""Recurrent layers: a state that goes from step to step along a sequence.

Always batch first, so what comes in is [length, features]. As further tensors they take the states
to begin with, which are 0 otherwise: `from words, h -> GRU(64)`, `from words, h, c -> LSTM(64)`.
With `gives` a stage gives what torch calls

* "output": the hidden state of the last layer at each step, [length, hidden_size], or
  [length, 2 hidden_size] of both directions, the one that goes forward first
* "h_n": the last hidden state of each layer and direction, [num_layers, hidden_size] or
  [2 num_layers, hidden_size], in torch's order: `Select(-1)` is that of the last layer,
  `Slice(-2, none) -> Flatten` those of its two directions side by side
* "c_n": of an LSTM, the last cell states, likewise
* "state": of an LSTM, "h_n" and "c_n" side by side, [num_layers, 2 hidden_size], for `Slice` to
  part them: what a decoder begins with

With `proj_size` hidden states have that many numbers, and cell states `hidden_size` still.

Multiply-accumulates of a step are those of the products with what comes in and with the state
before: for each layer and direction `gates hidden_size (inputs + hidden)`, with 4 gates in an LSTM,
3 in a GRU and 1 in an RNN, and those of the projection. All steps count, whatever a stage gives.
Under `other` stand the biases, of which each gate has two ("bias"), the functions of the gates
("activation", four operations for a sigmoid as for the layer of that name) and what is multiplied
and added element by element ("elementwise").
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from archdsl.layers.agreeing import agree
from archdsl.layers.arguments import Flag, Natural, Positive, Probability, choice
from archdsl.layers.base import (
    GLOBAL,
    Example,
    Facts,
    Form,
    Kind,
    Layer,
    LayerError,
    Shape,
    Shapes,
    Torch,
    TorchModule,
    by,
    numel,
    unpack,
)
from archdsl.layers.sizes import Size, total

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor

# torch.export goes through a sequence step by step and takes its length for fixed; ONNX has
# operators that take any. Their gates stand in another order, and each layer is one.
ONNX_SOURCE = """\
class Onnx{name}(nn.{name}):

    def forward(
        self, input: torch.Tensor, states: tuple[torch.Tensor, ...] | torch.Tensor = ()
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...] | torch.Tensor]:
        begin = (states,) if isinstance(states, torch.Tensor) else states
        x, ends = input.transpose(0, 1), []
        length, batch, _ = x.shape
        directions = 2 if self.bidirectional else 1
        given = {{"hidden_size": self.hidden_size, **{given}}}
        if self.bidirectional:
            given["direction"] = "bidirectional"
        for first in range(0, self.num_layers * directions, directions):
            rows = slice(first, first + directions)
            weights = []
            for kind in zip(*self.all_weights[rows], strict=True):
                chunks = [each.chunk({gates}) for each in kind]
                weights.append(
                    torch.stack([torch.cat([each[i] for i in {order}]) for each in chunks])
                )
            bias = torch.cat(weights[2:], dim=1) if self.bias else None
            state = (directions, batch, self.hidden_size)
            x, *end = torch.onnx.ops.symbolic_multi_out(
                "{name}",
                (x, *weights[:2], bias, None, *(each[rows] for each in begin)),
                given,
                dtypes=(x.dtype,) * {outputs},
                shapes=((length, *state), *(state,) * ({outputs} - 1)),
            )
            x = x.transpose(1, 2).flatten(2)
            ends.append(end)
        last = tuple(torch.cat(each) for each in zip(*ends, strict=True))
        return x.transpose(0, 1), last if last[1:] else last[0]
"""

MOST_LAYERS = 32  # since each has some eight parameters, all of which are listed
SIGMOID = 4  # operations for each number


def _layers(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= MOST_LAYERS:
        raise ValueError
    return value


LAYERS = Kind(f"an integer from 1 to {MOST_LAYERS}", _layers, (1, 2))


class Recurrent(Layer):
    """Layers of a recurrent network; its subclasses say of which kind.

    They give how many operations each number of the state takes: in functions (`activated`) and in
    products and sums (`combined`).
    """

    family = "recurrent"
    gates: ClassVar[int]
    activated: ClassVar[int]
    combined: ClassVar[int]
    # numbers a step that a backward pass needs, for each of the state: gates, and steps to the next
    kept: ClassVar[int] = 7
    states: ClassVar[tuple[str, ...]] = ("h_n",)
    order: ClassVar[tuple[int, ...]]  # of torch's gates in ONNX

    if TYPE_CHECKING:  # torch has them in another order in each, and others in between
        hidden_size: Positive
        num_layers: Annotated[int, LAYERS] = 1
        bias: Flag = True
        dropout: Probability = 0.0
        bidirectional: Flag = False
        gives: str = "output"

    def infer(self, inputs: Shapes) -> Facts:
        most = 1 + len(self.states)
        if len(inputs) not in (1, most):
            both = "the states to begin with" if most > 2 else "a state to begin with"
            raise LayerError(
                f"takes a sequence, or {most} tensors with {both}, and {len(inputs)} come in",
                help=f"hand it {'all three' if most > 2 else 'both'} with "
                f"`from {', '.join(('x', 'h', 'c')[:most])}`",
            )
        length, features = unpack(inputs[:1], "length features")
        rows, hidden, projected = self.rows, self.hidden_size, self.projected
        widths = dict(zip(("h_n", "c_n"), (projected, hidden), strict=True))
        pairs: list[tuple[Size, Size]] = []
        for (name, width), shape in zip(widths.items(), inputs[1:], strict=False):
            wanted = (rows, width)
            if len(shape) != 2 or not all(map(agree, shape, wanted)):
                raise LayerError(
                    f"begins with a state of the shape [{rows}, {width}] ({name[0]}: one row for "
                    f"each layer and direction), and [{', '.join(map(str, shape))}] comes in"
                )
            pairs += [pair for pair in zip(shape, wanted, strict=True) if pair[0] != pair[1]]
        outputs: dict[str, Shape] = {
            "output": (length, self.directions * projected),
            "h_n": (rows, projected),
            "c_n": (rows, hidden),
            "state": (rows, projected + hidden),
        }
        steps = length * rows  # each layer goes through all of them in each direction
        between = (self.num_layers - 1) * length * self.directions * projected
        sizes = [features, self.directions * projected]
        products = (sizes[0] + projected) + (self.num_layers - 1) * (sizes[1] + projected)
        macs = length * self.directions * self.gates * hidden * products
        if self.projects:
            macs += steps * hidden * projected
        return Facts(
            output=outputs[self.gives],
            torch=self.module(features, len(inputs)),
            params=self.parameters(features),
            macs=macs,
            other=({"bias": steps * 2 * self.gates * hidden} if self.bias else {})
            | {"activation": steps * self.activated * hidden}
            | ({"elementwise": steps * self.combined * hidden} if self.combined else {}),
            windows=GLOBAL,  # a hidden state depends on the whole sequence before it
            # states that come in to begin with are no results of this layer
            inside=self.rows * self.inside(length) + between - total(map(numel, inputs[1:])),
            inside_training=between if self.dropout else 0,  # what is drawn to drop some
            arithmetic=self.arithmetic(features),
            agreements=tuple(pairs),
        )

    @property
    def directions(self) -> int:
        """In how many directions each layer goes through the sequence."""
        return 2 if self.bidirectional else 1

    @property
    def rows(self) -> int:
        """How many states there are: one for each layer and direction."""
        return self.num_layers * self.directions

    @property
    def projects(self) -> int:
        """To how many numbers a hidden state is projected; 0 where it isn't."""
        return 0

    @property
    def projected(self) -> int:
        """How many numbers a hidden state has."""
        return self.projects or self.hidden_size

    def exported(self, inputs: Shapes, form: Form) -> Torch | None:
        """Leave the length open in ONNX, whose operators have no projection."""
        if form != "ONNX" or self.projects:
            return None
        name, module = self.torch_name(), self.module(inputs[0][1], len(inputs))
        source = ONNX_SOURCE.format(
            name=name,
            given=repr(self.in_onnx()),
            gates=self.gates,
            order=self.order,
            outputs=1 + len(self.states),
        )
        return module._replace(target=f"Onnx{name}", source=source)

    def in_onnx(self) -> dict[str, object]:
        """Return what ONNX is told besides the sizes."""
        return {}

    def inside(self, length: Size) -> Size:
        """Return how many numbers a backward pass needs of all steps in a layer and direction.

        The states to begin with are among them.
        """
        return length * self.kept * self.hidden_size

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        x, begin = torch.transpose(inputs[0], 0, 1), inputs[1:]  # the steps come first
        length, batch, _ = x.shape
        widths = (self.projected, self.hidden_size)[: len(self.states)]
        states = [torch.contiguous(torch.transpose(each, 0, 1)) for each in begin] or [
            torch.new((self.rows, batch, width)) for width in widths
        ]
        kept = (self.inside(length) - sum(widths)) * batch
        given = []
        for layer in range(self.num_layers):
            if layer:
                x = torch.dropout(x, self.dropout)
            ways = []
            for end in ("", "_reverse")[: self.directions]:
                own = {
                    kind: torch.own.get(f"{kind}_l{layer}{end}")
                    for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
                }
                weight = own.pop("weight_ih")
                assert weight is not None
                gates = torch.linear(x, weight, own.pop("bias_ih"))
                steps = (gates, *own.values(), *states)
                shape = (length, batch, self.projected)
                saves = *states, torch.new((kept,), x.width)
                ways.append(torch.result(steps, shape, saves=saves, width=x.width))
                torch.ops[-1].repeats = length != 1
            given += ways
            x = ways[0]
            if self.bidirectional:
                x = torch.cat(ways, (length, batch, 2 * self.projected))
                torch.lives(gates)  # those of the way back
        if self.gives != "output":
            x = torch.result(given, (self.rows, batch, torch.output[-1]), width=x.width)
        return torch.transpose(x, 0, 1)

    def parameters(self, features: Size) -> dict[str, Shape]:
        """Return the parameters by torch's names and in its order."""
        gates, state = self.gates * self.hidden_size, self.projected
        shapes: list[Shape] = []
        for seen in (features, *[self.directions * state] * (self.num_layers - 1)):
            one: list[Shape] = [(gates, seen), (gates, state)]
            one += [(gates,)] * 2 * self.bias
            one += [(state, self.hidden_size)] * (self.projects > 0)
            shapes += one * self.directions
        names = _names(self.num_layers, self.bidirectional, self.bias, self.projects > 0)
        return dict(zip(names, shapes, strict=True))

    def arithmetic(self, features: Size) -> str:
        """Write the parameters as papers do: "4 x 512 x (300 + 512 + 2)"."""
        terms: list[str] = []
        for layers, seen in (
            (1, features),
            (self.num_layers - 1, self.directions * self.projected),
        ):
            times = layers * self.directions
            if times:
                row = f"({seen} + {self.projected}{' + 2' if self.bias else ''})"
                factors = [factor for factor in (times, self.gates) if factor > 1]
                terms.append(by(*factors, self.hidden_size, row))
        if self.projects:
            terms.append(by(*[self.rows] * (self.rows > 1), self.projects, self.hidden_size))
        return " + ".join(terms)

    def module(self, features: Size, count: int) -> TorchModule:
        """Return the torch module, and how it is called with so many tensors."""
        # torch warns of a dropout that does nothing, since there is no layer behind it
        idle = ["dropout"] if self.num_layers == 1 else []
        given = self.for_torch("hidden_size", "gives", *idle)
        # torch keeps states by layers first, and cuDNN takes them in one piece only
        states = ", ".join(f"{{{at}}}.transpose(0, 1).contiguous()" for at in range(1, count))
        handed = ["{0}", f"({states})" if count > 2 else states][: min(count, 2)]
        called = f"{{module}}({', '.join(handed)})"
        ends = {
            "output": f"{called}[0]",
            "h_n": f"{called}[1]{'[0]' if len(self.states) > 1 else ''}.transpose(0, 1)",
            "c_n": f"{called}[1][1].transpose(0, 1)",
            "state": f"torch.cat({called}[1], dim=2).transpose(0, 1)",
        }
        return TorchModule(
            f"nn.{self.torch_name()}",
            (features, self.hidden_size),
            given | {"batch_first": True},
            call=ends[self.gives],
        )


@cache
def _names(layers: int, both: bool, bias: bool, projects: bool) -> tuple[str, ...]:
    """Return the names of the parameters in torch's order."""
    kinds = ["weight_ih", "weight_hh"] + ["bias_ih", "bias_hh"] * bias + ["weight_hr"] * projects
    return tuple(
        f"{kind}_l{layer}{end}"
        for layer in range(layers)
        for end in ("", "_reverse")[: 1 + both]
        for kind in kinds
    )


class LSTM(Recurrent):
    """Long short-term memory: [length, features] to the hidden states [length, hidden_size].

    `gives` chooses what it gives: "output", "h_n", "c_n", or "state", both of these side by side.
    `proj_size` projects hidden states to fewer numbers. `dropout` zeroes numbers between layers.
    Source: Hochreiter and Schmidhuber, Long Short-Term Memory, 1997.
    """

    gates = 4
    activated = 3 * SIGMOID + 2  # three gates; tanh of what is new and of the cell
    combined = 4  # f c + i g, and o tanh(c)
    states = ("h_n", "c_n")
    order = (0, 3, 1, 2)  # input, output, forget, cell
    elsewhere = (("bilstm", "LSTM(hidden_size, bidirectional = true)"),)
    examples = (
        Example(
            {"hidden_size": 512, "num_layers": 2},
            inputs=((100, 300),),
            output=(100, 512),
            params=3_768_320,
            macs=376_012_800,
        ),
        Example(
            {"hidden_size": 4, "bidirectional": True, "gives": "state"},
            inputs=((6, 3), (2, 4), (2, 4)),
            output=(2, 8),
            params=288,
            macs=1_344,
        ),
        Example(
            {"hidden_size": 4, "bias": False, "proj_size": 2, "gives": "h_n"},
            inputs=((5, 3),),
            output=(1, 2),
            params=88,
            macs=440,
        ),
    )

    hidden_size: Positive
    num_layers: Annotated[int, LAYERS] = 1
    bias: Flag = True
    dropout: Probability = 0.0
    bidirectional: Flag = False
    proj_size: Natural = 0
    gives: Annotated[str, choice("output", "h_n", "c_n", "state")] = "output"

    def infer(self, inputs: Shapes) -> Facts:
        if self.proj_size >= self.hidden_size:
            raise LayerError(
                f"has proj_size = {self.proj_size}, and must have less than hidden_size = "
                f"{self.hidden_size}",
                help="leave it out: hidden states that aren't projected have hidden_size numbers",
            )
        return super().infer(inputs)

    @property
    def projects(self) -> int:
        return self.proj_size

    def inside(self, length: Size) -> Size:
        # with a projection states before the step are shorter, and those before it are kept besides
        return super().inside(length) + length * self.proj_size

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        if not self.proj_size:  # what oneDNN keeps hangs on its version and on the processor
            torch.notes["`LSTM` taken as without oneDNN, which keeps more on a CPU"] = None
        return super().trained(torch, *inputs)


class GRU(Recurrent):
    """Gated recurrent units: [length, features] to the hidden states [length, hidden_size].

    `gives` chooses what it gives: "output" or "h_n". `dropout` zeroes numbers between layers.
    Source: Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014,
    arXiv:1406.1078.
    """

    gates = 3
    activated = 2 * SIGMOID + 1  # reset and update gate; tanh of what is new
    combined = 5  # r (W h), and (1 - z) n + z h
    order = (1, 0, 2)  # update, reset, new
    elsewhere = (("bigru", "GRU(hidden_size, bidirectional = true)"),)
    examples = (
        Example(
            {"hidden_size": 4, "num_layers": 2, "bidirectional": True, "dropout": 0.1},
            inputs=((6, 3),),
            output=(6, 8),
            params=552,
            macs=2_736,
        ),
        Example(
            {"hidden_size": 4, "gives": "h_n"},
            inputs=((6, 3), (1, 4)),
            output=(1, 4),
            params=108,
            macs=504,
        ),
    )

    hidden_size: Positive
    num_layers: Annotated[int, LAYERS] = 1
    bias: Flag = True
    dropout: Probability = 0.0
    bidirectional: Flag = False
    gives: Annotated[str, choice("output", "h_n")] = "output"

    def in_onnx(self) -> dict[str, object]:
        return {"linear_before_reset": 1}


class RNN(Recurrent):
    """The plain recurrent network: [length, features] to the hidden states [length, hidden_size].

    The state is tanh, or ReLU with `nonlinearity = "relu"`, of the sum of what comes in and the
    state before, each through a matrix of its own. `gives` chooses what it gives: "output" or
    "h_n". `dropout` zeroes numbers between layers.
    Source: Elman, Finding Structure in Time, 1990.
    """

    gates = 1
    activated = 1
    combined = 0
    order = (0,)
    elsewhere = (("simplernn", "RNN(hidden_size)"), ("elman", "RNN(hidden_size)"))
    examples = (
        Example(
            {"hidden_size": 4, "nonlinearity": "relu"},
            inputs=((6, 3),),
            output=(6, 4),
            params=36,
            macs=168,
        ),
        Example(
            {"hidden_size": 4, "num_layers": 2, "gives": "h_n"},
            inputs=((5, 4), (2, 4)),
            output=(2, 4),
            params=80,
            macs=320,
        ),
    )

    hidden_size: Positive
    num_layers: Annotated[int, LAYERS] = 1
    nonlinearity: Annotated[str, choice("tanh", "relu")] = "tanh"
    bias: Flag = True
    dropout: Probability = 0.0
    bidirectional: Flag = False
    gives: Annotated[str, choice("output", "h_n")] = "output"

    def inside(self, length: Size) -> Size:
        # each state is what its function gave and what the next step reads
        return (length + 1) * self.hidden_size

    def in_onnx(self) -> dict[str, object]:
        return {
            "activations": [{"tanh": "Tanh", "relu": "Relu"}[self.nonlinearity]] * self.directions
        }
