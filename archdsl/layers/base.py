"""What a layer is: a declaration of its arguments and one pure method that works out its facts.

Families of layers live beside this file, one file each, and are found by themselves
(`registry.py`). None knows of syntax, graphs or torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, dataclass_transform

from archdsl.layers.fields import ArgumentErrors as ArgumentErrors
from archdsl.layers.fields import Field, fields_of
from archdsl.layers.fields import Kind as Kind
from archdsl.layers.homes import is_own
from archdsl.layers.rewriting import Rewritable
from archdsl.layers.sizes import Formula, Size
from archdsl.layers.sizes import Shape as Shape
from archdsl.layers.sizes import numel as numel
from archdsl.records import Record

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor

Shapes = tuple[Shape, ...]


class Shared(tuple[Size, ...]):
    """The shape of a tensor without a batch axis: its axes are those that torch counts."""

    __slots__ = ()


def before(shape: Shape) -> int:
    """Return how many axes torch has before those of a shape: the batch, if it has one."""
    return 0 if isinstance(shape, Shared) else 1


# The kinds of numbers that a tensor may hold, in the order in which torch widens them: two that are
# combined give the later one. How many bits each has is the business of whoever runs the network.
Dtype = Literal["bool", "int", "float", "complex"]
DTYPES: Mapping[Dtype, str] = {
    "bool": "booleans",
    "int": "integers",
    "float": "floats",
    "complex": "complex numbers",
}

# What layers take, each with what they give then; see `Layer.takes`.
Takes = Mapping[Dtype, Dtype]


def dtypes(**gives: Dtype) -> Takes:
    """Return what a layer takes, each with what it gives: `dtypes(int="float")`."""
    return MappingProxyType({held: gives[held] for held in DTYPES if held in gives})


FLOATS = dtypes(float="float")
ANY = dtypes(bool="bool", int="int", float="float", complex="complex")
# of a function such as exp, which makes floats of what has no fractions
TO_FLOATS = dtypes(bool="float", int="float", float="float", complex="complex")


NOTHING: Mapping[str, Any] = {}  # in the place of many empty ones; nobody fills it


class LayerError(ValueError):
    """A layer cannot take its inputs. The text completes a sentence: "Conv2d needs ..."."""

    def __init__(self, reason: str, help: str = "") -> None:
        super().__init__(reason)
        self.help = help  # how to mend it, where that is known


class WrongDtype(LayerError):
    """A layer cannot take what one of its inputs holds.

    Attributes:
        position: of that input among all of them, from 0.
    """

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position


class Disagreement(LayerError):
    """Inputs that have to be merged have shapes that don't fit each other.

    Attributes:
        axes: names of the axes along which they differ; empty if they differ in their number.
    """

    def __init__(self, axes: Sequence[str], help: str = "") -> None:
        self.axes = tuple(axes)
        super().__init__(f"needs tensors that agree in {self.named}", help)

    @property
    def named(self) -> str:
        """The axes as a phrase: "height and width"."""
        return " and ".join(self.axes) or "the number of axes"


class TorchModule(Record):
    """A submodule as text: how it is constructed and how it is called.

    `target` is `nn.Conv2d`, the dotted path of a class that can be imported, or the name of the
    class that `source` defines. `call` is how the forward pass uses it, with `{module}` for the
    submodule, `{0}`, `{1}`, ... for its inputs and `{inputs}` for all of them.

    Attributes:
        overwritable: what alone reads its result may write over it. That is memory of its own, in
            training and in evaluation mode, and no gradient is worked out from it.
        overwrites: it may write its result over its input: its class takes `inplace=True`, and
            torch keeps no more for the gradient then.
    """

    target: str
    positional: tuple[object, ...] = ()
    keywords: Mapping[str, object] = NOTHING
    source: str = ""  # of the class, where torch has none; needs `torch`, `nn` and `F`
    call: str = "{module}({inputs})"
    overwritable: bool = False
    overwrites: bool = False


class TorchFunction(Record):
    """An expression as text, for what torch does without a submodule.

    `{0}`, `{1}`, ... stand for the inputs and `{inputs}` for all of them, separated by commas:
    `torch.flatten({0}, 1)`, `torch.cat([{inputs}], dim=1)`. It may use `torch`, `nn`, `F`, `math`.
    `overwritable` means the same as of a `TorchModule`.
    """

    expression: str
    free: Formula | None = None  # a size in it that is free, so that it can't be run as it stands
    module: TorchModule | None = None  # that does the same, to stand in an nn.Sequential
    overwritable: bool = False


class TorchTensor(Record):
    """A tensor that the module itself owns, as text: `nn.Parameter(torch.zeros(3, 1, 1))`.

    `call` is how the forward pass reads it, with `{tensor}` for the attribute and `{batch}` for
    the batch size. What isn't `stored` is not in the state_dict.
    """

    value: str
    learnable: bool
    call: str = "{tensor}"
    stored: bool = True


Torch = TorchModule | TorchFunction | TorchTensor

# What a network is written as for other programs.
Form = Literal["ONNX", "torch.export"]


class Window(Record):
    """Which inputs along one axis an output reads.

    Output `i` reads the `size` places from `i * stride + start` on. A stride below 1 stands for
    an upsampling layer.
    """

    size: Size
    stride: Fraction | Size = 1
    start: Fraction | Size = 0


# One window for each axis after the first ("spatial" axes); `POINTWISE` where each output reads
# the same place of the input only; `GLOBAL` where it reads all of it, or where places move.
Windows = tuple[Window, ...] | Literal["pointwise", "global"]
POINTWISE: Windows = "pointwise"
GLOBAL: Windows = "global"


# How what comes back in a deconvnet passes a layer (Zeiler and Fergus 2013, section 2): by its
# gradient; by what is above zero of it alone, as of a ReLU; or as it is, as of what normalizes
# contrast.
Back = Literal["gradient", "rectified", "unchanged"]


class Facts(Record):
    """All that follows from a layer and the shapes of its inputs, for one sample.

    `macs` are the multiply-accumulates of convolutions, linear layers and matrix products, and
    nothing else. What it computes beyond that stands in `other`, in arithmetic operations
    (additions, multiplications, comparisons, calls of a function such as exp: one each) under a
    heading such as "bias", "normalization", "activation", "pooling", "elementwise".
    """

    output: Shape
    torch: Torch
    params: Mapping[str, Shape] = NOTHING  # named as torch names them
    buffers: Mapping[str, Shape] = NOTHING  # those in the state_dict
    macs: Size = 0
    other: Mapping[str, Size] = NOTHING
    windows: Windows = POINTWISE
    wraps: bool = False  # what it reads beyond its input's edges repeats places of the input
    apart: bool = False  # each place of the first axis comes of that place alone, as in ReLU
    moves: tuple[int, ...] = ()  # which axis of the input each of the output's is, if they change
    view: bool = False  # the output shares its input's memory
    inside: Size = 0  # numbers of results between input and output that a backward pass needs
    inside_training: Size = 0  # further ones of training mode alone, as dropout makes
    shape_only: tuple[int, ...] = ()  # positions of inputs of which nothing but the shape is used
    batched: bool = True  # False for a tensor of the module's own that all samples share
    arithmetic: str = ""  # of the parameters: "(5 x 5 x 1 + 1) x 6"; found from `params` if empty
    agreements: tuple[tuple[Size, Size], ...] = ()  # sizes with free names that must be equal
    back: Back = "gradient"  # another one is for a layer of one input, which it gives the shape of


class Example(Record):
    """A use of a layer with the facts expected of it: documentation and test case in one."""

    arguments: Mapping[str, object]
    inputs: Shapes
    output: Shape
    params: int = 0
    macs: int = 0


class _Fields:
    """The fields of a layer by name, in order, with those of its base classes first.

    They are found when they are first asked for, since there are far more layers than any
    network uses.
    """

    def __get__(self, layer: Layer | None, kind: type[Layer]) -> Mapping[str, Field]:
        return fields_of(kind)


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Layer(Rewritable, ABC):
    """A kind of node. Its fields are its signature in the language, in positional order.

    Fields are annotated with the kinds of argument in `arguments.py`, since a value may be a
    `Formula` wherever torch takes a size. A layer is a value: it never changes, and equals every
    other with the same arguments.
    """

    model_fields: ClassVar[_Fields] = _Fields()

    examples: ClassVar[tuple[Example, ...]] = ()
    # What its inputs may hold, each with what the output holds where that is the widest of them:
    # {"int": "float"} looks something up by its index.
    takes: ClassVar[Takes] = FLOATS
    # What an input of a network holds that it reads, by position, if that isn't what it takes
    # elsewhere: booleans, of a mask.
    wants: ClassVar[Mapping[int, Dtype]] = MappingProxyType({})
    # The word of the language that stands for it, for what is no stage: "concat", "parameter".
    word: ClassVar[str] = ""
    # The kind of layer, by which pictures colour it and lists are ordered: "convolution".
    family: ClassVar[str] = "own"
    # Whether it joins branches, which pictures show apart from layers, with its sign if it has one.
    merges: ClassVar[bool] = False
    sign: ClassVar[str] = ""
    # What other frameworks and papers call it, in small letters, with how that is written here;
    # only names that no likeness of letters leads to.
    elsewhere: ClassVar[tuple[tuple[str, str], ...]] = ()
    # For what computes each number by itself: whether its gradient needs "input", "output" or "".
    keeps: ClassVar[str | None] = None
    # Whether training changes its buffers, as it does the statistics of batch normalization; a
    # layer whose buffers are constants says that it doesn't.
    buffers_move: ClassVar[bool] = True
    # Whether `infer` takes a `Shared` shape too, whose axes may all be named, changed and moved. Of
    # other layers the first axis of a tensor without a batch stands in the place of the batch.
    batchless: ClassVar[bool] = False

    def __init__(self, /, **arguments: object) -> None:
        """Make a layer of its arguments by name.

        Raises:
            TypeError: an argument is unknown or missing.
            ArgumentErrors: a value is not of the kind that its argument takes.
        """
        fields = fields_of(type(self))
        reasons: dict[str, str] = {}
        # past `__setattr__`, which refuses everything
        values = self.__dict__
        for name, one in fields.items():
            if name not in arguments and one.is_required():
                raise TypeError(f"{type(self).__name__} needs `{name}`")
            try:
                values[name] = one.check(arguments[name]) if name in arguments else one.default
            except ValueError as error:
                reasons[name] = str(error)
        if surplus := arguments.keys() - fields:
            raise TypeError(f"{type(self).__name__} has no argument {min(surplus)!r}")
        if reasons:
            raise ArgumentErrors(reasons)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a layer never changes, and so `{name}` can't be set")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), tuple(vars(self).values())))

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({values})"

    def model_copy(self, update: Mapping[str, object]) -> Self:
        """Return the layer with other values for some arguments."""
        return type(self)(**(vars(self) | dict(update)))

    @abstractmethod
    def infer(self, inputs: Shapes) -> Facts:
        """Work out the facts from the shapes of the inputs, or raise LayerError."""

    def infer_shared(self, inputs: Shapes, batched: Sequence[bool]) -> Facts:
        """Work out the facts where some inputs lack the batch axis, or raise LayerError.

        Those are tensors of the network's own that all samples share, and what is made of them.
        `batched` tells which inputs have the axis; `Facts.batched`, whether the output has. Unlike
        those of a sample, their axes are the same in torch: the first is 0.
        """
        if any(batched):
            raise LayerError(
                "takes tensors that all have a batch axis, and one is shared by all samples",
                help="declare it as `[batch, ...]`",
            )
        facts = self.infer(shared_shapes(inputs)) if self.batchless else self._for_each(inputs)
        return without_batch(facts)

    def _for_each(self, inputs: Shapes) -> Facts:
        """Work out the facts where the first axis stands in the place of the batch."""
        if not any(inputs):
            return self.infer(inputs)  # single numbers
        times = next(shape[0] for shape in inputs if shape)
        if any(shape[:1] != (times,) for shape in inputs):
            raise LayerError("takes tensors that all have a batch axis, or equally long first axes")
        try:
            facts = self.infer(tuple([shape[1:] for shape in inputs]))
        except LayerError as error:
            error.help = error.help or (
                "of a tensor without `batch` the first axis stands in its place: "
                "declare it as `[batch, ...]`, or `Unsqueeze(0)` it"
            )
            raise
        return facts._replace(
            output=(times, *facts.output),
            macs=times * facts.macs,
            other={heading: times * number for heading, number in facts.other.items()},
            inside=times * facts.inside,
            inside_training=times * facts.inside_training,
        )

    def noise(self, shape: Shape) -> Shape:
        """Return the shape of what training draws for an input of a shape, with batch."""
        return (0,)

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        """Do in a training step what torch does, as far as memory goes, and return the output.

        It says so what its backward pass keeps: see `archdsl/layers/autograd.py`.

        Raises:
            LayerError: it doesn't say.
        """
        if self.keeps is None:
            name = type(self).__name__
            raise LayerError(f"`{name}` doesn't say what its backward pass keeps")
        return torch.function(inputs[0], self.keeps)

    def dtype(self, inputs: Sequence[Dtype]) -> Dtype:
        """Return what its output holds, of what its inputs hold.

        Raises:
            WrongDtype: torch can't compute it of that on every device.
        """
        # the first that is wrong is the one to be shown
        for position, held in enumerate(inputs):
            if held not in self.takes:
                raise WrongDtype(position, f"takes {named(self.takes)}")
        return self.takes[widest(inputs)]

    def indices(self) -> int | None:
        """Return how many indices it has, from 0 on, where it looks its inputs up in a table."""
        return None

    def functional(self) -> str | None:
        """Return torch's function that does the same with parameters that are given, as text.

        `{0}` stands for the input, `{weight}` for the parameter of that name; None if none does.
        """
        return None

    def exported(self, inputs: Shapes, form: Form) -> Torch | None:
        """Return what stands for it in a file for other programs; None for `Facts.torch` itself.

        For a layer that the exporter can't write, or whose sizes it would take for fixed although
        they are free. It has the same parameters and gives the same numbers.
        """
        return None

    def mend(self, inputs: Shapes, wanted: Shape) -> str:
        """Say which argument would give an output of the wanted size, or "" if none is known.

        Only the axes after the channels count: "`padding = 2` keeps a 5x5 convolution at 35 x 35".
        """
        return ""

    def in_torch_order(self, inputs: Shapes) -> str:
        """Return what was meant if its first three arguments stand in torch's order.

        That is "" unless it is nearly certain: torch is given the size of what comes in as well.
        """
        return ""

    def given(self) -> dict[str, object]:
        """Return the arguments that differ from their defaults.

        Values that are equal along every axis are given as one: `kernel_size=3`.
        """
        return self._but_defaults(type(self))

    def for_torch(self, *but: str) -> dict[str, object]:
        """Return the arguments to tell a class of torch, less those named.

        They are those that differ from its defaults, which a layer of this package has as well; one
        that a user derived from it may have others. Of a class that isn't known they are all.
        """
        origin = self.origin()
        given = self._but_defaults(origin) if origin else vars(self)
        return {name: squeeze(value) for name, value in given.items() if name not in but}

    def keywords(self, *but: str) -> str:
        """Return the arguments to tell a function of torch, less those named, as text."""
        return "".join([f", {name}={value}" for name, value in self.for_torch(*but).items()])

    def _but_defaults(self, kind: type[Layer]) -> dict[str, object]:
        values = self.__dict__
        return {
            name: squeeze(values[name])
            for name, default in _defaults(kind)
            if values[name] != default  # nothing equals that of one that must be given
        }

    @classmethod
    def origin(cls) -> type[Layer] | None:
        """Return the layer of this package that it is or is derived from, or else None."""
        return _origin(cls)

    @classmethod
    def torch_name(cls) -> str:
        """Return what torch calls it, whose names the layers of this package have."""
        return (cls.origin() or cls).__name__


@cache
def _defaults(kind: type[Layer]) -> tuple[tuple[str, object], ...]:
    return tuple([(name, field.default) for name, field in kind.model_fields.items()])


@cache
def _origin(kind: type[Layer]) -> type[Layer] | None:
    """Find it among the base classes; those that only share code declare no examples."""
    return next(
        (base for base in kind.__mro__ if "examples" in vars(base) and not is_own(base)), None
    )


def construct(kind: type[Layer], arguments: Mapping[str, object]) -> Layer:
    """Make a layer of arguments whose names are known to be right.

    Raises:
        ArgumentErrors: a value is not of the kind that the argument takes.
    """
    return kind(**arguments)


def shared_shapes(shapes: Shapes) -> Shapes:
    """Return shapes as those of tensors without a batch axis."""
    return tuple([Shared(shape) for shape in shapes])


def without_batch(facts: Facts) -> Facts:
    """Return the facts of what was made of tensors that all samples share."""
    return facts._replace(
        output=tuple(facts.output), windows=GLOBAL, apart=False, moves=(), batched=False
    )


AXIS_NAMES: dict[int, tuple[str, ...]] = {
    1: ("features",),
    2: ("channels", "length"),
    3: ("channels", "height", "width"),
    4: ("channels", "depth", "height", "width"),
}


# The axes of a sample with one, two and three axes after the channels, as `unpack` takes them.
SAMPLE_AXES = {rank - 1: " ".join(names) for rank, names in AXIS_NAMES.items() if rank > 1}


def axis_name(axis: int, rank: int) -> str:
    """Name an axis of a sample of that rank: "height"."""
    return AXIS_NAMES[rank][axis] if rank in AXIS_NAMES else f"axis {axis}"


def unpack(inputs: Shapes, axes: str) -> Shape:
    """Return the shape of the only input, which must have the axes named.

    `axes` lists them, as in "channels height width"; "..." at its head stands for any number.
    """
    shape = single(inputs)
    names = axes.split()
    if names[0] == "...":
        if len(shape) >= len(names) - 1:
            return shape
    elif len(shape) == len(names):
        return shape
    raise LayerError(f"takes an input of the shape [{', '.join(names)}]")


def single(inputs: Shapes) -> Shape:
    """Return the shape of the only input."""
    if len(inputs) != 1:
        raise LayerError(
            f"takes one tensor, and {len(inputs)} come in",
            help="choose one with `from`, or join them with `concat` or `add`",
        )
    return inputs[0]


def several(inputs: Shapes, least: int = 2, most: int | None = None) -> Shapes:
    """Return the shapes of all inputs, of which there must be from `least` to `most`."""
    if len(inputs) < least or (most is not None and len(inputs) > most):
        count = f"at least {least}" if most is None else f"{least} to {most}"
        come = "1 comes" if len(inputs) == 1 else f"{len(inputs)} come"
        raise LayerError(
            f"takes {least if least == most else count} tensors, and {come} in",
            help="hand it several with `from a, b`",
        )
    return inputs


def widest(inputs: Sequence[Dtype]) -> Dtype:
    """Return what torch makes of several kinds of numbers that it combines."""
    return max(inputs, key=list(DTYPES).index)


def named(dtypes: Iterable[Dtype]) -> str:
    """Write kinds of numbers for people: "integers or floats".

    Complex ones, which nothing in the language makes, are named where there are no others.
    """
    known = [held for held in DTYPES if held in dtypes]
    listed = [DTYPES[held] for held in known if held != "complex" or len(known) == 1]
    return " or ".join([", ".join(listed[:-1]), listed[-1]] if listed[1:] else listed)


def squeeze(value: object) -> object:
    """Write a size that is equal along every axis as one number."""
    if isinstance(value, tuple) and value and all(item == value[0] for item in value):
        return value[0]
    return value


def by(*factors: Size | Shape | str) -> str:
    """Write a product as papers do: `by((5, 5), 3)` is "5 x 5 x 3"."""
    text: list[str] = []
    for factor in factors:
        if isinstance(factor, tuple):
            text += map(str, factor)
        else:
            text.append(str(factor))
    return " x ".join(text)


def shown_shape(shape: Sequence[object]) -> str:
    """Write a shape as in print: 64 x 35 x 35."""
    return " x ".join(map(str, shape)) or "a single number"
