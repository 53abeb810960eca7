"""A compiled module goes wherever pickle takes it: to a file, to another process, into a copy."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import archdsl

torch = pytest.importorskip("torch")

# Blocks with a class each, a layer that torch lacks, own tensors, and several outputs.
NET = """network net { input image: [3, 8, 8]
  body: B(4)
  norm: LayerNorm2d
  parameter gamma: [4, 1, 1] = 1
  mul { branch {} branch { from gamma } }
  output aux { Flatten -> head: Linear(2) }
  Flatten -> fc: Linear(5)
}
block B(out) {
  residual {
    conv: Conv2d(out, 3, padding = 1) -> bn: BatchNorm2d
  } shortcut { Conv2d(out, 1) }
}
"""
IMAGE = "torch.linspace(-1, 1, 384).view(2, 3, 8, 8)"


@pytest.fixture
def module(tmp_path: Path) -> Any:
    path = tmp_path / "net.arch"
    path.write_text(NET)
    return archdsl.load(path).compile(freeze=["body"]).eval()


def outputs(module: Any) -> Any:
    with torch.no_grad():
        return module(eval(IMAGE))


def in_another_process(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"import sys, torch, pickle\n{program}"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def through_pickle(protocol: int) -> Callable[[Any], Any]:
    return lambda given: pickle.loads(pickle.dumps(given, protocol))


@pytest.mark.parametrize(
    "carry",
    [copy.copy, copy.deepcopy, *map(through_pickle, range(pickle.HIGHEST_PROTOCOL + 1))],
)
def test_copies_are_the_same(carry: Callable[[Any], Any], module: Any) -> None:
    given = outputs(module)
    other = carry(module)

    assert type(other) is type(module)
    assert list(other.state_dict()) == list(module.state_dict())
    for one, expected in zip(outputs(other), given, strict=True):
        assert torch.equal(one, expected)
    assert type(carry(given)) is type(given), "what it gives can be carried as well"
    assert carry(given).aux.shape == (2, 2)


def test_the_text_is_held_once(module: Any) -> None:
    held = pickle.dumps(module)

    assert held.count(b"class LayerNorm2d") == 1
    assert held.count(b"instance_of_generated_class") == 1


def test_another_process_reads_what_torch_saved(module: Any, tmp_path: Path) -> None:
    torch.save(module, tmp_path / "module.pt")
    torch.save(module.body, tmp_path / "part.pt")
    torch.save(outputs(module), tmp_path / "outputs.pt")
    (tmp_path / "list.pickle").write_bytes(pickle.dumps([module.body, module]))

    done = in_another_process(
        f"""
given = torch.load("outputs.pt", weights_only=False)
part = torch.load("part.pt", weights_only=False)
inner, module = pickle.load(open("list.pickle", "rb"))
assert inner is module.body
for module in (module, torch.load("module.pt", weights_only=False)):
    with torch.no_grad():
        found = module({IMAGE})
    assert found._fields == given._fields == ("output", "aux")
    assert all(map(torch.equal, found, given))
    assert part({IMAGE}).shape == (2, 4, 8, 8)
    assert not module.train().body.bn.training, "what is frozen stays so"
""",
        tmp_path,
    )

    assert done.returncode == 0, done.stderr


def test_without_archdsl_the_error_says_what_to_do(module: Any, tmp_path: Path) -> None:
    torch.save(module, tmp_path / "module.pt")

    done = in_another_process(
        """
from importlib.machinery import PathFinder

class Without:
    # finds modules as ever, but for what is installed with archdsl

    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if "archdsl" in name else PathFinder.find_spec(name, path, target)

others = [each for each in sys.meta_path if "editable" not in repr(each) and each is not PathFinder]
sys.meta_path = [*others, Without]
torch.load("module.pt", weights_only=False)
""",
        tmp_path,
    )

    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == ("ModuleNotFoundError: No module named 'install_archdsl_or_use_its_source_file'")


@pytest.mark.slow
def test_spawned_processes_get_it(module: Any, tmp_path: Path) -> None:
    torch.save(module, tmp_path / "module.pt")
    (tmp_path / "spawning.py").write_text(
        """
import sys
import torch
import torch.multiprocessing as multiprocessing

def work(rank, module, queue):
    queue.put(float(module(torch.ones(2, 3, 8, 8)).output.sum()))

if __name__ == "__main__":
    import archdsl
    module = archdsl.load("net.arch").compile().eval()
    queue = multiprocessing.get_context("spawn").SimpleQueue()
    multiprocessing.spawn(work, (module, queue))
    assert queue.get() == float(module(torch.ones(2, 3, 8, 8)).output.sum())
"""
    )
    done = subprocess.run(
        [sys.executable, "spawning.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr


def test_reading_weights_never_runs_text(module: Any, tmp_path: Path) -> None:
    """Not even where somebody follows torch's advice, and calls the function safe."""
    from install_archdsl_or_use_its_source_file import instance_of_generated_class

    held = io.BytesIO()
    text = f"import os; os.mkdir({str(tmp_path / 'touched')!r})\nclass A: pass\n"

    class Enemy:
        def __reduce__(self) -> Any:
            return (instance_of_generated_class, (text, "A"))

    torch.save({"weight": torch.ones(1), "enemy": Enemy()}, held)
    for allowed in ([], [instance_of_generated_class]):
        held.seek(0)
        with (
            torch.serialization.safe_globals(allowed),
            pytest.raises(pickle.UnpicklingError, match="weights_only"),
        ):
            torch.load(held, weights_only=True)
        assert not (tmp_path / "touched").exists()

    held.seek(0)
    torch.load(held, weights_only=False)
    assert (tmp_path / "touched").exists(), "as any pickle would"


def test_what_is_read_from_a_pickle_is_not_what_the_command_takes(
    module: Any, tmp_path: Path
) -> None:
    torch.save(module, tmp_path / "module.pt")
    assert zipfile.is_zipfile(tmp_path / "module.pt")
    with pytest.raises(archdsl.ArchError, match="holds more than tensors"):
        archdsl.load(tmp_path / "net.arch").load_weights(tmp_path / "module.pt")


def test_a_class_made_of_it_is_pickled_as_its_own_module_says(module: Any) -> None:
    """A subclass belongs to whoever wrote it, and is found where that is."""

    class Local(type(module)):  # type: ignore[misc]
        pass

    with pytest.raises((AttributeError, pickle.PicklingError), match="Local"):
        pickle.dumps(Local())
