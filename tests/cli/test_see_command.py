"""archdsl see: what it writes, and what it says where something is wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from running import Command

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")
Image: Any = pytest.importorskip("PIL.Image")

pytestmark = pytest.mark.usefixtures("one_thread")

SPEC = """network tiny(classes: int = 3) {
  "<script>alert(1)</script> & co"
  input image: [3, 32, 32]
  c1: Conv2d(6, 3, padding = 1) -> ReLU
  body: { Conv2d(8, 3, stride = 2, padding = 1) -> ReLU }
  AdaptiveAvgPool2d(1) -> Flatten
  fc: Linear(classes)
}
network open { input image: [3, H, W]
  c1: Conv2d(6, 3) -> ReLU
  AdaptiveAvgPool2d(1) -> Flatten -> Linear(2)
}
network words { input x: [16]
  Linear(3)
}
network two { input a: [3, 32, 32]
  input b: [3, 32, 32]
  from a, b
  add { branch { from a } branch { from b } } -> Flatten -> Linear(2)
}
network turned { input image: [3, 32, 32]
  c1: Conv2d(6, 3, padding = 1)
  across: Permute((0, 1, 3, 2))
  Permute((0, 1, 3, 2))
  flipped: Flip(2)
  late: Conv2d(6, 3)
  Sigmoid
  AdaptiveAvgPool2d(1) -> Flatten
  Linear(2)
}
network five { input image: [5, 32, 32]
  Conv2d(4, 3) -> ReLU -> Flatten -> Linear(2)
}
"""


@pytest.fixture
def command(archdsl: Command) -> Command:
    return archdsl


@pytest.fixture
def folder(tmp_path: Path, archdsl: Command, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # after `archdsl`, which chose another
    (tmp_path / "net.arch").write_text(SPEC)
    numbers = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number in range(4):
        pixels = numbers.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    Image.fromarray(pixels).save(tmp_path / "<b>cat.png")
    Image.fromarray(pixels).save(tmp_path / "cat.png")
    (tmp_path / "twice.txt").write_text("cat\ncat\ndog\n")
    (tmp_path / "names.txt").write_text("cat\ndog\n<i>bird</i>\n")
    import archdsl as package

    network = package.load(tmp_path / "net.arch", network="tiny")
    for name in ("a", "b"):
        torch.manual_seed(ord(name))
        torch.save(network.compile().state_dict(), tmp_path / f"{name}.pt")
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_a_page_shows_everything_that_is_asked_for(archdsl: Command) -> None:
    given = ["--image", "cat.png", "<b>cat.png", "--images", "photos", "--top", 2, "--occlude", 8]
    given += ["--classes", "names.txt", "--class", "dog", "--checkpoints", "a.pt", "b.pt"]

    said = archdsl.printed("see", "net.arch:tiny", *given, "-o", "x.html")

    assert said == "wrote x.html\n"
    page = Path("x.html").read_text()
    headings = re.findall("<h2>(.*?)</h2>", page)
    assert [heading.split(" (")[0] for heading in headings] == [
        "What the network answers",
        "Where the network finds the class",
        "What the class depends on",
        "Filters of the first convolution, layer c1",
        "Feature maps of layer 1",
        "Feature maps of layer body.1",
        "What excites the channels of layer body.1",
        "How layer 1 developed",
        "How layer body.1 developed",
    ]
    assert "&lt;b&gt;cat.png" in page
    assert "&lt;i&gt;bird&lt;/i&gt;" in page
    assert "<script" not in page
    assert "<b>" not in page
    assert "b.pt" in page
    assert "less 0.485, 0.456, 0.406, divided by 0.229, 0.224, 0.225" in page
    assert "resized (bilinear) to cover 37 x 37, and the middle 32 x 32 cut out" in page
    assert not re.search('(?:src|href)="(?!data:|#)', page)


@pytest.mark.usefixtures("folder")
def test_the_same_input_gives_the_same_bytes(archdsl: Command) -> None:
    for name in ("x", "y"):
        given = ["--image", "cat.png", "--images", "photos", "--occlude", 16, "--batch", 3]
        archdsl.printed("see", "net.arch:tiny", *given, "-o", f"{name}.html")
        archdsl.printed("see", "net.arch:tiny", *given, "-o", f"{name}.png")

    assert Path("x.html").read_bytes() == Path("y.html").read_bytes()
    pictures = sorted(path.name for path in Path().glob("x-*.png"))
    assert pictures == [
        "x-answers.png", "x-classes.png", "x-features-1.png", "x-features-body.1.png",
        "x-filters.png", "x-occlusion.png", "x-top-body.1.png",
    ]  # fmt: skip
    for name in pictures:
        assert Path(name).read_bytes() == Path(f"y{name[1:]}").read_bytes()
        with Image.open(name) as picture:
            picture.load()


@pytest.mark.usefixtures("folder")
def test_what_it_wrote_may_be_written_again_and_nothing_else(archdsl: Command) -> None:
    for _ in range(2):
        archdsl.printed("see", "net.arch:tiny", "--image", "cat.png")
    assert Path("tiny_seen.html").exists()
    Path("x-filters.png").write_bytes(b"mine")

    result = archdsl("see", "net.arch:tiny", "--image", "cat.png", "-o", "x.png")

    assert result.status == 2
    assert "x-filters.png is there" in result.error
    assert Path("x-filters.png").read_bytes() == b"mine"
    assert [path.name for path in Path().glob("x-*")] == ["x-filters.png"]


@pytest.mark.usefixtures("folder")
def test_a_layer_whose_places_lie_otherwise_is_shown_with_a_word_of_warning(
    archdsl: Command,
) -> None:
    given = ["see", "net.arch:turned", "--image", "cat.png", "-o", "x.html", "--layer"]
    archdsl.printed(*given, "c1")
    assert "Layer c1 is behind" not in Path("x.html").read_text()

    archdsl.printed(*given, "late")
    note = "Layer late is behind flipped, which moves places: its maps are shown as they lie there."
    assert Path("x.html").read_text().count(note) == 2  # feature maps and Grad-CAM

    lies = "`across` (Permute) can't be shown: it gives 6 x 32 x 32, which lies as channels x width"
    assert lies + " x height" in archdsl(*given, "across").error


def test_what_excites_nothing_leads_nowhere(folder: Path, archdsl: Command) -> None:
    import archdsl as package

    weights = torch.load(folder / "a.pt")
    weights["body.0.weight"][:5] = 0
    weights["body.0.bias"][:5] = -1  # so that ReLU gives 0 everywhere
    network = package.load(folder / "net.arch", network="tiny")
    seen = network.see(
        str(folder / "cat.png"), weights=weights, folder=folder / "photos", channels=8, top=2
    )

    dead = [one for one in seen.projections["body.1"] if one.value == 0]
    assert {one.channel for one in dead} >= {*range(5)}
    assert all(one.projection is not None and not one.projection.any() for one in dead)
    assert any(one.projection is not None and one.projection.any()
               for one in seen.projections["body.1"])  # fmt: skip
    assert "nothing here excites it" in seen.html
    assert "of its channels no image excites." in seen.html
    for each in ("guided", "gradient"):
        given = ["--image", "cat.png", "--rule", each, "-o", f"{each}.html", "--weights", "a.pt"]
        archdsl.printed("see", "net.arch:tiny", *given)
        assert f"--rule {each}" in Path(f"{each}.html").read_text()


def test_what_is_left_random_is_said(folder: Path, archdsl: Command) -> None:
    weights = torch.load(folder / "a.pt")
    del weights["fc.weight"]
    torch.save(weights, folder / "part.pt")
    given = ["--weights", "part.pt", "--allow-mismatch", "fc.*", "--image", "cat.png"]
    archdsl.printed("see", "net.arch:tiny", *given, "-o", "x.html")

    said = "part.pt: 5 matched, 1 missing, and random where none matched"
    assert said in Path("x.html").read_text()


@pytest.mark.parametrize(
    ("where", "images", "node"),
    [("c1.weight", "--image", "fc"), ("fc.bias", "--image", "fc"),
     ("c1.weight", "--images", "body.1")],
)  # fmt: skip
def test_weights_without_numbers_are_refused(
    where: str, images: str, node: str, folder: Path, archdsl: Command
) -> None:
    weights = torch.load(folder / "a.pt")
    weights[where][0] = float("nan")
    torch.save(weights, folder / "nan.pt")
    given = [images, {"--image": "cat.png", "--images": "photos"}[images], "--weights", "nan.pt"]

    result = archdsl("see", "net.arch:tiny", *given, "-o", "x.html")

    assert result.status == 1
    assert f"gives NaN or infinity at `{node}`, of which nothing can be shown" in result.error
    assert f"`{where}` of its weights holds some" in result.error
    assert not Path("x.html").exists()


@pytest.mark.usefixtures("folder")
def test_a_network_of_any_size_takes_the_one_that_is_asked_for(archdsl: Command) -> None:
    for given, shown in (([], "224 x 224"), (["--size", "40"], "40 x 40"),
                         (["--size", "30x50"], "30 x 50")):  # fmt: skip
        archdsl.printed("see", "net.arch:open", "--image", "cat.png", *given, "-o", "x.html")
        assert f"the middle {shown} cut out" in Path("x.html").read_text()


TINY = ["net.arch:tiny", "--image", "cat.png"]
WRONG: dict[str, tuple[list[Any], str]] = {
    "no image": (["net.arch:tiny"], "there is no image to show"),
    "image": (["net.arch:tiny", "--image", "nowhere.png"], "nowhere.png does not exist"),
    "no images": (["net.arch:words", "--image", "cat.png"], "takes 16, which is no image"),
    "two inputs": (["net.arch:two", "--image", "cat.png"], "has 2 inputs"),
    "channels": (["net.arch:five", "--image", "cat.png"], "takes 5 channels, and images have 1"),
    "layer": ([*TINY, "--layer", "boddy"], "did you mean `body"),
    "no places": ([*TINY, "--layer", "fc"], "`fc` (Linear) has no places to show: it gives 3"),
    "the image": ([*TINY, "--layer", "image"], "`image` is the image itself, and no layer"),
    "class": ([*TINY, "--classes", "names.txt", "--class", "dgo"], "did you mean `dog`?"),
    "number": ([*TINY, "--class", 3], "there is no class 3: they are numbered from 0 to 2"),
    "names": (
        [*TINY, "--classes", "net.arch"],
        f"names {len(SPEC.splitlines())} classes, and the network tells 3 apart",
    ),
    "twice": (
        [*TINY, "--classes", "twice.txt", "--class", "cat"],
        "2 classes are called `cat`",
    ),
    "no names": ([*TINY, "--classes", "x.txt"], "x.txt does not exist"),
    "weights": ([*TINY, "--weights", "cat.png"], "cat.png"),
    "other weights": (
        [*TINY, "-p", "classes=4", "--weights", "a.pt"],
        "doesn't fit the network",
    ),
    "folder": (["net.arch:tiny", "--images", "cat.png"], "cat.png is no folder"),
    "empty folder": (["net.arch:tiny", "--images", "empty"], "empty has no images"),
    "size": ([*TINY, "--size", "64"], "the network `tiny` takes images of 32 x 32"),
    "occlude": ([*TINY, "--occlude", 32], "must be less than the image, which is 32 x 32"),
    "step": ([*TINY, "--occlude", 3, "--step", 0], "`--step` is a number from 1"),
    "top": ([*TINY, "--top", 0], "`--top` is a number from 1 to 100"),
    "mean": ([*TINY, "--mean", "1,2"], "takes one number, or 3 separated by commas"),
    "std": ([*TINY, "--std", "0"], "must be above 0"),
    "crop": ([*TINY, "--crop", "2"], "from 0.1 to 1"),
    "ending": ([*TINY, "-o", "x.gif"], "ends in .html, or pictures that end in .png"),
    "checkpoints": (
        ["net.arch:tiny", "--images", "photos", "--checkpoints", "a.pt", "b.pt"],
        "name one with `--image FILE`",
    ),
    "broken in a folder": (["net.arch:tiny", "--images", "broken"], "x.png is empty"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_and_nothing_written(
    name: str, archdsl: Command, folder: Path
) -> None:
    (folder / "empty").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "x.png").write_bytes(b"")
    before = sorted(folder.rglob("*"))
    arguments, reason = WRONG[name]

    result = archdsl("see", *arguments)

    assert result.status == 1, result
    assert result.out == ""
    assert reason in result.error
    assert len(re.findall("^error", result.error, re.MULTILINE)) == 1
    assert sorted(folder.rglob("*")) == before


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["--mean", "grey"], "is no number"),
        (["--size", "0"], "is no size"),
        (["--size", "2x3x4"], "is no size"),
        (["-o", "-"], "can't hold pictures"),
        (["--rename", "a=b"], "--rename is about weights"),
        (["--top", "many"], "not a valid integer"),
    ],
)
def test_wrong_usage(given: list[str], reason: str, archdsl: Command) -> None:
    result = archdsl("see", "net.arch:tiny", "--image", "cat.png", *given)

    assert result.status == 2
    assert reason in result.error


@pytest.mark.usefixtures("folder")
def test_what_is_not_installed_is_said(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    import archdsl.backends

    for name in [name for name in sys.modules if name.startswith("archdsl.backends.seeing")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(archdsl.backends, "seeing", raising=False)
    monkeypatch.setitem(sys.modules, "PIL", None)

    result = command("see", "net.arch:tiny", "--image", "cat.png")

    assert result.status == 2
    assert result.error == ("archdsl: Pillow is not installed: pip install 'archdsl[torch,see]'\n")
