"""Brings the networks of specs/ back from ONNX files, written by us and by both exporters of torch.

    python tests/benchmarks/import_of_onnx.py --kept results.jsonl
    python tests/benchmarks/import_of_onnx.py --kept results.jsonl --file swin --exporter dynamo

Of each file of specs/ it takes the network with the fewest parameters, on small inputs and with
weights that are drawn, none of them such that they hide something. Prints a line for each file and
exporter: whether what comes back gives the outputs of onnxruntime, in how many lines for how many
layers, or why there is none. Each is a process of its own. What is in the file of results is not
done again; take lines out of it to repeat them.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import multiprocessing
import os
import re
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import archdsl

SPECS = Path(__file__).parents[2] / "specs"
EXPORTERS = ("ours", "dynamo", "older")
# what makes a model of language small, by the names that the specs have for it
SMALL = {
    "vocabulary": 60, "context": 12, "length": 12, "width": 64, "inner": 96, "heads": 4,
    "groups": 2, "head": 16, "layers": 2,
}  # fmt: skip
SIDES = (64, 96, 128, 192, 224, 256)


def smallest(path: Path) -> archdsl.Network:
    """Return the network of a file that has the fewest parameters, on the smallest inputs."""
    text = path.read_text()
    found: list[archdsl.Network] = []
    for name, given in re.findall(r"^network (\w+)(?:\(([^)]*)\))?", text, re.M):
        if name[0].isupper():
            continue  # it needs arguments
        named = {one.partition(":")[0].strip() for one in given.split(",")}
        small = SMALL if "vocabulary" in named else {}
        parameters = {one: size for one, size in small.items() if one in named}
        found.append(archdsl.load(path, network=name, parameters=parameters))
    best = min(found, key=lambda one: one.count().parameters)
    for shapes in smaller(best):
        with contextlib.suppress(archdsl.ArchError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            again = archdsl.load(path, network=best.name, inputs=shapes)
            again.compile(device="meta")
            return again
    return best


def shapes_of(network: archdsl.Network) -> dict[str, list[int]]:
    """Return the shapes of a network's inputs, none of which is free."""
    return {
        name: [int(str(size)) for size in shape] for name, shape in network.checked.inputs.items()
    }


def smaller(network: archdsl.Network) -> Iterator[dict[str, list[int | str]]]:
    """Yield shapes of inputs whose images are smaller than a network's own."""
    shapes = shapes_of(network)
    for side in SIDES:
        if any(len(shape) > 2 and shape[-1] > side for shape in shapes.values()):
            yield {
                name: [*shape[:-2], side, side] if len(shape) > 2 else [*shape]
                for name, shape in shapes.items()
            }


def drawn(module: torch.nn.Module) -> torch.nn.Module:
    """Give a module numbers that hide nothing."""
    torch.manual_seed(0)
    for name, one in module.state_dict().items():
        if not one.is_floating_point():
            continue
        if name.endswith("running_var"):
            one.uniform_(0.5, 2)
        elif one.dim() < 2:
            one.add_(torch.randn_like(one) * 0.1)
    return module.eval()


def write(network: archdsl.Network, exporter: str, path: str) -> None:
    """Write an ONNX file of a network."""
    module: Any = drawn(network.compile())
    if exporter == "ours":
        from archdsl.backends.export import export_onnx

        export_onnx(module, network.checked, path)
        return
    inputs = []
    tables = [one for one in module.modules() if isinstance(one, torch.nn.Embedding)]
    for shape in shapes_of(network).values():
        if tables and len(shape) == 1:
            rows = min(one.num_embeddings for one in tables)
            inputs.append(torch.randint(0, rows, (2, *shape)))
        else:
            inputs.append(torch.randn(2, *shape))
    torch.onnx.export(module, tuple(inputs), path, dynamo=exporter == "dynamo", verbose=False)


def one(name: str, exporter: str) -> dict[str, Any]:
    """Export and import the smallest network of a file; say what came out."""
    network = smallest(SPECS / f"{name}.arch")
    shown = {key: "x".join(map(str, shape)) for key, shape in network.checked.inputs.items()}
    found: dict[str, Any] = {"file": name, "exporter": exporter, "network": network.name, **shown}
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/{network.name}.onnx"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                write(network, exporter, path)
        except Exception as error:  # exporters have many kinds
            return found | {"result": "not exported", "said": f"{type(error).__name__}: {error}"}
        begun = time.process_time()
        try:
            back = archdsl.from_onnx(path)
            text, proof = back.spec, back.proof
        except archdsl.ArchError as error:
            result = "wrong text" if type(error).__name__ == "Unproven" else "refused"
            first = error.diagnostics[0]
            said = "; ".join([first.message(), *first.notes()])
            return found | {"result": result, "said": said}
        same = "the same" if proof.same else "not the same"
        lines = len(text.splitlines())
        layers = len(back.checked.nodes)
        seconds = round(time.process_time() - begun, 1)
        said = f"{proof.sentence()}; {lines} lines, {layers} layers"
        return found | {"result": same, "said": said, "seconds": seconds, "lines": lines}


def apart(name: str, exporter: str, seconds: float) -> dict[str, Any]:
    """Do one in a process of its own, which has so many seconds."""
    forking = multiprocessing.get_context("fork")  # what takes long to import is there
    ours, theirs = forking.Pipe(duplex=False)

    def work() -> None:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)  # exporters write whole graphs where they fail
        os.dup2(silence, 2)
        theirs.send(one(name, exporter))

    process = forking.Process(target=work)
    process.start()
    theirs.close()
    found: dict[str, Any] = {"file": name, "exporter": exporter}
    try:
        if ours.poll(seconds):
            return dict(ours.recv())
        return found | {"result": "no result", "said": f"within {seconds:.0f} s"}
    except EOFError:
        process.join()
        return found | {"result": "crashed", "said": f"exit status {process.exitcode}"}
    finally:
        process.kill()
        process.join()


def line_of(found: dict[str, Any]) -> str:
    said = " ".join(str(found.get("said", "")).split())[:300]
    return f"{found['file']:<18}{found['exporter']:<8}{found['result']:<14}{said}"


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--file", action="append", help="of specs/, without its end")
    options.add_argument("--exporter", action="append", choices=EXPORTERS)
    options.add_argument("--kept", type=Path, help="file of results, which grows")
    options.add_argument("--seconds", type=float, default=300, help="for each; default 300")
    given = options.parse_args()
    kept: dict[tuple[str, str], dict[str, Any]] = {}
    if given.kept and given.kept.exists():
        for line in given.kept.read_text().splitlines():
            held = json.loads(line)
            kept[held["file"], held["exporter"]] = held
    for module in ("onnxruntime", "onnxscript", "archdsl.importing.onnx.imported"):
        importlib.import_module(module)  # once, and not in each process
    results: Counter[tuple[str, str]] = Counter()
    for exporter in given.exporter or EXPORTERS:
        for name in given.file or sorted(path.stem for path in SPECS.glob("*.arch")):
            found = kept.get((name, exporter))
            if found is None:
                found = apart(name, exporter, given.seconds)
                if given.kept:
                    with given.kept.open("a") as file:
                        file.write(json.dumps(found) + "\n")
            results[exporter, found["result"]] += 1
            print(line_of(found), flush=True)
    for (exporter, result), count in sorted(results.items()):
        print(f"{exporter:<8}{result:<14}{count}")


if __name__ == "__main__":
    main()
