"""What users of the library work with: a network that was loaded, and what can be asked of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from os import PathLike, fspath
from os.path import basename
from typing import TYPE_CHECKING, Any

from archdsl.analysis.report import Report
from archdsl.counting import count
from archdsl.diagnostics import ArchError
from archdsl.elaborate.errors import BadNetwork
from archdsl.graph import CheckedGraph
from archdsl.limits import Limits
from archdsl.load_arguments import joined, require, shapes_of
from archdsl.own_layers import registered
from archdsl.patterns import checkpointed
from archdsl.pipeline import Spec
from archdsl.records import Record

if TYPE_CHECKING:
    import networkx
    import torch

    from archdsl.backends.diagram import Diagram
    from archdsl.backends.optimizing import Optimized
    from archdsl.backends.python_source import PythonSource
    from archdsl.backends.seeing import Seen
    from archdsl.backends.torch_module import FittingWeights, WeightReport

# What `see` needs, by the name of the module.
SEEING = {"torch": "torch", "numpy": "numpy", "PIL": "Pillow"}


def load(
    spec: str | PathLike[str],
    /,
    *,
    network: str | None = None,
    inputs: Mapping[str, Sequence[int | str]] | None = None,
    limits: Limits | None = None,
    search: Sequence[str] = (),
    parameters: Mapping[str, object] | None = None,
    **named: object,
) -> Network:
    """Load a network: read its spec, work it out, and check it.

    Args:
        spec: a path, a path with a network (`specs/resnet.arch:resnet50`), or the name of a
            network that comes with the package.
        network: name of the network, if the spec defines several.
        inputs: shapes for its inputs without batch, instead of those in the spec; a string is the
            name of a free size: `{"image": [3, "H", "W"]}`.
        limits: how much the spec may ask for.
        search: folders that imports may lead to, besides the spec's own.
        parameters: values for the network's parameters: `{"classes": 10}`. For one of the type
            `block` or `list` a string is an expression of the language, which may name what the
            file defines: `{"unit": "Bottleneck(groups = 32)"}`.
        named: more of them, as in `classes=10`; one that is called like an argument of this
            function can be given in `parameters` alone.

    Raises:
        ArchError: the spec is wrong; its text says where and how to mend it. Or an argument is not
            of the form that it must have.

    Warns:
        UserWarning: a shape in `inputs` looks as if its axes were in another order than the spec's.
    """
    given = joined(parameters, named)
    require(isinstance(spec, str | PathLike), "the spec", "a path or a name", spec)
    require(network is None or isinstance(network, str), "network", "a name", network)
    require(limits is None or isinstance(limits, Limits), "limits", "archdsl.Limits(...)", limits)
    folders = () if isinstance(search, str) else search
    require(
        isinstance(search, list | tuple)
        and all(isinstance(one, str | PathLike) for one in folders),
        "search",
        'a list of folders: `["blocks"]`',
        search,
    )
    shapes = shapes_of(inputs)
    read = Spec(fspath(spec), limits=limits, search=[*map(fspath, search)], layers=registered())
    name = network or read.network
    checked = read.graph(name, read.values(name, given), shapes)
    for one in checked.warnings:
        if one.severity == "warning":
            warnings.warn(f"{one.message()}; {one.help()}", stacklevel=2)
    return Network(checked, _Read(read, name, given, shapes))


class _Read(Record):
    """What a network was loaded from."""

    spec: Spec
    network: str | None
    parameters: Mapping[str, object]
    shapes: Mapping[str, tuple[int | str, ...]]


class Network:
    """A network with nothing wrong in it.

    In a notebook it shows its diagram.

    Attributes:
        checked: the graph as archdsl's own analyses and backends take it.
    """

    def __init__(self, checked: CheckedGraph, read: _Read | None = None) -> None:
        self.checked = checked
        self._read = read
        self._weights: FittingWeights | None = None

    @property
    def name(self) -> str:
        """The network's name."""
        return self.checked.name

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is worth saying of it though nothing is wrong, as sentences."""
        return tuple(one.sentence() for one in self.checked.warnings)

    @cached_property
    def graph(self) -> networkx.MultiDiGraph[str]:
        """The network as a NetworkX graph; `docs/graph.md` lists its attributes."""
        from archdsl.networkx_graph import to_networkx

        return to_networkx(self.checked)

    def with_parameters(
        self, parameters: Mapping[str, object] | None = None, /, **named: object
    ) -> Network:
        """Return the network with other values for some of its parameters.

        Nothing is read again, and what other values don't change is not worked out again. Values
        are given as to `load`; the others, and the shapes of inputs, stay as they are. Weights that
        were loaded stay with this network.

        Raises:
            ArchError: there is no such parameter, or a value makes no sense.
        """
        if self._read is None:
            reason = f"`{self.name}` comes of no spec, so it has no parameters"
            raise ArchError(BadNetwork(reason=reason))
        spec, network, before, shapes = self._read
        given = {**before, **joined(parameters, named)}
        checked = spec.graph(network, spec.values(network, given), shapes)
        return Network(checked, _Read(spec, network, given, shapes))

    def count(
        self,
        depth: int | None = None,
        *,
        freeze: str | Sequence[str] = (),
        freeze_but: str | Sequence[str] = (),
    ) -> Count:
        """Count parameters, multiply-accumulates, memory and receptive fields.

        Args:
            depth: blocks this many scopes deep become one row; None shows every layer.
            freeze: patterns of the parameters that are not to learn, as `compile` takes them.
            freeze_but: of those that are to learn all the same, or alone.

        Raises:
            ArchError: a pattern means no parameter.
        """
        return Count(count(self.checked, depth, freeze, freeze_but))

    def draw(self, **options: Any) -> Diagram:
        """Draw it; see `archdsl.backends.diagram.draw` for the options."""
        from archdsl.backends.diagram import draw

        return draw(self.checked, **options)

    @property
    def source(self) -> str:
        """The Python source of the PyTorch module, which needs torch alone."""
        return self._generated.text

    @cached_property
    def _generated(self) -> PythonSource:
        from archdsl.backends.python_source import generate

        return generate(self.checked)

    def _source(self, checkpoint: str | Sequence[str]) -> PythonSource:
        if not checkpoint:
            return self._generated
        from archdsl.backends.python_source import generate

        again = checkpointed(self.checked, checkpoint)
        for one in again.left_out:
            warnings.warn(one.message(), stacklevel=3)
        return generate(self.checked, again.scopes)

    def compile(
        self,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        channels_last: bool = False,
        weights: str | PathLike[str] | Mapping[str, torch.Tensor] | None = None,
        allow_mismatch: str | Sequence[str] = (),
        rename: Mapping[str, str] | None = None,
        freeze: str | Sequence[str] = (),
        freeze_but: str | Sequence[str] = (),
        checkpoint: str | Sequence[str] = (),
    ) -> torch.nn.Module:
        """Return the network as a PyTorch module, made by running `source`.

        Args:
            device: "cpu", "cuda", "cuda:1", "mps", or "meta", which allocates nothing.
            dtype: of the parameters: "float64", "float32", "float16" or "bfloat16".
            channels_last: whether weights for images lie so in memory.
            weights: a safetensors file, a file of `torch.save`, or a state_dict to load, for this
                module alone; without it those of `load_weights`, if it was called.
            allow_mismatch: patterns of names that need not fit: `["fc.*"]` for a new head.
            rename: new names for stored ones: `{"module.*": "*"}` takes a prefix away.
            freeze: patterns of what is not to learn: `["features.*"]`. Where all parameters of a
                layer with statistics are frozen, or a pattern means these, it keeps them: it
                computes in training mode as in evaluation mode.
            freeze_but: patterns of what is to learn all the same: `["fc.*"]`. Without `freeze`
                nothing else learns.
            checkpoint: patterns of the blocks and groups that keep only what comes in, and are
                computed again in the backward pass: `["layer*.*"]`.

        Raises:
            ArchError: the device isn't there, the weights don't fit, there is too little memory, or
                a pattern means nothing.
        """
        module = self._module(
            self._source(checkpoint), device, dtype, channels_last, weights, allow_mismatch, rename
        )
        if freeze or freeze_but:
            from archdsl.backends.torch_module import freeze as freeze_in

            freeze_in(module, self.checked, freeze, freeze_but)
        return module

    def optimize(
        self,
        *,
        weights: str | PathLike[str] | Mapping[str, torch.Tensor] | None = None,
        allow_mismatch: str | Sequence[str] = (),
        rename: Mapping[str, str] | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        engine: str = "auto",
        batch: int = 1,
        passes: str | Sequence[str] | None = None,
        calibrate: str | PathLike[str] | Iterable[Any] | None = None,
    ) -> Optimized:
        """Return the network as a module for inference that is faster than that of `compile`.

        It takes the same inputs, of any batch and of all sizes that the network takes, and gives
        the same outputs, as floats of 32 bits; its `report` says what was done and what it gained.

        Args:
            weights, allow_mismatch, rename: as `compile` takes them.
            device: where it runs.
            dtype: in what it computes: "float32", "bfloat16" or "float16".
            engine: what runs it: "eager", "native", "graphs", "inductor", "onnxruntime",
                "openvino", "tensorrt"; "auto" times all that can be used there but inductor and
                tensorrt, which take a minute, and takes the fastest, or the module as it is if
                that is no slower.
            batch: how many samples it is timed with.
            passes: names of the passes to run; else all.
            calibrate: lets it compute in integers of 8 bits, whose ranges half of these samples
                give; the others are compared. Batches, each a tensor or one for each input, or a
                folder of images, prepared as torchvision does it. Onnxruntime can.

        Raises:
            ArchError: the device, the engine or a pass isn't there, the engine can't run the
                network, samples don't fit, or what `compile` raises.
            ModuleNotFoundError: images are to be read, and Pillow isn't installed.
        """
        from archdsl.backends.optimizing import MOST, optimize

        samples = calibrate
        if isinstance(samples, str | PathLike):
            samples = _seeing().images_of(self.checked, fspath(samples), MOST)
        plain = self.compile(weights=weights, allow_mismatch=allow_mismatch, rename=rename)
        return optimize(
            self.checked, plain, device=device, dtype=dtype, engine=engine, batch=batch,
            passes=passes, calibrate=samples,
        )  # fmt: skip

    def deconvnet(
        self,
        label: str,
        *,
        rule: str = "deconvnet",
        device: str = "cpu",
        dtype: str = "float32",
        weights: str | PathLike[str] | Mapping[str, torch.Tensor] | None = None,
        allow_mismatch: str | Sequence[str] = (),
        rename: Mapping[str, str] | None = None,
    ) -> torch.nn.Module:
        """Return a module that leads activations back to what comes in; see `docs/seeing.md`.

        `module(images)` projects the strongest activation of each image; `module(images,
        channel=3)` a whole map, `module(images, channel=3, place=(6, 6))` one activation,
        `module(images, everything=True)` all maps. `module.projection(...)` tells which it was
        too, and `module.activations(images)` gives the maps. It has the weights of the network
        under their names, and is always in evaluation mode.

        Args:
            label: of what is projected: the name of a node as `count` shows it, a label, a block
                or group, or an output.
            rule: what rectifies what comes back: "deconvnet" (Zeiler and Fergus, 2013), "guided"
                (Springenberg et al., 2014), or "gradient", by which nothing does.
            device, dtype, weights, allow_mismatch, rename: as for `compile`.

        Raises:
            ArchError: nothing or several things are called so, nothing leads back from there, there
                is no such rule, or what `compile` raises.
        """
        from archdsl.backends.deconvnet.source import deconvnet

        source = deconvnet(self.checked, label, rule, self._generated).source
        return self._module(source, device, dtype, False, weights, allow_mismatch, rename)

    def _module(
        self,
        source: PythonSource,
        device: str,
        dtype: str,
        channels_last: bool,
        weights: str | PathLike[str] | Mapping[str, torch.Tensor] | None,
        allow_mismatch: str | Sequence[str],
        rename: Mapping[str, str] | None,
    ) -> torch.nn.Module:
        """Return what a source makes, with weights: those given, else those that were loaded."""
        from archdsl.backends import torch_module as backend

        # weights that all fit, or else are refused, leave nothing of what would be drawn
        drawn = bool(allow_mismatch) or (weights is None and not self._weights)
        module = backend.torch_module(
            self.checked,
            source,
            device=device,
            dtype=dtype,
            channels_last=channels_last,
            drawn=drawn,
        )
        if weights is not None:
            backend.load_weights(module, weights, allow_mismatch=allow_mismatch, rename=rename)
        elif self._weights:
            self._weights.put_into(module)
        return module

    def load_weights(
        self,
        weights: str | PathLike[str] | Mapping[str, torch.Tensor],
        *,
        allow_mismatch: str | Sequence[str] = (),
        rename: Mapping[str, str] | None = None,
    ) -> WeightReport:
        """Read weights that every module made by `compile` from now on begins with.

        They are kept as they are now: training a module changes neither them nor other modules.

        Args:
            weights: a safetensors file, a file of `torch.save` (of which nothing but tensors is
                read), or a state_dict. Of a file with several one is named: "best.pt:model_ema".
            allow_mismatch: patterns of names that need not fit: `["fc.*"]` for a new head.
            rename: new names for stored ones, `{"module.*": "*"}`, done in this order.

        Returns:
            What matched, and what was allowed to be missing, surplus or of another shape.

        Raises:
            ArchError: the file can't be read or the weights don't fit; then nothing has changed.
        """
        from archdsl.backends import torch_module as backend

        shapes = backend.torch_module(self.checked, self._generated, device="meta")
        found = backend.fitting_weights(
            shapes, weights, allow_mismatch=allow_mismatch, rename=rename
        )
        self._weights = found.copied()
        return found.report

    def see(
        self,
        images: object = None,
        *,
        weights: str | PathLike[str] | Mapping[str, torch.Tensor] | None = None,
        allow_mismatch: str | Sequence[str] = (),
        rename: Mapping[str, str] | None = None,
        layers: str | Sequence[str] = (),
        channels: int = 8,
        folder: str | PathLike[str] | None = None,
        top: int = 9,
        classes: str | PathLike[str] | Sequence[str] | None = None,
        target: str | int | None = None,
        occlude: int | None = None,
        step: int = 8,
        checkpoints: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
        rule: str = "deconvnet",
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        size: int | Sequence[int] | None = None,
        crop: float | None = None,
        batch: int = 16,
        device: str = "cpu",
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Seen:
        """Show images to the network, and return what it sees in them: tensors and a page.

        `pip install 'archdsl[torch,see]'` brings what it needs.

        Args:
            images: a path, an image of Pillow, a tensor as the network takes it ([channels,
                height, width], or several of them), or a list of such.
            weights, allow_mismatch, rename: as `compile` takes them. Without any the network has
                random weights, which are the same each time.
            layers: names of the layers whose maps are shown; else the last of each size.
            channels: how many of the strongest channels of a layer are shown.
            folder: of images, of which those are found that excite each channel most; `top`: how
                many of them.
            classes: their names, or a file with one a line; `target`: the name or number of the
                class that is looked for, else the likeliest of each image.
            occlude: the side of a grey square, in pixels, that is moved over each image by `step`.
            checkpoints: files of weights from the same training, first to last.
            rule: by which activations are led back to pixels, as `deconvnet` takes it.
            mean, std: of each channel, of pixels between 0 and 1; those of ImageNet for RGB, 0 and
                1 for grey.
            size: of the image, where the network takes any: one number, or height and width.
            crop: the share of the shorter side that is cut out of the middle of an image; else
                0.875.
            batch: how many images are computed at once.
            device: where they are.
            progress: called with how many images of the folder are done, and how many there are.

        Raises:
            ArchError: an image, a layer, a class or weights aren't there or don't fit.
            ModuleNotFoundError: torch, numpy or Pillow isn't installed.
        """
        seeing = _seeing()
        from archdsl.backends import torch_module as backend

        sizes = (size,) if isinstance(size, int) else size
        network = self._for_images(seeing.sizes_to_give(self.checked, sizes))
        if isinstance(checkpoints, str | PathLike):
            checkpoints = (checkpoints,)
        paths = [fspath(each) for each in checkpoints]
        with seeing.seeded():  # where there are no weights they are random, and the same each time
            module = network.compile(
                device=device,
                weights=paths[-1] if paths and weights is None else weights,
                allow_mismatch=allow_mismatch,
                rename=rename,
            )
        mismatch = ""
        named = paths[-1] if paths and weights is None else weights
        if allow_mismatch and named is not None:
            report = backend.fitting_weights(
                module, named, allow_mismatch=allow_mismatch, rename=rename
            ).report
            if report.missing or report.differing or report.unusable:
                mismatch = f": {report}, and random where none matched"
        wishes = seeing.Wishes(
            layers=(layers,) if isinstance(layers, str) else layers,
            channels=channels,
            folder=None if folder is None else fspath(folder),
            top=top,
            rule=rule,
            classes=classes,
            target=target,
            occlude=occlude,
            step=step,
            checkpoints=paths,
            mean=mean,
            std=std,
            crop=crop,
            batch=batch,
        )

        def deconvnet(name: str) -> torch.nn.Module:
            return network.deconvnet(name, rule=rule, device=device)

        def load(module: torch.nn.Module, path: str) -> object:
            return backend.load_weights(module, path, allow_mismatch=allow_mismatch, rename=rename)

        seen: Seen = seeing.see(
            network.checked,
            module,
            network._generated.moved,
            images,
            wishes,
            origin=self._origin(weights, paths) + mismatch,
            load=load,
            deconvnet=deconvnet,
            progress=progress,
        )
        return seen

    def _origin(self, weights: object, checkpoints: Sequence[str]) -> str:
        """Say where the weights come from."""
        named = checkpoints[-1] if weights is None and checkpoints else weights
        if isinstance(named, str | PathLike):
            return basename(fspath(named))
        given = named is not None or self._weights is not None
        return "given in Python" if given else "random: nothing was learned"

    def _for_images(self, shape: tuple[int, ...] | None) -> Network:
        """Return the network for images of one shape; itself, where it takes no others."""
        if shape is None:
            return self
        if self._read is None:
            reason = "has free sizes, and comes of no spec in which they could be set"
            raise ArchError(BadNetwork(reason=f"`{self.name}` {reason}"))
        (name,) = self.checked.inputs
        spec, asked, given, shapes = self._read
        sizes = {**shapes, name: shape}
        checked = spec.graph(asked, spec.values(asked, given), sizes)
        network = Network(checked, _Read(spec, asked, given, sizes))
        network._weights = self._weights
        return network

    def _repr_mimebundle_(self, **options: object) -> Mapping[str, object]:
        try:
            return self.draw()._repr_mimebundle_(**options)
        except ArchError as error:  # nothing to draw with, say: then what it is, and why
            return {"text/plain": f"{self!r}\n{error}"}

    def __repr__(self) -> str:
        inputs = ", ".join(
            f"{name}: {' x '.join(map(str, shape))}" for name, shape in self.checked.inputs.items()
        )
        return f"<Network {self.name}({inputs}), {len(self.checked.nodes)} nodes>"


class Count:
    """What a network costs. Printed, and in a notebook, it is the table of `archdsl count`.

    Attributes:
        report: all figures, row by row and in total.
    """

    def __init__(self, report: Report) -> None:
        self.report = report

    @property
    def parameters(self) -> int | str:
        """Number of parameters in all; as text if it depends on a free size."""
        return _number(self.report.parameters.total)

    @property
    def macs(self) -> int | str:
        """Multiply-accumulates of a sample at inference; as text if they depend on a free size."""
        return _number(self.report.macs.inference)

    def to_dict(self) -> dict[str, object]:
        """Return what `archdsl count --format json` prints."""
        from archdsl.backends.table import as_data

        return as_data(self.report)

    def render(self, form: str = "table", explain: bool = False) -> str:
        """Return the text that `archdsl count --format ...` prints."""
        from archdsl.backends.table import render

        return render([self.report], form, explain)

    def _repr_html_(self) -> str:
        return self.render("html")

    def __repr__(self) -> str:
        from archdsl.analysis.report import totals_of

        return f"<Count of {totals_of(self.report)}>"

    def __str__(self) -> str:
        return self.render()


def _number(size: object) -> int | str:
    return size if isinstance(size, int) else str(size)


def _seeing() -> Any:
    """Return the package that shows images to networks.

    Raises:
        ModuleNotFoundError: what it needs isn't installed.
    """
    try:
        from archdsl.backends import seeing
    except ModuleNotFoundError as error:
        if error.name not in SEEING:
            raise
        text = f"{SEEING[error.name]} is not installed: pip install 'archdsl[torch,see]'"
        raise ModuleNotFoundError(text, name=error.name) from None
    return seeing
