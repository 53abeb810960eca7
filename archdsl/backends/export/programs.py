"""Follows a module with torch.export, and makes a file of what was followed."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import wraps
from itertools import count
from typing import Any

import torch
from torch import nn

from archdsl.backends.export.axes import axes_of, name_axes
from archdsl.backends.export.comparing import Compared, Program, Refused, compared, inputs_for, said
from archdsl.backends.export.forms import exported
from archdsl.backends.export.trials import larger_trials, trials
from archdsl.graph import CheckedGraph
from archdsl.layers.base import Form

# They say what they leave as it is, and what an exception says as well.
LOGGERS = ("torch.onnx", "onnxscript", "onnx_ir", "torch._subclasses.fake_tensor")
MARK = "archdsl "  # before names of the spec: none of the exporter's own begins so


def attempt(module: nn.Module, checked: CheckedGraph, form: Form) -> tuple[bytes, Compared]:
    """Return a program as a file holds it, which was read and run and compared with the module.

    All of that is done in memory: where there is no room for a file, torch ends the process.

    Raises:
        Refused: it can't be written or run, or gives something else.
        TorchError: no value of a free size is known to do, or there is too little memory.
    """
    given = exported(module, checked, form)
    try:
        return _attempt(module, given, checked, form, single=True)
    except Refused as refused:
        try:
            return _attempt(module, given, checked, form, single=False)
        except Refused:
            raise refused from None


def _attempt(
    module: nn.Module,
    given: nn.Module,
    checked: CheckedGraph,
    form: Form,
    *,
    single: bool,
) -> tuple[bytes, Compared]:
    """Do as `attempt` says, and hold for maps of a single place too, or maybe not."""
    tried = trials(checked)
    with _evaluating(module), _evaluating(given):
        inputs = tuple(inputs_for(module, checked, tried[0]).values())
        try:
            with _sizes_of_one() if single else nullcontext():
                followed = _followed(given, checked, inputs)
            data, run = (_onnx if form == "ONNX" else _pt2)(followed, checked)
        except (
            Exception
        ) as error:  # the exporters, the checker and onnxruntime have their own kinds
            raise Refused(said(error)) from error
        return data, compared(module, checked, run, tried, lambda: larger_trials(checked))


def _followed(module: nn.Module, checked: CheckedGraph, inputs: tuple[torch.Tensor, ...]) -> Any:
    """Follow a module with torch.export, which is told which axes stay open."""
    open_axes = axes_of(checked).values()
    # an axis that can't stay open is an error so; with AUTO it would be fixed without a word
    shapes: Any = tuple(dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for axes in open_axes)
    if len(outputs_of(checked)) > 1:
        module = _Plain(module)
    return torch.export.export(module, inputs, dynamic_shapes=shapes, strict=False)


def _onnx(followed: Any, checked: CheckedGraph) -> tuple[bytes, Program]:
    """Return a program as ONNX, and what runs it."""
    import onnx
    import onnxruntime

    names = outputs_of(checked)
    program = torch.onnx.export(
        followed,
        (),
        input_names=[MARK + name for name in checked.inputs],
        output_names=[MARK + name for name in names],
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    _unmark(program.model.graph)
    model = program.model_proto
    name_axes(model, axes_of(checked))
    data = model.SerializeToString()
    onnx.checker.check_model(data, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it can't run is raised as well, and told in our words
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def run(inputs: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        arrays = [tensor.cpu().numpy() for tensor in inputs]
        found = session.run(names, dict(zip(checked.inputs, arrays, strict=True)))
        return [torch.from_numpy(array) for array in found]

    return data, run


def _unmark(graph: Any) -> None:
    """Take the mark from inputs and outputs, and other names from what is called as they are.

    The exporter calls values after what makes them, such as `relu`, and lets two have one name.
    """
    made = (value for node in graph.all_nodes() for value in node.outputs)
    values = {id(value): value for value in (*graph.inputs, *graph.initializers.values(), *made)}
    names = {value.name for value in values.values()}
    for value in values.values():
        name = value.name.removeprefix(MARK)
        if name == value.name and MARK + name in names:
            numbered = (f"{name}_{number}" for number in count(1))
            name = next(other for other in numbered if not {other, MARK + other} & names)
            names.add(name)
        value.name = name


def _pt2(followed: Any, checked: CheckedGraph) -> tuple[bytes, Program]:
    """Return what torch.export saves, and what runs it when it is read again."""
    file = io.BytesIO()
    torch.export.save(followed, file)
    file.seek(0)
    read = torch.export.load(file).module()

    def run(inputs: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        found = read(*inputs)
        return [found] if isinstance(found, torch.Tensor) else list(found)

    return file.getvalue(), run


def outputs_of(checked: CheckedGraph) -> list[str]:
    """Return the names of the outputs that a file has."""
    return [output.name for output in checked.outputs if not output.training_only]


class _Plain(nn.Module):
    """Gives several outputs as a plain tuple: their own kind isn't there when it is read.

    Inputs keep their names, by which a program says what it takes; that of torch 2.9 needs them.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

        @wraps(network.forward)
        def forward(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(network(*inputs))

        self.forward = forward


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode for a while, and keep the exporter quiet."""
    before = module.training
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    module.eval()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        module.train(before)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def _sizes_of_one() -> Iterator[None]:
    """Let what is followed hold for maps of one place too.

    By itself torch.export takes it for granted that no size is 1 where it was more, and its
    program refuses an image that a network brings to one place. A few layers, such as circular
    padding, it can only follow so.
    """
    from torch.fx.experimental import _config

    name = "backed_size_oblivious"
    if not hasattr(_config, name):  # torch before 2.7
        yield
        return
    before = getattr(_config, name)
    setattr(_config, name, True)
    try:
        yield
    finally:
        setattr(_config, name, before)
