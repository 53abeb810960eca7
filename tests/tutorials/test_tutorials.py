"""The scripts of the tutorials do what their pages say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"

pytestmark = pytest.mark.slow


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, TUTORIALS / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.usefixtures("one_thread")
def test_digits(tmp_path: Path) -> None:
    tutorial = script("digits")
    torch.manual_seed(0)
    design = tutorial.archdsl.load("lenet5")
    network = design.compile()
    loaders = tutorial.digits()

    reached = tutorial.train(network, loaders, 20, str(tmp_path / "log"))

    assert reached >= 0.97
    assert list((tmp_path / "log").glob("events*"))

    # 16 bits recognize the same, in `docs/performance.md`
    fast = design.optimize(weights=network.state_dict(), dtype="bfloat16", engine="eager")
    images = torch.cat([images for loader in loaders for images, _ in loader])[:500]
    images += 0.1 * torch.randn_like(images)
    agree = (fast(images).argmax(1) == network(images).argmax(1)).double().mean()
    print(f"in bfloat16 {float(agree):.1%} of 500 noisy digits are taken for the same")
    assert agree >= 0.99

    # and so do integers of 8 bits
    fast = design.optimize(weights=network.state_dict(), calibrate=images.split(100))
    (same, of), difference = fast.report.tried[0].agreement, fast.report.tried[0].difference
    print(f"in 8 bits {same} of {of}; outputs differ by {difference:.1%} of the largest")
    assert same >= 0.98 * of


def write_pictures(folder: Path) -> None:
    """Write pictures that are red for one class and blue for the other, with noise."""
    numbers = np.random.default_rng(0)
    for part, count in (("train", 4), ("val", 2)):
        for channel, kind in ((0, "cats"), (2, "dogs")):
            (folder / part / kind).mkdir(parents=True)
            for number in range(count):
                pixels = numbers.integers(0, 128, (310, 320, 3), dtype=np.uint8)
                pixels[:, :, channel] += 100
                Image.fromarray(pixels).save(folder / part / kind / f"{number}.png")


@pytest.mark.usefixtures("one_thread")
def test_cats_and_dogs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tutorial = script("cats_and_dogs")
    torch.manual_seed(0)
    write_pictures(tmp_path)
    start = tutorial.two_classes("none").state_dict()
    torch.save(start, tmp_path / "weights.pt")
    given = ["--weights", str(tmp_path / "weights.pt"), "--epochs", "1", "--batch", "4"]
    given += ["--bfloat16"]
    output = tmp_path / "trained.pt"

    look = ["--look", str(tmp_path / "val" / "cats" / "0.png")]
    tutorial.main([str(tmp_path), *given, "--device", "cpu", "--output", str(output), *look])

    said = capsys.readouterr().out
    assert "5,636 parameters of 24,348,900 learn" in said
    assert "recognized" in said
    trained = torch.load(output, weights_only=True)
    assert list(trained) == list(start)
    same = {name for name in start if torch.equal(start[name], trained[name])}
    heads = {name for name in start if name.startswith(tutorial.HEADS)}
    assert same == set(start) - heads
    page = output.with_suffix(".html").read_text()
    assert "Grad-CAM at layer Mixed_7c.concat" in page
    assert "0.png: cats" in page or "0.png: dogs" in page


@pytest.mark.usefixtures("one_thread")
def test_what_it_sees(tmp_path: Path) -> None:
    tutorial = script("what_it_sees")
    given = ["--epochs", "2", "--digits", "40", "--output", str(tmp_path / "seen")]

    tutorial.main([*given, "--pictures", str(tmp_path / "pictures")])

    shown = TUTORIALS.parent / "images" / "seeing"
    page = (TUTORIALS / "what_it_sees.md").read_text(encoding="utf-8")
    assert sorted(path.name for path in shown.iterdir()) == sorted(tutorial.PICTURES)
    for name in tutorial.PICTURES:
        assert f"../images/seeing/{name}" in page
        with Image.open(tmp_path / "pictures" / name) as made, Image.open(shown / name) as kept:
            assert made.width == kept.width
    assert sum(path.stat().st_size for path in shown.iterdir()) < 300_000
    assert (tmp_path / "seen" / "small_zfnet.html").exists()
