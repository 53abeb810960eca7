"""Imports models of whole packages and says what came out of each.

    python tests/benchmarks/import_of_packages.py --package timm
    python tests/benchmarks/import_of_packages.py --package torchvision --results tv.jsonl
    python tests/benchmarks/import_of_packages.py timm:levit_128 mypackage.nets:Net@3x64x64

Without names these are, of torchvision, all of `list_models()` but the quantized ones, and of timm
the smallest model of each family (a module file of `timm.models`; timm's own `test_*` are no
models). Each is made without trained weights and imported in a process of its own, with a limit of
time and memory, then counted and drawn as `--module` does it. A line tells of each: "same" (bit by
bit), "within" (1e-5), "refused" with why, "differs" or "failed"; lines of text; parameters; seconds
of processor time for the import, and, as a measure, for making the module with one forward pass;
"!" where it wasn't counted and drawn. Where no size is given, it is the smallest of `SIZES` that
the module takes, or its own.

Results go to a file, a line of JSON each, and what stands there is not run again. If none is named
it is one among the temporary files.
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import Pipe, get_context
from pathlib import Path
from tempfile import gettempdir
from typing import Any

SIZES = (96, 112, 128, 192)  # of images, before a module's own
LIMIT = "over the limit of time or memory"


def shape_of(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split("x")))


def written(shapes: Sequence[Sequence[int]]) -> str:
    return ",".join("x".join(map(str, shape)) for shape in shapes)


def made_of(what: str) -> Any:
    """Make a module by its name."""
    from archdsl.importing.made import made

    # torchvision's makers by name stand in modules of their own
    home, _, name = what.partition(":")
    if home == "torchvision":
        maker = importlib.import_module("torchvision.models").get_model_builder(name)
        what = f"{maker.__module__}:{maker.__name__}"
    return what, made(what, {})[0]


def own_shapes(what: str, module: Any) -> list[tuple[int, ...]]:
    """Return the shapes of inputs that a module is meant for."""
    settings = getattr(module, "default_cfg", None) or {}
    if "input_size" in settings:
        return [tuple(settings["input_size"])]
    home, _, name = what.partition(":")
    if home == "torchvision" and name.startswith("raft"):
        return [(3, 128, 128)] * 2
    if home == "torchvision":
        from torchvision.models import get_model_weights

        for weights in get_model_weights(name):
            crop = getattr(weights.transforms(), "crop_size", [224])
            sides = [crop[0]] * 2 if len(crop) == 1 else [*crop]
            frames = [16] if ".video." in module.__class__.__module__ else []
            return [(3, *frames, *sides)]
    return [(3, 224, 224)]


def suiting(what: str, module: Any) -> list[tuple[int, ...]]:
    """Return the smallest shapes of inputs that a module takes."""
    import torch

    own = own_shapes(what, module)
    settings = getattr(module, "default_cfg", None) or {}
    if settings.get("fixed_input_size") or len(own) > 1 or len(own[0]) != 3:
        return own
    for size in SIZES:
        shape = (own[0][0], size, size)
        if size < own[0][1]:
            with suppress(Exception), torch.no_grad():
                module.train()(torch.randn(2, *shape))
                return [shape]
    return own


def outcome(what: str, size: str) -> dict[str, Any]:
    """Import a module, count and draw it, and say what came out."""
    import torch

    from archdsl.backends.diagram import draw
    from archdsl.diagnostics import ArchError
    from archdsl.importing.imported import Unproven, from_torch
    from archdsl.importing.recorded import recorded
    from archdsl.network import Network

    torch.manual_seed(0)
    start = time.process_time()
    path, module = made_of(what)
    making = time.process_time() - start
    shapes = [shape_of(one) for one in size.split(",")] if size else suiting(what, module)
    images = [torch.randn(2, *shape) for shape in shapes]
    start = time.process_time()
    with torch.no_grad():
        module.eval()(*images)
    found: dict[str, Any] = {
        "name": what,
        "input": written(shapes),
        "own": round(making + time.process_time() - start, 1),
        "parameters": sum(one.numel() for one in module.parameters()),
        "layers": sum(1 for one in module.modules() if not [*one.children()]),
    }
    start = time.process_time()
    try:
        network = from_torch(module, images, name=what.partition(":")[2], source=path)
        found["lines"] = len(network.spec.splitlines())
        found["why"] = network.proof.sentence()
        same = "same" if "outputs equal" in found["why"] else "within"
        found["verdict"] = same if network.proof.same else "differs"
    except Unproven as error:
        found["verdict"], found["why"] = "differs", error.sentence
    except ArchError as error:
        first = error.diagnostics[0]
        found["verdict"], found["why"] = "refused", "; ".join([first.message(), *first.notes()])
    found["seconds"] = round(time.process_time() - start, 1)
    start = time.process_time()
    try:
        checked = recorded(path, {}, [("", shape) for shape in shapes])
        counted = Network(checked).count().parameters
        found["counted"] = counted == found["parameters"]
        found["drawn"] = len(draw(checked, format="dot").data) > 0
    except Exception as error:
        found["counted"] = found["drawn"] = False
        found["uncounted"] = f"{type(error).__name__}: {error}"[:300]
    found["counting"] = round(time.process_time() - start, 1)
    return found


def apart(work: Callable[..., Any], *given: Any, seconds: int, memory: float) -> Any:
    """Return what a function returns in a process of its own, or why it doesn't, as a string.

    The process is forked, so that what is imported here is there, and bounded in processor time
    and in memory of its own, in GiB.
    """
    here, there = Pipe(duplex=False)

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        resource.setrlimit(resource.RLIMIT_DATA, (int(memory * 2**30),) * 2)
        try:
            there.send(work(*given))
        except Exception as error:
            lines = str(error).splitlines() or [""]
            there.send(f"{type(error).__name__}: {lines[0]}")

    process = get_context("fork").Process(target=bounded)
    process.start()
    there.close()
    try:
        return here.recv()
    except EOFError:
        return LIMIT
    finally:
        process.join()


def run(name: str, seconds: int, memory: float) -> dict[str, Any]:
    """Import a module in a process of its own."""
    what, _, size = name.partition("@")
    importlib.import_module("archdsl.importing.imported")
    with suppress(ImportError):  # else that is said for the module
        importlib.import_module(what.partition(":")[0])
    found = apart(outcome, what, size, seconds=seconds, memory=memory)
    if isinstance(found, dict):
        return found
    return {"name": what, "input": size, "verdict": "failed", "why": found}


def line(found: dict[str, Any]) -> str:
    """Write a result as a line."""
    extent = f"{found.get('lines', '-'):>5} {found.get('parameters', 0):>11,}"
    times = f"{found.get('seconds', 0):>6} {found.get('own', 0):>6}"
    also = "  " if found.get("counted") and found.get("drawn") else "! "
    shown = f"{found['name']:<44} {found['input']:<12} {found['verdict']:<8}{extent} {times} {also}"
    return shown + ("" if found["verdict"] == "same" else found["why"][:300])


def defaults(package: str, results: Path) -> list[str]:
    """Return the models of a package, those with the fewest parameters first."""
    if package == "torchvision":
        from torchvision import models

        names = [each for each in models.list_models() if not each.startswith("quantized")]
        return [f"torchvision:{name}" for name in names]
    known = {family: (count, name) for family, name, count in kept(results, "family")}
    import timm.models._registry as registry

    for family, models in sorted(registry._module_to_models.items()):
        if family in known:
            continue
        names = sorted(name for name in models if not name.startswith("test_"))
        count, name = apart(smallest, names, seconds=600, memory=8)
        known[family] = (count, name)
        append(results, {"family": [family, name, count]})
    return [f"timm:{name}" for _, name in sorted(known.values())]


class TooLarge(Exception):
    """Ends the making of a module."""


def smallest(names: Sequence[str]) -> tuple[int, str]:
    """Return the number of parameters of the smallest of some models of timm, and its name.

    What has half as many again as the smallest so far is not made to its end. (Some of what is
    made may be thrown away again, so that the number itself is no bound.)
    """
    import timm
    import torch
    from torch import nn

    from archdsl.importing.recorder import replaced

    best, count = (2**63, ""), 0
    original = nn.Module.register_parameter

    def register(module: nn.Module, name: str, one: nn.Parameter | None) -> None:
        nonlocal count
        count += one.numel() if one is not None else 0
        if count > best[0] * 1.5:
            raise TooLarge
        original(module, name, one)

    with replaced("register_parameter", register):
        for name in names:
            count = 0
            with suppress(TooLarge), torch.device("meta"):
                module = timm.create_model(name)
                best = min(best, (sum(one.numel() for one in module.parameters()), name))
    return best


def kept(results: Path, kind: str) -> Iterator[Any]:
    """Yield what stands in the file of results."""
    if results.exists():
        for text in results.read_text().splitlines():
            if kind in (found := json.loads(text)):
                yield found[kind] if kind == "family" else found


def append(results: Path, found: dict[str, Any]) -> None:
    with results.open("a") as file:
        file.write(json.dumps(found) + "\n")


def summary(found: Sequence[dict[str, Any]]) -> str:
    """Say how many came out how."""
    verdicts = Counter(one["verdict"] for one in found)
    good = verdicts["same"] + verdicts["within"]
    shown = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    shown += f"; {good / max(len(found), 1):.1%} of {len(found)} the same"
    counted = sum(bool(one.get("counted") and one.get("drawn")) for one in found)
    return f"{shown}; {counted} counted and drawn"


def main() -> None:
    """Run what is asked for, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="PACKAGE:NAME[@SHAPE,SHAPE]")
    parser.add_argument("--package", choices=("timm", "torchvision"))
    parser.add_argument(
        "--results", type=Path, default=Path(gettempdir()) / "import_of_packages.jsonl"
    )
    parser.add_argument("--timeout", type=int, default=600, help="seconds of processor time, each")
    parser.add_argument("--memory", type=float, default=8, help="GiB, each")
    parser.add_argument("--again", action="store_true", help="run also what has a result")
    arguments = parser.parse_args()
    names = [*arguments.names]
    if arguments.package:
        names += defaults(arguments.package, arguments.results)
    known = {one["asked"]: one for one in kept(arguments.results, "verdict")}
    shown = []
    for name in dict.fromkeys(names):
        if arguments.again or name not in known:
            known[name] = {**run(name, arguments.timeout, arguments.memory), "asked": name}
            append(arguments.results, known[name])
        shown.append(known[name])
        print(line(known[name]), flush=True)
    print(summary(shown))


if __name__ == "__main__":
    main()
