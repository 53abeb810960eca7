"""What a training step computes, operation by operation, and what autograd keeps of it.

A layer says in `Layer.trained` which operations of torch it is made of. Here stands, once for each
operation, what its result is like (shape, strides, storage) and which tensors its backward pass
needs. No numbers are computed. It is torch as it runs on a CPU; the storages that are kept are
those that `torch.autograd.graph.saved_tensors_hooks` sees, save the module's own tensors. Other
kernels keep more in places: what cuDNN reserves for batch normalization, say.

Sources: `tools/autograd/derivatives.yaml` and `aten/src/ATen/native` of torch, which a test
compares with for every layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod

from archdsl.layers.sizes import Shape, Size, numel
from archdsl.layers.strides import (
    Strides,
    channels_last,
    contiguous,
    is_contiguous,
    lies_as,
    pointwise,
    suggested,
    suggests_channels_last,
    viewed,
)

INDEX = 8  # bytes of an integer
FLOAT32 = 4


class Storage:
    """Memory that tensors lie in.

    Attributes:
        size: in bytes.
        own: it holds a parameter or buffer of the module.
    """

    __slots__ = ("own", "size")

    def __init__(self, size: Size, own: bool = False) -> None:
        self.size = size
        self.own = own


class Tensor:
    """A tensor of a training step, without its numbers.

    Attributes:
        shape: with the batch.
        width: bytes of each number.
        needs_grad: a gradient is worked out for it.
    """

    __slots__ = ("needs_grad", "shape", "storage", "strides", "width")

    def __init__(
        self, shape: Shape, strides: Strides, storage: Storage, width: int, needs_grad: bool
    ) -> None:
        self.shape = shape
        self.strides = strides
        self.storage = storage
        self.width = width
        self.needs_grad = needs_grad

    @property
    def laid(self) -> tuple[Shape, Strides]:
        """Its shape and strides."""
        return self.shape, self.strides

    @property
    def bytes(self) -> Size:
        """What its numbers take, and with them a gradient of it."""
        return numel(self.shape) * self.width


class Op:
    """An operation, as far as memory goes.

    Attributes:
        node: the number of the node of the graph that it belongs to.
        saved: what its backward pass needs.
        held: what is there meanwhile besides inputs and result: what it makes, also where nothing
            needs that, and what variables around it still hold.
        passes: the gradient of its result goes on to its inputs as it is, or as a view of it.
        repeats: it stands for many steps, each of which gives its parameters a gradient.
        sums: what it spreads gets a gradient that is summed up of one as large as its result.
    """

    __slots__ = ("held", "inputs", "node", "output", "passes", "repeats", "saved", "sums")

    def __init__(
        self,
        node: int,
        inputs: tuple[Tensor, ...],
        output: Tensor,
        held: tuple[Storage, ...],
        saved: tuple[Storage, ...],
        passes: bool,
    ) -> None:
        self.repeats = False
        self.sums = False
        self.held = held
        self.node = node
        self.inputs = inputs
        self.output = output
        self.saved = saved
        self.passes = passes


class Autograd:
    """Takes down the operations of a training step.

    Attributes:
        width: bytes of a float.
        batch: how many samples there are.
        fused: attention runs in a kernel of its own where torch has one that is apt.
        ops: all that was done, in order.
        further: from which operation to before which it stands for so many further turns of a loop.
        asked: attention came by for which there is a fused kernel.
        notes: where a kernel of torch's own may be taken that keeps more.
        inputs, ends: what comes into the network, and what it gives.
        results: what each node of the graph gives, by its number.
        owned: its parameters and buffers, by the number of the node whose they are.
        node: the number of the node whose layer is in hand; and of that layer:
        own: its parameters and buffers, by name.
        output: the shape that it gives.
        overwrites: it writes its result over its input.
    """

    def __init__(self, width: int, batch: Size, fused: bool = True) -> None:
        self.width = width
        self.batch = batch
        self.fused = fused
        self.ops: list[Op] = []
        self.further: list[tuple[int, int, int]] = []
        self.asked = False
        self.notes: dict[str, None] = {}
        self.inputs: list[Tensor] = []
        self.owned: dict[int, list[Tensor]] = {}
        self.ends: list[Tensor] = []
        self.results: list[Tensor] = []
        self.node = 0
        self.own: Mapping[str, Tensor] = {}
        self.output: Shape = ()
        self.overwrites = False

    def begin(self, node: int, output: Shape, own: Mapping[str, Tensor], overwrites: bool) -> None:
        """Turn to the layer of a node."""
        self.node = node
        self.output = output
        self.own = own
        self.overwrites = overwrites

    def new(self, shape: Shape, width: int | None = None, *, own: bool = False) -> Tensor:
        """Return a tensor of its own memory that needs no gradient."""
        width = self.width if width is None else width
        storage = Storage(numel(shape) * width, own)
        return Tensor(shape, contiguous(shape), storage, width, False)

    def kept(self) -> dict[Storage, int]:
        """Return what the backward pass needs, less the module's own, with the node that said so.

        It comes in the order in which it is kept.
        """
        found: dict[Storage, int] = {}
        for op in self.ops:
            for storage in op.saved:
                if not storage.own:
                    found.setdefault(storage, op.node)
        return found

    def kept_sizes(self) -> list[Size]:
        """Return the bytes of what the backward pass needs, less the module's own."""
        times = [1] * len(self.ops)
        for first, stop, more in self.further:  # a loop may be in a loop
            times[first:stop] = [one * (1 + more) for one in times[first:stop]]
        found: dict[Storage, Size] = {}
        for op, often in zip(self.ops, times, strict=True):
            for storage in op.saved:
                if not storage.own and storage not in found:
                    found[storage] = storage.size * often
        return [*found.values()]

    # --- what all operations are made of ----------------------------------------------------

    def result(
        self,
        inputs: Iterable[Tensor | None],
        shape: Shape,
        strides: Strides | None = None,
        saves: Iterable[Tensor | None] = (),
        *,
        saves_result: bool = False,
        passes: bool = False,
        width: int | None = None,
    ) -> Tensor:
        """Take down an operation with a result in memory of its own."""
        width = self.width if width is None else width
        return self._done(
            inputs,
            shape,
            contiguous(shape) if strides is None else strides,
            Storage(numel(shape) * width),
            width,
            saves,
            saves_result,
            passes,
        )

    def lives(self, *tensors: Tensor) -> None:
        """Say of tensors that torch still holds them in the last operation, which reads others."""
        self.ops[-1].held += tuple([x.storage for x in tensors])

    def _done(
        self,
        inputs: Iterable[Tensor | None],
        shape: Shape,
        strides: Strides,
        storage: Storage,
        width: int,
        saves: Iterable[Tensor | None],
        saves_result: bool,
        passes: bool,
    ) -> Tensor:
        given = tuple([one for one in inputs if one is not None])
        needs_grad = any(one.needs_grad for one in given)
        output = Tensor(shape, strides, storage, width, needs_grad)
        made = tuple([one.storage for one in saves if one is not None])
        saved: tuple[Storage, ...] = ()
        if needs_grad:
            saved = (*made, storage) if saves_result else made
        self.ops.append(Op(self.node, given, output, made, saved, passes))
        return output

    def view(self, x: Tensor, shape: Shape, strides: Strides) -> Tensor:
        """Look at the same memory in another way."""
        return self._done((x,), shape, strides, x.storage, x.width, (), False, True)

    def copy(self, x: Tensor, strides: Strides | None = None) -> Tensor:
        """Copy, in the order of the axes unless strides are given."""
        return self.result((x,), x.shape, strides, passes=True, width=x.width)

    # --- other shapes -----------------------------------------------------------------------

    def contiguous(self, x: Tensor) -> Tensor:
        """Copy what doesn't lie in the order of its axes."""
        return x if is_contiguous(*x.laid) else self.copy(x)

    def reshape(self, x: Tensor, shape: Shape) -> Tensor:
        """Look at it in another shape, or copy it where it lies in another order."""
        strides = viewed(x.shape, x.strides, shape)
        if strides is None:
            x, strides = self.copy(x), contiguous(shape)
        return self.view(x, shape, strides)

    def permute(self, x: Tensor, order: Sequence[int]) -> Tensor:
        """Put the axes into another order, the batch among them."""
        shape = tuple([x.shape[axis] for axis in order])
        return self.view(x, shape, tuple([x.strides[axis] for axis in order]))

    def transpose(self, x: Tensor, first: int, second: int) -> Tensor:
        """Exchange two axes."""
        order = list(range(len(x.shape)))
        order[first], order[second] = order[second], order[first]
        return self.permute(x, order)

    def unsqueeze(self, x: Tensor, axis: int) -> Tensor:
        """Put in an axis of size 1."""
        stride = x.shape[axis] * x.strides[axis] if axis < len(x.shape) else 1
        shape = (*x.shape[:axis], 1, *x.shape[axis:])
        return self.view(x, shape, (*x.strides[:axis], stride, *x.strides[axis:]))

    def squeeze(self, x: Tensor, *axes: int) -> Tensor:
        """Leave axes of size 1 out."""
        kept = [axis for axis in range(len(x.shape)) if axis not in axes]
        return self.permute(x, kept)

    def sliced(self, x: Tensor, axis: int, length: Size, step: Size = 1) -> Tensor:
        """Take every `step`-th place of an axis. The gradient is as large as what came in."""
        shape = (*x.shape[:axis], length, *x.shape[axis + 1 :])
        strides = (*x.strides[:axis], x.strides[axis] * step, *x.strides[axis + 1 :])
        return self._done((x,), shape, strides, x.storage, x.width, (), False, False)

    def indexed(self, x: Tensor, axis: int, shape: Shape) -> Tensor:
        """Take listed places of an axis; the list of their indices is kept."""
        places = self.new((shape[axis],), INDEX)
        steps = tuple([0 if at == axis else stride for at, stride in enumerate(x.strides)])
        listed = tuple([int(at == axis) for at in range(len(shape))])
        strides = pointwise(shape, [(shape, steps), (shape, listed)])
        return self.result((x,), shape, strides, (places,), width=x.width)

    def select(self, x: Tensor, axis: int) -> Tensor:
        """Take one place of an axis."""
        return self.squeeze(self.sliced(x, axis, 1), axis)

    def expand(self, x: Tensor, shape: Shape) -> Tensor:
        """Spread axes of size 1, which takes no memory."""
        before = len(shape) - len(x.shape)
        strides = (0,) * before + tuple(
            [
                0 if size == 1 and wanted != 1 else stride
                for size, wanted, stride in zip(x.shape, shape[before:], x.strides, strict=True)
            ]
        )
        return self._done((x,), shape, strides, x.storage, x.width, (), False, False)

    def cat(self, inputs: Sequence[Tensor], shape: Shape) -> Tensor:
        """Join tensors along an axis."""
        last = all(suggests_channels_last(*x.laid) for x in inputs)
        width = max(x.width for x in inputs)
        strides = channels_last(shape) if last else None
        return self.result(inputs, shape, strides, passes=True, width=width)

    def padded(self, x: Tensor, shape: Shape, mode: str = "zeros", grows: bool = True) -> Tensor:
        """Pad a map with zeros, or as the `mode` of torch's `F.pad` says.

        Without places that are put around nothing grows.
        """
        if mode == "circular":
            return self.result((x,), shape, width=x.width)
        strides, saves = suggested(shape, x.laid), () if mode == "zeros" else (x,)
        if mode == "zeros" and (not grows or shape == x.shape):
            strides = pointwise(shape, [(shape, x.strides)])
        return self.result((x,), shape, strides, saves, width=x.width)

    def own_part(self, whole: Tensor, shape: Shape) -> Tensor:
        """Return a part of a parameter, whose gradient is as large as all of it."""
        return Tensor(shape, contiguous(shape), whole.storage, whole.width, whole.needs_grad)

    # --- number by number -------------------------------------------------------------------

    def pointwise(
        self,
        inputs: Sequence[Tensor],
        saves: Iterable[Tensor | None] = (),
        *,
        saves_result: bool = False,
        passes: bool = False,
        width: int | None = None,
    ) -> Tensor:
        """Compute number by number; sizes of 1 are spread."""
        shape = spread([x.shape for x in inputs])
        strides = pointwise(shape, [x.laid for x in inputs])
        width = max(x.width for x in inputs) if width is None else width
        # what is spread has a gradient that is a sum
        passes = passes and all(x.shape == shape for x in inputs)
        output = self.result(
            inputs, shape, strides, saves, saves_result=saves_result, passes=passes, width=width
        )
        # a product, which has to be worked out before it is summed up
        self.ops[-1].sums = bool(self.ops[-1].saved) and len(inputs) > 1
        return output

    def function(self, x: Tensor, keeps: str = "") -> Tensor:
        """Compute a function of each number, whose gradient needs "input", "output" or nothing."""
        saves = (x,) if keeps == "input" else ()
        if not self.overwrites:
            return self.pointwise((x,), saves, saves_result=keeps == "output")
        if saves and x.needs_grad:  # what is written over is needed, so torch copies it before
            saves = (self.new(x.shape, x.width),)
        return self._done(
            (x,), x.shape, x.strides, x.storage, x.width, saves, keeps == "output", False
        )

    def add(self, left: Tensor, right: Tensor) -> Tensor:
        """Add, or subtract."""
        return self.pointwise((left, right), passes=True)

    def mul(self, left: Tensor, right: Tensor) -> Tensor:
        """Multiply; each factor is needed for the gradient of the other."""
        saves = [one for one, other in ((left, right), (right, left)) if other.needs_grad]
        return self.pointwise((left, right), saves)

    def div(self, left: Tensor, right: Tensor) -> Tensor:
        """Divide."""
        return self.pointwise((left, right), (left, right) if right.needs_grad else (right,))

    def to(self, x: Tensor, width: int) -> Tensor:
        """Bring floats to another width."""
        return x if x.width == width else self.pointwise((x,), width=width)

    def dropout(self, x: Tensor, p: float, noise: Shape | None = None) -> Tensor:
        """Leave numbers out by multiplying with noise, of the shape of what comes in if not given.

        Without any to leave out it is what comes in. If all are left out the factor is one zero.
        """
        if p == 0:
            return x
        return self.mul(x, self.new(() if p == 1 else noise or x.shape, x.width))

    # --- products ---------------------------------------------------------------------------

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Multiply the last axis with a matrix of [out, in]."""
        rank, features = len(x.shape), x.shape[-1]
        shape = (*x.shape[:-1], weight.shape[0])
        fitting = bias is not None and (rank == 2 or is_contiguous(*x.laid))
        if rank > 2 and not fitting and not self._folds(x, weight):
            flat = self.reshape(x, (prod(x.shape[:-2]), *x.shape[-2:]))
        else:
            flat = x if rank == 2 else self.reshape(x, (prod(x.shape[:-1]), features))
        saves = (flat if weight.needs_grad else None, weight if x.needs_grad else None)
        out = self.result(
            (flat, weight, bias), (*flat.shape[:-1], weight.shape[0]), saves=saves, width=x.width
        )
        return out if rank == 2 else self.view(out, shape, contiguous(shape))

    def _folds(self, x: Tensor, matrix: Tensor) -> bool:
        """Tell whether torch multiplies all rows of a tensor with a matrix at once."""
        if matrix.needs_grad:
            return True
        axes = range(len(x.shape) - 2)
        return all(x.strides[at] == x.strides[at + 1] * x.shape[at + 1] for at in axes)

    def matmul(self, left: Tensor, right: Tensor) -> Tensor:
        """Multiply matrices, which the last two axes hold."""
        if len(left.shape) == len(right.shape) == 2:
            return self._product(left, right)
        if len(right.shape) == 2 and self._folds(left, right):
            flat = self.reshape(left, (prod(left.shape[:-1]), left.shape[-1]))
            shape = (*left.shape[:-1], right.shape[-1])
            return self.view(self._product(flat, right), shape, contiguous(shape))
        if len(left.shape) == 2 and left.needs_grad:  # the same the other way round, and a copy
            last = len(right.shape) - 1
            turned = self.transpose(right, last - 1, last), self.transpose(left, 0, 1)
            return self.copy(self.transpose(self.matmul(*turned), last - 1, last))
        if len(left.shape) == len(right.shape) == 3 and left.shape[0] != right.shape[0]:
            # torch spares the sum of a gradient that is as large as all samples
            if left.shape[0] == 1 and left.needs_grad:
                return self.matmul(self.squeeze(left, 0), right)
            if right.shape[0] == 1 and right.needs_grad:
                return self.matmul(left, self.squeeze(right, 0))
        before = spread([left.shape[:-2], right.shape[:-2]])
        product = self._product(self._stack(left, before), self._stack(right, before))
        shape = (*before, left.shape[-2], right.shape[-1])
        return self.view(product, shape, contiguous(shape))

    def _product(self, left: Tensor, right: Tensor) -> Tensor:
        saves = [one for one, other in ((left, right), (right, left)) if other.needs_grad]
        shape = (*left.shape[:-1], right.shape[-1])
        return self.result((left, right), shape, saves=saves, width=left.width)

    def _stack(self, x: Tensor, before: Shape) -> Tensor:
        if x.shape[:-2] != before:
            x = self.expand(x, (*before, *x.shape[-2:]))
        return self.reshape(x, (prod(before), *x.shape[-2:]))

    def convolution(self, x: Tensor, shape: Shape) -> Tensor:
        """Convolve, also transposed, with the layer's own weight and bias."""
        own = self.own["weight"], self.own.get("bias")
        return self.result((x, *own), shape, suggested(shape, x.laid), (x, own[0]))

    def softmax(self, x: Tensor) -> Tensor:
        """Compute a softmax or its logarithm."""
        return self.result((x,), x.shape, saves_result=True, width=x.width)

    def attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        dropout: float,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Attend: queries, keys and values of (batch, heads, length, features of a head).

        A fused kernel keeps what comes in, what comes out, and a logarithm for each query, in
        single precision; the mask too, as numbers. On a CPU there is one where nothing is dropped,
        for up to four axes whose last is the innermost, and masks of as many axes, or of two, that
        don't learn. Without one there are the weights, which with 16 bits a number are worked out
        in single precision, and keys and values are repeated for the heads that share them.
        """
        given, width, last = (query, key, value), query.width, len(query.shape) - 1
        apt = dropout == 0 and query.shape[-1] == value.shape[-1] and last in (2, 3)
        apt = apt and all(x.strides[-1] == 1 for x in given)
        masks = [one for one in (mask,) if one is not None]
        apt = apt and all(len(x.shape) in (2, last + 1) and not x.needs_grad for x in masks)
        self.asked = self.asked or apt
        if apt and self.fused:
            sums = self.new(query.shape[:-1], FLOAT32)
            strides = pointwise(query.shape, [query.laid])
            masks = [self.to(x, width) for x in masks]
            return self.result(
                (*given, *masks),
                query.shape,
                strides,
                (*given, sums, *masks),
                saves_result=True,
                width=width,
            )
        wide = max(FLOAT32, width)
        if (heads := query.shape[:-2]) != key.shape[:-2]:
            key, value = (
                self.result((x,), (*heads, *x.shape[-2:]), width=x.width) for x in (key, value)
            )
        query, key, value = (self.to(x, wide) for x in (query, key, value))
        scaled = self.pointwise((query,))
        turned = self.pointwise((self.transpose(key, last - 1, last),))
        products = self.matmul(scaled, turned)
        for x in masks:
            products = self.add(products, self.to(x, wide))
        weights = self.softmax(products)
        return self.to(self.matmul(self.dropout(weights, dropout), value), width)

    # --- normalization, pooling, padding ----------------------------------------------------

    def batch_norm(self, x: Tensor, channels: Size, weight: Tensor | None, *more: Tensor) -> Tensor:
        """Normalize each channel over all else; a mean and a deviation are kept for each."""
        found = self.new((channels,)), self.new((channels,))
        given = (x, weight, self.own.get("bias"))
        last = len(x.shape) > 3 and lies_as(x.shape, x.strides, channels_last(x.shape))
        strides = channels_last(x.shape) if last and not is_contiguous(*x.laid) else None
        return self.result(given, x.shape, strides, (x, weight, *found, *more))

    def normalized(
        self, x: Tensor, groups: Shape, strides: Strides | None = None, *, keeps_shift: bool = False
    ) -> Tensor:
        """Normalize parts, of which a mean and a deviation each are kept."""
        weight, bias = self.own.get("weight"), self.own.get("bias")
        found = self.new(groups), self.new(groups)
        saves = (x, weight, bias if keeps_shift else None, *found)
        return self.result((x, weight, bias), x.shape, strides, saves)

    def pooled(self, x: Tensor, shape: Shape, *, maximum: bool, laid: bool = True) -> Tensor:
        """Pool; of a maximum it is kept where it came from.

        The result may be laid out as its input suggests.
        """
        if len(shape) == 3:  # a sequence is an image one place high
            if maximum and not x.needs_grad:
                return self.result((x,), shape)
            image = self.pooled(self.unsqueeze(x, 2), (*shape[:2], 1, shape[2]), maximum=maximum)
            return self.squeeze(image, 2)
        saves = (x, self.new(shape, INDEX)) if maximum else (x,)
        return self.result((x,), shape, suggested(shape, x.laid) if laid else None, saves)

    def adaptively_pooled(self, x: Tensor, shape: Shape, *, maximum: bool) -> Tensor:
        """Pool to a size; an average over all places is a mean, whose gradient needs nothing."""
        if len(shape) == 3:
            image = (*shape[:2], 1, shape[2])
            found = self.adaptively_pooled(self.unsqueeze(x, 2), image, maximum=maximum)
            return self.squeeze(found, 2)
        if maximum or any(size != 1 for size in shape[2:]):
            return self.pooled(x, shape, maximum=maximum, laid=len(shape) == 4)
        return self.resized(x, shape)

    def resized(self, x: Tensor, shape: Shape) -> Tensor:
        """Make a map of another size whose gradient needs nothing."""
        return self.result((x,), shape, suggested(shape, x.laid), width=x.width)


def spread(shapes: Sequence[Shape]) -> Shape:
    """Return the shape to which shapes are spread, aligned from the last axis on."""
    rank = max(map(len, shapes))
    found: list[Size] = [1] * rank
    for shape in shapes:
        for axis, size in enumerate(shape, start=rank - len(shape)):
            if found[axis] == 1:
                found[axis] = size
    return tuple(found)


def own_tensors(
    params: Mapping[str, Shape],
    buffers: Mapping[str, Shape],
    width: int,
    frozen: Iterable[str] = (),
) -> dict[str, Tensor]:
    """Return the parameters and buffers of a layer by name; those that learn need gradients."""
    found: dict[str, Tensor] = {}
    for held, learns in ((params, True), (buffers, False)):
        for name, shape in held.items():
            storage = Storage(numel(shape) * width, own=True)
            needs_grad = learns and name not in frozen
            found[name] = Tensor(shape, contiguous(shape), storage, width, needs_grad)
    return found
