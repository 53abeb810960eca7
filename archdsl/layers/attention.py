"""Attention: of whole sequences, and of the shifted windows of an image.

Multiply-accumulates are those of the projections and of both matrix products, queries with keys
and weights with values, over all that is really multiplied: padding, `add_bias_kv` and
`add_zero_attn` included. Under `other` stand the biases of the projections ("bias"), and as
"elementwise" the scaling of the queries and what is added to the weights. The softmax stands as
"activation", five operations for each weight: comparison, subtraction, exp, sum and division.
FlopCounterMode agrees where it looks into the kernel that runs; which fused kernels it knows
depends on torch's version and on the device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from archdsl.layers.agreeing import agree
from archdsl.layers.arguments import Flag, Positive, Probability, spread
from archdsl.layers.base import (
    GLOBAL,
    Example,
    Facts,
    Form,
    Layer,
    LayerError,
    Shape,
    Shapes,
    Torch,
    TorchModule,
    by,
    several,
    unpack,
)
from archdsl.layers.sizes import Formula, Size

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor

SOFTMAX = 5  # operations for each number

WINDOW_SOURCE = '''\
class ShiftedWindowAttention(nn.Module):
    """Multi-head attention within windows of an image, as in Swin (arXiv:2103.14030).

    The image comes as (batch, height, width, channels). It is padded to whole windows and, for
    a shift, rolled, so that windows cross those of the layer before; what the rolling brings
    together from opposite borders does not attend to each other.
    """

    relative_position_index: torch.Tensor

    def __init__(
        self,
        dim: int,
        window_size: list[int],
        shift_size: list[int],
        num_heads: int,
        qkv_bias: bool = True,
        proj_bias: bool = True,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.window_size, self.shift_size = window_size, shift_size
        self.num_heads = num_heads
        self.attention_dropout, self.dropout = attention_dropout, dropout
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim, bias=proj_bias)
        height, width = window_size
        offsets = (2 * height - 1) * (2 * width - 1)
        table = nn.init.trunc_normal_(torch.empty(offsets, num_heads), std=0.02)
        self.relative_position_bias_table = nn.Parameter(table)
        rows = torch.arange(height).repeat_interleave(width)
        columns = torch.arange(width).repeat(height)
        down = rows[:, None] - rows[None, :] + height - 1
        right = columns[:, None] - columns[None, :] + width - 1
        index = down * (2 * width - 1) + right
        self.register_buffer("relative_position_index", index.flatten())

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        batch, height, width, channels = input.shape
        rows, columns = self.window_size
        below, beside = -height % rows, -width % columns
        x = F.pad(input, (0, 0, 0, beside, 0, below))
        down, across = (height + below) // rows, (width + beside) // columns
        # one window alone along an axis has no neighbour to look into
        shift = (
            self.shift_size[0] if down > 1 else 0,
            self.shift_size[1] if across > 1 else 0,
        )
        if any(shift):
            x = torch.roll(x, shifts=(-shift[0], -shift[1]), dims=(1, 2))

        places = rows * columns
        x = x.view(batch, down, rows, across, columns, channels)
        x = x.permute(0, 1, 3, 2, 4, 5).reshape(-1, places, channels)
        mask = self.mask(x, down, across, shift) if any(shift) else None
        x = self.attend(x, mask)

        x = x.view(batch, down, across, rows, columns, channels)
        x = x.permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(batch, down * rows, across * columns, channels)
        if any(shift):
            x = torch.roll(x, shifts=shift, dims=(1, 2))
        return x[:, :height, :width].contiguous()

    def attend(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Attend within each window: (windows, places, channels) in and out."""
        windows, places, channels = x.shape
        qkv = self.qkv(x).reshape(windows, places, 3, self.num_heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind()
        query = query * (channels // self.num_heads) ** -0.5
        weights = query.matmul(key.transpose(-2, -1))
        bias = self.relative_position_bias_table[self.relative_position_index]
        weights = weights + bias.view(places, places, -1).permute(2, 0, 1)
        if mask is not None:
            weights = weights.view(-1, mask.shape[0], self.num_heads, places, places)
            weights = weights + mask.unsqueeze(1)
            weights = weights.view(windows, self.num_heads, places, places)
        weights = F.softmax(weights, dim=-1)
        weights = F.dropout(weights, self.attention_dropout, self.training)
        output = weights.matmul(value).transpose(1, 2).reshape(x.shape)
        projected: torch.Tensor = self.proj(output)
        return F.dropout(projected, self.dropout, self.training)

    def mask(
        self, x: torch.Tensor, down: int, across: int, shift: tuple[int, int]
    ) -> torch.Tensor:
        """Return -100 for each pair of places in a window that come from apart, else 0."""
        rows, columns = self.window_size
        region = x.new_zeros(down * rows, across * columns)
        if shift[0]:
            region[-shift[0] :] += 1
        if shift[1]:
            region[:, -shift[1] :] += 2
        region = region.view(down, rows, across, columns).permute(0, 2, 1, 3)
        region = region.reshape(-1, rows * columns)
        apart = region.unsqueeze(1) != region.unsqueeze(2)
        return x.new_zeros(apart.shape).masked_fill(apart, -100.0)
'''


# A condition on a size is decided once and for all by what follows a network with one image; so
# one window alone is told from several by arithmetic, and what is rolled is looked up.
OPEN_WINDOW_SOURCE = f"""\
{WINDOW_SOURCE}

class OpenWindowAttention(ShiftedWindowAttention):

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        batch, height, width, channels = input.shape
        rows, columns = self.window_size
        down, across = (height + rows - 1) // rows, (width + columns - 1) // columns
        places = rows * columns
        whole = down * rows, across * columns
        x = F.pad(input, (0, 0, 0, whole[1] - width, 0, whole[0] - height))
        shift = [
            self.shift_size[0] * (1 - 1 // down),
            self.shift_size[1] * (1 - 1 // across),
        ]
        x = self.rolled(x, shift)
        x = x.reshape(batch, down, rows, across, columns, channels)
        x = x.permute(0, 1, 3, 2, 4, 5).reshape(-1, places, channels)
        lower, right = (
            torch.cat((x.new_zeros(size - by), x.new_ones(by)))
            for size, by in zip(whole, shift, strict=True)
        )
        region = lower[:, None] + 2 * right[None]
        region = region.reshape(down, rows, across, columns).permute(0, 2, 1, 3)
        region = region.reshape(-1, places)
        apart = region.unsqueeze(1) != region.unsqueeze(2)
        x = self.attend(x, torch.where(apart, -100.0, 0.0).to(x.dtype))
        x = x.reshape(batch, down, across, rows, columns, channels)
        x = x.permute(0, 1, 3, 2, 4, 5).reshape(batch, *whole, channels)
        back = [size - by for size, by in zip(whole, shift, strict=True)]
        return self.rolled(x, back).narrow(1, 0, height).narrow(2, 0, width)

    def rolled(self, x: torch.Tensor, shift: list[int]) -> torch.Tensor:
        for axis, by in enumerate(shift, start=1):
            later = torch.arange(by, x.shape[axis], device=x.device)
            x = x.index_select(axis, torch.cat((later, torch.arange(by, device=x.device))))
        return x
"""


# torch's own puts the batch second in between, and torch.export then takes it for granted that
# there is more than one sample.
BATCH_FIRST_SOURCE = """\
class BatchFirstAttention(nn.MultiheadAttention):

    def forward(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> torch.Tensor:
        weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        if self.in_proj_weight is not None:
            weights = self.in_proj_weight.chunk(3)
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        query, key, value = map(F.linear, (query, key, value), weights, biases)
        if self.bias_k is not None:
            key = torch.cat((key, self.bias_k.expand(key.shape[0], 1, -1)), dim=1)
            value = torch.cat((value, self.bias_v.expand(key.shape[0], 1, -1)), dim=1)
        if self.add_zero_attn:
            key, value = (F.pad(x, (0, 0, 0, 1)) for x in (key, value))
        query, key, value = (
            x.unflatten(2, (self.num_heads, -1)).transpose(1, 2) for x in (query, key, value)
        )
        attended = F.scaled_dot_product_attention(query, key, value)
        return self.out_proj(attended.transpose(1, 2).flatten(2))
"""


def check_heads(features: Size, heads: int) -> tuple[tuple[Size, Size], ...]:
    """Refuse heads that don't divide the features; return what must agree for free sizes."""
    rest = features % heads
    if isinstance(rest, int) and rest:
        raise LayerError(f"needs num_heads = {heads} to divide its {features} features")
    return () if isinstance(rest, int) else ((rest, 0),)


class MultiheadAttention(Layer):
    """Multi-head attention, batch first; gives the output without the weights.

    Of one tensor [length, features] it is self-attention. Two are query and memory, three are
    query, key and value; the features of key and value may differ from those of the query,
    their lengths must be equal.
    """

    family = "attention"
    examples = (
        Example(
            {"num_heads": 3},
            inputs=((197, 192),),
            output=(197, 192),
            params=148_224,
            macs=43_951_488,
        ),
        Example(
            {"num_heads": 2, "bias": False},
            inputs=((6, 8), (5, 8)),
            output=(6, 8),
            params=256,
            macs=1_888,
        ),
        Example(
            {"num_heads": 2, "add_bias_kv": True, "add_zero_attn": True},
            inputs=((6, 8), (3, 5), (3, 4)),
            output=(6, 8),
            params=248,
            macs=1_464,
        ),
    )

    num_heads: Positive
    dropout: Probability = 0.0
    bias: Flag = True
    add_bias_kv: Flag = False
    add_zero_attn: Flag = False

    def infer(self, inputs: Shapes) -> Facts:
        for shape in several(inputs, least=1, most=3):
            unpack((shape,), "length features")
        query = inputs[0]
        key = inputs[1] if len(inputs) > 1 else query
        value = inputs[-1]
        (length, features), (seen, _) = query, key
        heads = check_heads(features, self.num_heads)
        if not agree(seen, value[0]):
            raise LayerError(f"needs as many keys as values, and has {seen} and {value[0]}")
        params = self.parameters(features, key[1], value[1])
        # what is appended has not gone through the projections
        attended = seen + self.add_bias_kv + self.add_zero_attn
        weights = self.num_heads * length * attended
        sequences = (length + attended) * features
        projected = 2 * length * features + 2 * seen * features
        return Facts(
            output=query,
            torch=self.module(features, key[1], value[1], len(inputs)),
            params=params,
            macs=2 * length * features * features
            + seen * features * (key[1] + value[1])
            + 2 * length * attended * features,
            other=({"bias": projected} if self.bias else {})
            | {"elementwise": length * features, "activation": SOFTMAX * weights},
            windows=GLOBAL,
            # queries, keys, values, what they give, and a logarithm for each query and head
            inside=2 * sequences + self.num_heads * length,
            # no fused kernel drops weights on a CPU: scaled queries and keys, and weights as the
            # softmax gives them, what is drawn to drop some, and the product
            inside_training=sequences + 3 * weights if self.dropout else 0,
            arithmetic=self.arithmetic(features, key[1], value[1]),
            agreements=heads + (((seen, value[0]),) if seen != value[0] else ()),
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        query, memory, last = (
            torch.transpose(inputs[at], 0, 1) for at in (0, min(len(inputs), 2) - 1, -1)
        )
        own, (length, samples, features) = torch.own, query.shape
        bias = own.get("in_proj_bias")
        if "q_proj_weight" in own:
            weights = [own[f"{letter}_proj_weight"] for letter in "qkv"]
            pairs = zip((query, memory, last), weights, strict=True)
            query, key, value = (torch.linear(x, weight, bias) for x, weight in pairs)
        elif len(inputs) < 3:
            # one product for what is projected of the same tensor
            parts = 3 if len(inputs) == 1 else 2
            whole = own["in_proj_weight"]
            several = torch.own_part(whole, (parts * features, features))
            projected = torch.linear(memory, several, bias)
            places = projected.shape[:2]
            projected = torch.reshape(projected, (*places, parts, features))
            stacked = torch.copy(torch.permute(projected, (2, 0, 1, 3)))
            *first, key, value = (torch.select(stacked, 0) for _ in range(parts))
            one = torch.own_part(whole, (features, features))
            query = first[0] if first else torch.linear(query, one, bias)
        else:
            one = torch.own_part(own["in_proj_weight"], (features, features))
            query, key, value = (torch.linear(x, one, bias) for x in (query, memory, last))
        if self.add_bias_kv:
            key, value = (
                self.appended(torch, x, own[f"bias_{n}"]) for x, n in ((key, "k"), (value, "v"))
            )
        if self.add_zero_attn:
            key, value = (self.appended(torch, x, None) for x in (key, value))
        query, key, value = (self.apart(torch, x) for x in (query, key, value))
        attended = torch.attention(query, key, value, self.dropout)
        together = torch.contiguous(torch.permute(attended, (2, 0, 1, 3)))
        flat = torch.reshape(together, (length * samples, features))
        output = torch.linear(flat, own["out_proj.weight"], own.get("out_proj.bias"))
        return torch.transpose(torch.reshape(output, (length, samples, features)), 0, 1)

    def appended(self, torch: Autograd, x: Tensor, bias: Tensor | None) -> Tensor:
        """Append one place to keys or values of (length, batch, features)."""
        length, samples, features = x.shape
        one = (1, samples, features)
        more = torch.new(one) if bias is None else torch.result((bias,), one)
        return torch.cat((x, more), (length + 1, samples, features))

    def apart(self, torch: Autograd, x: Tensor) -> Tensor:
        """Give each head its features: (batch, heads, length, features of a head)."""
        length, samples, features = x.shape
        heads = self.num_heads
        x = torch.reshape(x, (length, samples * heads, features // heads))
        x = torch.transpose(x, 0, 1)
        return torch.reshape(x, (samples, heads, length, features // heads))

    def parameters(self, features: Size, key: Size, value: Size) -> dict[str, Shape]:
        """Return the parameters by torch's names and in its order."""
        square = (features, features)
        # torch keeps the three projections as one matrix where it can
        if key == value == features:
            params: dict[str, Shape] = {"in_proj_weight": (3 * features, features)}
        else:
            params = {
                "q_proj_weight": square,
                "k_proj_weight": (features, key),
                "v_proj_weight": (features, value),
            }
        if self.bias:
            params["in_proj_bias"] = (3 * features,)
        if self.add_bias_kv:
            params |= {"bias_k": (1, 1, features), "bias_v": (1, 1, features)}
        params["out_proj.weight"] = square
        if self.bias:
            params["out_proj.bias"] = (features,)
        return params

    def arithmetic(self, features: Size, key: Size, value: Size) -> str:
        """Write the parameters as papers do: "(192 + 1) x 576 + (192 + 1) x 192"."""

        def linear(seen: Size, out: Size) -> str:
            return by(f"({seen} + 1)" if self.bias else seen, out)

        if key == value == features:
            terms = [linear(features, 3 * features)]
        else:
            terms = [linear(seen, features) for seen in (features, key, value)]
        if self.add_bias_kv:
            terms.append(by(2, features))
        return " + ".join([*terms, linear(features, features)])

    def exported(self, inputs: Shapes, form: Form) -> Torch | None:
        """Leave open how many samples there are, in torch.export."""
        if form != "torch.export":
            return None
        made = self.infer(inputs).torch
        assert isinstance(made, TorchModule)
        call = made.call.replace(", need_weights=False)[0]", ")")
        return made._replace(target="BatchFirstAttention", source=BATCH_FIRST_SOURCE, call=call)

    def module(self, features: Size, key: Size, value: Size, count: int) -> TorchModule:
        """Return the torch module, and how it is called with so many tensors."""
        # to give the width that is expected would be the same, and read like an exception
        widths = {} if key == value == features else {"kdim": key, "vdim": value}
        query, memory, last = "{0}", f"{{{min(count, 2) - 1}}}", f"{{{count - 1}}}"
        return TorchModule(
            "nn.MultiheadAttention",
            (features, self.num_heads),
            self.for_torch("num_heads") | widths | {"batch_first": True},
            # without this it would average and return the weights, for which no fused kernel runs
            call=f"{{module}}({query}, {memory}, {last}, need_weights=False)[0]",
            overwritable=True,
        )


class ShiftedWindowAttention(Layer):
    """Attention within shifted windows of an image, as in Swin: [height, width, channels].

    The channels come last, and parameters are named, as in torchvision. Each window attends to
    itself alone; a learned bias is added for each offset of two places. A shift moves the windows
    up and to the left of those without one.
    Source: Liu et al., Swin Transformer, 2021, arXiv:2103.14030.
    """

    family = "attention"
    examples = (
        Example(
            {"window_size": 7, "shift_size": 3, "num_heads": 3},
            inputs=((56, 56, 96),),
            output=(56, 56, 96),
            params=37_755,
            macs=145_108_992,
        ),
        Example(
            {"window_size": (2, 3), "shift_size": (1, 0), "num_heads": 2, "qkv_bias": False},
            inputs=((5, 6, 4),),
            output=(5, 6, 4),
            params=98,
            macs=4_032,
        ),
    )

    buffers_move = False

    window_size: Annotated[tuple[int, ...], spread(2)]
    shift_size: Annotated[tuple[int, ...], spread(2, "natural")]
    num_heads: Positive
    qkv_bias: Flag = True
    proj_bias: Flag = True
    attention_dropout: Probability = 0.0
    dropout: Probability = 0.0

    def infer(self, inputs: Shapes) -> Facts:
        height, width, channels = unpack(inputs, "height width channels")
        # each head takes as many of the features as every other
        heads = check_heads(channels, self.num_heads)
        rows, columns = self.window_size
        places = rows * columns
        # the last window of a row or column may reach beyond the image
        windows = (height + rows - 1) // rows * ((width + columns - 1) // columns)
        # what stands in the margins is multiplied as well
        padded = windows * places
        weights = windows * places * places * self.num_heads
        qkv = f"({channels} + 1)" if self.qkv_bias else channels
        proj = f"({channels} + 1)" if self.proj_bias else channels
        offsets = (2 * rows - 1) * (2 * columns - 1)
        bias = padded * channels * (3 * self.qkv_bias + self.proj_bias)
        # the position bias for every weight, and the mask where windows are shifted
        added = weights * (2 if self.shifts(height, width) else 1)
        return Facts(
            output=inputs[0],
            torch=self.module(channels),
            params={"relative_position_bias_table": (offsets, self.num_heads)}
            | {"qkv.weight": (3 * channels, channels)}
            | ({"qkv.bias": (3 * channels,)} if self.qkv_bias else {})
            | {"proj.weight": (channels, channels)}
            | ({"proj.bias": (channels,)} if self.proj_bias else {}),
            buffers={"relative_position_index": (places * places,)},
            macs=4 * padded * channels * channels + 2 * padded * places * channels,
            other=({"bias": bias} if bias else {})
            | {"elementwise": padded * channels + added, "activation": SOFTMAX * weights},
            windows=GLOBAL,
            # windows, scaled queries, keys, values and what they give; the weights
            inside=5 * padded * channels + weights,
            inside_training=(2 * weights if self.attention_dropout else 0)
            + (padded * channels if self.dropout else 0),
            arithmetic=" + ".join(
                [by(offsets, self.num_heads), by(qkv, 3 * channels), by(proj, channels)]
            ),
            agreements=heads,
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,), own, heads = inputs, torch.own, self.num_heads
        samples, height, width, channels = x.shape
        rows, columns = self.window_size
        down, across = (height + rows - 1) // rows, (width + columns - 1) // columns
        whole, places = (samples, down * rows, across * columns, channels), rows * columns
        grows = whole != x.shape
        x = torch.padded(x, whole, grows=grows)
        shifted = self.shifts(height, width)
        if shifted:
            x = torch.resized(x, whole)
        x = torch.reshape(x, (samples, down, rows, across, columns, channels))
        x = torch.permute(x, (0, 1, 3, 2, 4, 5))
        windows = samples * down * across
        x = torch.reshape(x, (windows, places, channels))
        qkv = torch.linear(x, own["qkv.weight"], own.get("qkv.bias"))
        qkv = torch.reshape(qkv, (windows, places, 3, heads, channels // heads))
        qkv = torch.permute(qkv, (2, 0, 3, 1, 4))
        query, key, value = (torch.select(qkv, 0) for _ in range(3))
        weights = torch.matmul(torch.function(query), torch.transpose(key, 2, 3))
        table = own["relative_position_bias_table"]
        bias = torch.result((table,), (places * places, heads))
        bias = torch.permute(torch.reshape(bias, (places, places, heads)), (2, 0, 1))
        weights = torch.add(weights, bias)
        if shifted:
            mask = torch.new((down * across, 1, places, places))
            shape = (samples, down * across, heads, places, places)
            weights = torch.add(torch.reshape(weights, shape), mask)
            weights = torch.reshape(weights, (windows, heads, places, places))
        weights = torch.dropout(torch.softmax(weights), self.attention_dropout)
        output = torch.transpose(torch.matmul(weights, value), 1, 2)
        output = torch.reshape(output, (windows, places, channels))
        output = torch.linear(output, own["proj.weight"], own.get("proj.bias"))
        x = torch.dropout(output, self.dropout)
        x = torch.reshape(x, (samples, down, across, rows, columns, channels))
        x = torch.permute(x, (0, 1, 3, 2, 4, 5))
        x = torch.reshape(x, whole)
        if shifted:
            x = torch.resized(x, whole)
        for axis, size in ((1, height), (2, width)):
            x = torch.sliced(x, axis, size)
        return torch.contiguous(x)

    def shifts(self, height: Size, width: Size) -> bool:
        """Tell whether windows are shifted along any axis, which one window alone isn't."""
        axes = zip(self.shift_size, self.window_size, (height, width), strict=True)
        return any(shift and (not isinstance(n, int) or n > window) for shift, window, n in axes)

    def module(self, channels: Size) -> TorchModule:
        """Return the module, whose text stands above since torch has none."""
        given = self.for_torch("window_size", "shift_size", "num_heads")
        sizes = (list(self.window_size), list(self.shift_size))
        return TorchModule(
            "ShiftedWindowAttention",
            (channels, *sizes, self.num_heads),
            given,
            WINDOW_SOURCE,
            overwritable=True,
        )

    def exported(self, inputs: Shapes, form: Form) -> Torch | None:
        """Leave open whether there is more than one window along an axis of free size."""
        height, width, channels = inputs[0]
        axes = zip(self.shift_size, (height, width), strict=True)
        if not any(shift and isinstance(size, Formula) for shift, size in axes):
            return None
        module = self.module(channels)
        return module._replace(target="OpenWindowAttention", source=OPEN_WINDOW_SOURCE)
