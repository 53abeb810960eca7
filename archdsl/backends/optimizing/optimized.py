"""Makes a network faster for inference: passes on its graph, and an engine that runs the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import chain
from math import isnan, nan
from statistics import median
from typing import Any, Self

import torch
from torch import nn

from archdsl.analysis.cost import cost
from archdsl.analysis.memory import memory
from archdsl.backends.optimizing.calibration import calibration
from archdsl.backends.optimizing.engines import ENGINES, Engine, EngineFailed, Place, Runs
from archdsl.backends.optimizing.errors import BadEngine, BadOptimization
from archdsl.backends.optimizing.passes import PASSES
from archdsl.backends.optimizing.program import Program
from archdsl.backends.python_source import generate
from archdsl.backends.torch_module.devices import device_of, dtype_of
from archdsl.backends.torch_module.errors import TorchError
from archdsl.backends.torch_module.running import chosen_sizes, random_inputs
from archdsl.diagnostics import ArchError, printable
from archdsl.graph import CheckedGraph
from archdsl.layers.sizes import Size
from archdsl.records import Record

AUTO = "auto"
PLAIN = "plain"  # the engine that `auto` takes where no other is faster: the module as it is
KINDS = ("float32", "bfloat16", "float16")
LEAST_PASSES = ("evaluation", "pruning", "exchanging")  # which change no number
SLOWER = 0.97  # times as fast: what is less than that is no noise
SECONDS = 1.0  # for which an engine and the plain module are timed, in turns
# How far outputs may be apart, relative to the largest; what is further off is not used.
TOLERANCES = {torch.float32: 1e-4, torch.float16: 3e-2, torch.bfloat16: 2e-1}
QUANTIZED = 0.5  # in integers of 8 bits, whose use the user sees by the classes


class Step(Record):
    """What a pass made of a network.

    Attributes:
        name: of the pass; "" for the network as it was.
        layers: how many there are, without the inputs.
        bytes: of its parameters and buffers.
        macs: of a sample; a formula where sizes are free.
        peak: the most bytes of activations that a sample needs at once, in 32 bits, if that is
            known; a formula where sizes are free.
    """

    name: str
    layers: int
    bytes: int
    macs: Size
    peak: Size | None


class Timed(Record):
    """How an engine did.

    Attributes:
        seconds: of a batch, the median; None where it was not used.
        plain: of a batch with the plain module, in turns with it.
        difference: between its outputs and those of the plain module, relative to the largest, if
            it ran.
        agreement: of how many samples the largest output is that of the plain module, and of how
            many that was looked at: of integers of 8 bits, where an output is one of classes.
        note: why it was not used.
    """

    engine: str
    seconds: float | None = None
    plain: float = 0.0
    difference: float | None = None
    agreement: tuple[int, int] | None = None
    note: str = ""


class Report(Record):
    """What was done to make a network faster, and what it gained.

    Attributes:
        steps: the network as it was, and after each pass.
        tried: the engines, that of the result first.
        batch: how many samples were computed at once.
    """

    steps: tuple[Step, ...]
    tried: tuple[Timed, ...]
    batch: int

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """Yield the report as lines: a row a pass, and the time and the difference."""
        rows = [("pass", "layers", "bytes", "macs a sample", "peak")]
        rows += [
            (
                step.name or "(none)",
                f"{step.layers:,}",
                f"{step.bytes:,}",
                number_text(step.macs),
                number_text(step.peak),
            )
            for step in self.steps
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            numbers = (text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))
            yield "  ".join([row[0].ljust(widths[0]), *numbers])
        yield ""
        size = "one sample" if self.batch == 1 else f"{self.batch} samples"
        for each in self.tried:
            if each.seconds is None:
                yield f"{each.engine:<11} not used: it {each.note}"
                continue
            if each.engine == PLAIN:
                yield f"{PLAIN:<11} {size} in {milliseconds(each.seconds)}: no engine is faster"
                continue
            assert each.difference is not None
            ratio = each.plain / each.seconds
            agree = ""
            if each.agreement:
                same, of = each.agreement
                agree = (
                    f", and the class of {same:,} of {of:,} samples is the same ({same / of:.1%})"
                )
            slower = ", slower than the plain module" if ratio < SLOWER else ""
            yield (
                f"{each.engine:<11} {size} in {milliseconds(each.seconds)} instead of "
                f"{milliseconds(each.plain)}: {ratio:.2f} times as fast{slower}; "
                f"outputs differ by {each.difference:.0e} of the largest{agree}"
            )


def number_text(number: Size | None) -> str:
    """Write a number that may hang on sizes."""
    return f"{number:,}" if isinstance(number, int) else "by size"


def milliseconds(seconds: float) -> str:
    """Write a time."""
    return f"{1000 * seconds:,.0f} ms" if seconds >= 0.1 else f"{1000 * seconds:.3g} ms"


class Optimized(nn.Module):
    """A network for inference, with the inputs and outputs of its plain module.

    It takes inputs on any device and of any kind of floats, and gives floats of 32 bits on its own
    device, where it stays. No gradient comes of it, and it can't be pickled: `source` and `weights`
    can be written.

    Attributes:
        report: what was done, and what it gained. engine: what runs it.
        program: its graph after the passes, and the weights that go with it.
    """

    def __init__(
        self,
        runs: Runs,
        place: Place,
        like: Callable[..., Any],
        report: Report,
        program: Program,
    ) -> None:
        super().__init__()
        self._runs, self._place, self._like = runs, place, like
        self.report = report
        self.program = program
        self.engine = report.tried[0].engine

    def forward(self, *inputs: torch.Tensor, **named: torch.Tensor) -> Any:
        names = [*self.program.checked.inputs]
        if named:
            missing = [name for name in names[len(inputs) :] if name not in named]
            if missing or len(inputs) + len(named) != len(names):
                raise TypeError(f"it takes {', '.join(names)}, each once")
            inputs = (*inputs, *(named[name] for name in names[len(inputs) :]))
        with torch.no_grad():
            found = self._runs(*_at(inputs, self._place))
        tensors = _listed(found)
        return self._like(*(each.float() if each.is_floating_point() else each for each in tensors))

    def _apply(self, *_: object, **__: object) -> Self:
        told = "make it anew: optimize(device=..., dtype=...)"
        raise RuntimeError(f"an optimised network stays as it is, on its device; {told}")

    @property
    def onnx(self) -> bytes | None:
        """What an .onnx file holds of it, where an engine runs it as ONNX; else None."""
        data: bytes | None = getattr(self._runs, "data", None)
        return data

    @property
    def source(self) -> str:
        """Python source of the network after the passes."""
        return generate(self.program.checked).text

    @property
    def weights(self) -> Mapping[str, torch.Tensor]:
        """The state_dict of what the source makes, in the kind of numbers that it computes in."""
        return {
            name: each.to(self._place.dtype) if each.is_floating_point() else each
            for name, each in self.program.weights.items()
        }

    def __repr__(self) -> str:
        return f"<Optimized, run by {self.engine} on {self._place.device}>"


def _at(inputs: Sequence[torch.Tensor], place: Place) -> Sequence[torch.Tensor]:
    return [
        each.to(place.device, place.dtype if each.is_floating_point() else each.dtype)
        for each in inputs
    ]


def passed(
    checked: CheckedGraph, weights: Mapping[str, torch.Tensor], passes: Collection[str]
) -> tuple[Program, tuple[Step, ...]]:
    """Return a network after some passes, and what each of them made of it."""
    program = Program(checked, weights)
    steps = [_step("", program)]
    for name, run in PASSES.items():
        if name in passes:
            program = run(program)
            steps.append(_step(name, program))
    return program, tuple(steps)


def _step(name: str, program: Program) -> Step:
    checked = program.checked
    bytes_ = sum(tensor.nbytes for tensor in program.weights.values())
    layers = len(checked.nodes) - len(checked.inputs)
    costs = cost(checked)
    return Step(name, layers, bytes_, costs.macs.inference, memory(checked, costs).peak)


def chosen_passes(passes: str | Sequence[str] | None, engine: str, place: Place) -> Collection[str]:
    """Return which passes are meant, all if nothing is said.

    Raises:
        ArchError: one isn't there, or isn't for that engine or such numbers.
    """
    if passes is None:
        return [*PASSES]
    wanted = [passes] if isinstance(passes, str) else [*passes]
    for name in wanted or [""]:
        if name not in PASSES:
            raise ArchError(_unknown("--passes", name, [*PASSES]))
        owners = _owners(name)
        able = [each for each in owners if engine in (AUTO, each.name)]
        reason = ""
        if owners and not able:
            known = " or ".join(each.name for each in owners)
            reason = f"has `{name}`, which is for the engine {known}"
        elif owners and not any(name in each.passes_for(place) for each in able):
            kind = str(place.dtype).removeprefix("torch.")
            reason = f"has `{name}`, which is not for numbers of {kind}"
        if reason:
            raise ArchError(BadOptimization(option="--passes", reason=reason))
    return wanted


def chosen_engine(engine: str) -> str:
    """Return an engine's name.

    Raises:
        ArchError: there is none of that name.
    """
    if engine not in (AUTO, *ENGINES):
        raise ArchError(_unknown("--engine", engine, [AUTO, *ENGINES]))
    return engine


def _unknown(option: str, name: object, known: Sequence[str]) -> BadOptimization:
    shown = printable(str(name), 60)
    close = get_close_matches(str(name), known, n=1)
    hint = f"did you mean `{close[0]}`?" if close else ""
    reason = f"is {', '.join(known[:-1])} or {known[-1]}, and not `{shown}`"
    return BadOptimization(option=option, reason=reason, hint=hint)


def optimize(
    checked: CheckedGraph,
    plain: nn.Module,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    engine: str = AUTO,
    batch: int = 1,
    passes: str | Sequence[str] | None = None,
    calibrate: Any = None,
) -> Optimized:
    """Make a network faster for inference. `archdsl.Network.optimize` explains the arguments.

    Args:
        plain: the network as a module, on a CPU, with the weights that it is to have.

    Raises:
        ArchError: an engine, a pass, the device or the kind of numbers isn't there, or the engine
            can't run the network.
    """
    wanted = chosen_engine(engine)
    if dtype not in KINDS:
        raise ArchError(_unknown("--dtype", dtype, KINDS))
    if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
        reason = f"is a number of samples from 1 on, and not {printable(repr(batch), 60)}"
        raise ArchError(BadOptimization(option="--batch", reason=reason))
    if calibrate is not None and dtype != "float32":
        reason = f"is for integers of 8 bits between numbers of float32, and not of {dtype}"
        raise ArchError(BadOptimization(option="--calibrate", reason=reason))
    led = None if calibrate is None else calibration(checked, calibrate)
    place = Place(device_of(device), dtype_of(dtype), led)
    names = chosen_passes(passes, wanted, place)
    if place.device.type == "meta":
        reason = "can't be meta, where tensors hold no numbers to compute with"
        raise ArchError(BadOptimization(option="--device", reason=reason))
    plain = plain.eval()
    shared = [name for name in names if not _owners(name)]
    weights = plain.state_dict()
    program, steps = passed(checked, weights, shared)
    sizes = chosen_sizes(checked)
    given = random_inputs(checked, torch.device("cpu"), torch.float32, sizes, batch)
    inputs = [*given.values()]
    trial = _Trial(plain.to(place.device), place, inputs, program, names)
    tried = [trial.of(each) for each in _candidates(wanted, place)]
    used = {each.seconds / each.plain: each for each in tried if each.seconds is not None}
    if wanted == AUTO and place.dtype == torch.float32 and not any(ratio < 1 for ratio in used):
        report = Report(steps[:1], (trial.plain(), *tried), batch)
        return Optimized(trial.module, place, trial.like, report, Program(checked, weights))
    if not used:
        lacking = tried[0]
        hint = ""
        if lacking.difference is not None and len(names) > 1:
            kept = ",".join(each for each in names if each in LEAST_PASSES)
            hint = f"a pass makes numbers too large to cancel out: try `--passes {kept}`"
        able = [each.name for each in ENGINES.values() if each.quantizes]
        if place.calibration and lacking.engine not in able:
            hint = f"in integers of 8 bits computes {' or '.join(able)}"
        raise ArchError(BadEngine(engine=lacking.engine, reason=lacking.note, hint=hint))
    best = used[min(used)]
    made = trial.made[best.engine]
    report = Report((*steps, *made.steps), (best, *(e for e in tried if e is not best)), batch)
    return Optimized(made.runs, place, trial.like, report, made.program)


def _owners(name: str) -> Sequence[Engine]:
    """Return the engines that a pass is for; none if it is for all."""
    return [each for each in ENGINES.values() if name in each.passes]


def _candidates(wanted: str, place: Place) -> Sequence[Engine]:
    if wanted != AUTO:
        return [ENGINES[wanted]]
    able = [each for each in ENGINES.values() if each.tried and not each.lacks(place)]
    return able or [each for each in ENGINES.values() if each.quantizes]  # they say what is missing


class _Made(Record):
    """What an engine made of a program: what runs it, and the passes that were for it alone."""

    runs: Runs
    program: Program
    steps: tuple[Step, ...]


class _Trial:
    """Makes engines run a program, and compares each with the plain module."""

    def __init__(
        self,
        module: nn.Module,
        place: Place,
        inputs: Sequence[torch.Tensor],
        program: Program,
        passes: Collection[str],
    ) -> None:
        self.module = module
        self.place = place
        self.program = program
        self.passes = passes
        self.given = [each.to(place.device) for each in inputs]
        self.inputs = _at(inputs, place)
        self.made: dict[str, _Made] = {}
        samples = place.calibration.comparing if place.calibration else [inputs]
        try:
            with torch.no_grad():
                found = [module(*(each.to(place.device) for each in sample)) for sample in samples]
        except (RuntimeError, IndexError) as error:  # as an index beyond a table
            if place.calibration is None:
                raise
            said = " ".join(str(error).split())[:200]
            reason = f"has samples with which the network itself fails: {said}"
            raise ArchError(BadOptimization(option="--calibrate", reason=reason)) from error
        single = isinstance(found[0], torch.Tensor)
        expected = [[each] if single else [*each] for each in found]
        if not all(each.isfinite().all() for outputs in expected for each in outputs):
            reason = "make outputs of NaN or infinity of random inputs: there is nothing to compare"
            raise ArchError(BadOptimization(option="--weights", reason=reason))
        self.like: Callable[..., Any] = _itself if single else type(found[0])
        self.cases = [*zip([_at(sample, place) for sample in samples], expected, strict=True)]

    def of(self, engine: Engine) -> Timed:
        """Say how an engine does."""
        name = engine.name
        if lacks := engine.lacks(self.place):
            return Timed(name, note=lacks)
        own = [each for each in self.passes if each in engine.passes_for(self.place)]
        program, steps = passed(self.program.checked, self.program.weights, own)
        try:
            runs = engine.made(program, self.place, self.inputs)
            with torch.no_grad():
                found = [_listed(runs(*sample)) for sample, _ in self.cases]
        except (EngineFailed, TorchError) as failed:
            return Timed(name, note=str(failed))
        difference = self._difference(found)
        most = QUANTIZED if self.place.calibration else TOLERANCES[self.place.dtype]
        if not difference <= most:
            note = f"gives outputs that differ by {difference:.1e} of the largest"
            return Timed(name, difference=difference, note=note)
        self.made[name] = _Made(runs, program, steps[1:])
        return Timed(name, *self._seconds(runs), difference, self._agreement(found))

    def plain(self) -> Timed:
        """Say how the module as it is does."""
        seconds, again = self._seconds(self.module)
        return Timed(PLAIN, min(seconds, again), seconds, 0.0)

    def _difference(self, found: Sequence[Sequence[torch.Tensor]]) -> float:
        """Return the largest difference of any output, relative to its largest number."""
        apart: dict[int, list[float]] = {}
        scale: dict[int, list[float]] = {}
        for outputs, (_, expected) in zip(found, self.cases, strict=True):
            for number, (one, two) in enumerate(zip(outputs, expected, strict=True)):
                left, right = one.double(), two.double()  # truth values among them
                apart.setdefault(number, []).append(float((left - right).abs().max()))
                scale.setdefault(number, []).append(float(right.abs().max()))
        if any(isnan(each) for each in chain(*apart.values())):
            return nan
        return max(max(apart[number]) / max(*scale[number], 1e-30) for number in apart)

    def _agreement(self, found: Sequence[Sequence[torch.Tensor]]) -> tuple[int, int] | None:
        """Say for how many samples the class is the same, if there are classes to compare."""
        first = [
            (outputs[0], expected[0])
            for outputs, (_, expected) in zip(found, self.cases, strict=True)
        ]
        if not self.place.calibration or any(
            two.dim() != 2 or two.shape[1] < 2 for _, two in first
        ):
            return None
        same = [bool((one.argmax(1) == two.argmax(1)).all()) for one, two in first]
        return sum(same), len(same)

    @torch.no_grad()
    def _seconds(self, runs: Runs) -> tuple[float, float]:
        """Time an engine and the plain module in turns, so that neither has the quieter moment."""
        taken: list[float] = []
        plain: list[float] = []
        end = time.perf_counter() + SECONDS
        while not taken or time.perf_counter() < end:
            for work, given, into in (
                (runs, self.inputs, taken), (self.module, self.given, plain)
            ):  # fmt: skip
                begun = time.perf_counter()
                work(*given)
                if self.place.device.type == "cuda":
                    torch.cuda.synchronize(self.place.device)
                into.append(time.perf_counter() - begun)
        return median(taken), median(plain)


def _listed(found: Any) -> Sequence[torch.Tensor]:
    return [found] if isinstance(found, torch.Tensor) else [*found]


def _itself(tensor: torch.Tensor) -> torch.Tensor:
    return tensor
