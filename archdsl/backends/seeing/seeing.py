"""Shows images to a network and gathers what there is to see of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from typing import Any

import torch
from PIL import Image
from torch import nn

import archdsl.backends.seeing.pictures as pictures
import archdsl.backends.seeing.showing as showing
from archdsl.backends.seeing.class_maps import (
    Curves,
    at_random,
    class_activation,
    curves,
    enlarged,
    grad_cam,
    mean_head,
)
from archdsl.backends.seeing.classes import class_of, names_of
from archdsl.backends.seeing.errors import BadImage, BadView, NoImages, NotForImages
from archdsl.backends.seeing.figures import Figure
from archdsl.backends.seeing.images import images_in, plain, read_image, require_size
from archdsl.backends.seeing.lens import Lens
from archdsl.backends.seeing.occlusion import Occlusion, occlude, starts
from archdsl.backends.seeing.preparing import Preparation, preparation
from archdsl.backends.seeing.seen import Seen
from archdsl.backends.seeing.showing import Activation, ClassMap, Excitement, Shown
from archdsl.backends.seeing.top import Top, top
from archdsl.diagnostics import ArchError, printable
from archdsl.graph import CheckedGraph
from archdsl.records import Record

MOST_IMAGES = 16  # that are shown one by one
MOST_CHANNELS = 64
MOST_SQUARES = 100_000  # places of the square that covers a part of an image
Loads = Callable[[nn.Module, str], object]  # puts the weights of a file into a module
Projects = Callable[[str], nn.Module]  # makes the deconvnet of a node


class Wishes(Record):
    """What is to be seen, and how; `archdsl.Network.see` explains it."""

    layers: Sequence[str] = ()
    channels: int = 8
    folder: str | None = None
    top: int = 9
    rule: str = "deconvnet"
    classes: str | PathLike[str] | Sequence[str] | None = None
    target: str | int | None = None
    occlude: int | None = None
    step: int = 8
    checkpoints: Sequence[str] = ()
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    crop: float | None = None
    batch: int = 16


def see(
    checked: CheckedGraph,
    module: nn.Module,
    moved: Mapping[str, str],
    images: object,
    wishes: Wishes,
    *,
    origin: str = "",
    load: Loads,
    deconvnet: Projects,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Seen:
    """Show images to a network whose input has all its sizes, and return what is seen.

    Args:
        module: the network compiled, with the weights that it is seen with.
        moved: where modules are that are not where their node's name says, as `generate` gives it.
        images: a path, an image of Pillow, a prepared tensor, or several of these.
        origin: says where the weights come from.
        load: puts the weights of a checkpoint into the module.
        deconvnet: makes the deconvnet of a node, with the names of the network's weights.
        progress: called with how many images of the folder are done, and how many there are.

    Raises:
        ArchError: an image can't be read, or something that was asked for isn't there.
    """
    prepared = preparation(checked, wishes.mean, wishes.std, wishes.crop)
    _require_sense(wishes)
    lens = Lens(module, checked, moved, prepared, wishes.batch)
    names, tensors = _prepared(images, prepared)
    paths = images_in(wishes.folder) if wishes.folder is not None else ()
    if not names and not paths:
        what, hint = "there is no image to show", "name one with `--image FILE`, or a folder"
        raise ArchError(NoImages(what=what, hint=f"{hint} with `--images DIR`"))
    asked = list(dict.fromkeys(lens.sights.find(label) for label in wishes.layers))
    gathering = _Gathering(lens, wishes, names, tensors, asked, deconvnet)
    gathering.require_classes()
    if names:
        gathering.see_images()
    if paths:
        gathering.see_folder(paths, lambda done: progress(done, len(paths)))
    if wishes.checkpoints:
        gathering.see_development(wishes.checkpoints, load)
    return gathering.seen(origin)


def _require_sense(wishes: Wishes) -> None:
    """Raise ArchError where a number makes no sense."""
    for option, value, most in (
        ("--channels", wishes.channels, MOST_CHANNELS),
        ("--top", wishes.top, 100),
        ("--batch", wishes.batch, 4096),
        ("--occlude", 1 if wishes.occlude is None else wishes.occlude, 10**6),
        ("--step", wishes.step, 10**6),
    ):
        if not 1 <= value <= most:
            reason = f"is a number from 1 to {most:,}, and not {value:,}"
            raise ArchError(BadView(option=option, reason=reason))


def _prepared(images: object, how: Preparation) -> tuple[Sequence[str], torch.Tensor]:
    """Return the names of the images that are given in any form, and the images prepared."""
    given = list(images) if isinstance(images, list | tuple) else [images]
    names: list[str] = []
    tensors: list[torch.Tensor] = []
    for one in given:
        if one is None:
            continue
        if isinstance(one, torch.Tensor):
            tensors += _of_tensor(one, how)
            names += [f"image {number + 1}" for number in range(len(names), len(tensors))]
            continue
        if isinstance(one, str | PathLike):
            image, name = read_image(fspath(one)), printable(fspath(one).rpartition("/")[2], 60)
        elif isinstance(one, Image.Image):
            name = f"image {len(names) + 1}"
            require_size(name, one.size)
            image = plain(name, one)
        else:
            reason = f"is a {type(one).__name__}, and no path, image of Pillow or tensor"
            raise ArchError(BadImage(path=f"image {len(names) + 1}", reason=reason))
        names.append(name)
        tensors.append(how.prepared(image))
        if len(names) > MOST_IMAGES:
            break
    if len(names) > MOST_IMAGES:
        reason = f"takes at most {MOST_IMAGES} images, which are shown one by one"
        hint = "a folder of any number is given with `--images DIR`"
        raise ArchError(BadView(option="--image", reason=reason, hint=hint))
    return names, torch.stack(tensors) if tensors else torch.empty(0)


def _of_tensor(tensor: torch.Tensor, how: Preparation) -> Sequence[torch.Tensor]:
    """Return the images of a tensor, which is as the network takes it."""
    wanted = (how.channels, how.height, how.width)
    several = tensor[None] if tensor.dim() == 3 else tensor
    if several.dim() != 4 or tuple(several.shape[1:]) != wanted:
        shapes = [" x ".join(map(str, shape)) for shape in (tensor.shape, wanted)]
        reason = f"is of the shape {shapes[0]}, and the network takes {shapes[1]}"
        raise ArchError(BadImage(path="a tensor", reason=reason))
    if not several.is_floating_point() or not several.isfinite().all():
        reason = "holds what is no finite float"
        hint = "it is taken as the network takes it: scaled and normalized"
        raise ArchError(BadImage(path="a tensor", reason=reason, hint=hint))
    return [*several.detach().cpu().float()]


class _Gathering:
    """Gathers results and figures, one kind after the other."""

    def __init__(
        self,
        lens: Lens,
        wishes: Wishes,
        names: Sequence[str],
        images: torch.Tensor,
        asked: Sequence[str],
        deconvnet: Projects,
    ) -> None:
        self.lens = lens
        self.wishes = wishes
        self.names = names
        self.images = images
        self.asked = asked
        self.deconvnet = deconvnet
        self.deconvnets: dict[str, nn.Module] = {}
        self.figures: list[Figure] = []
        self.results: dict[str, Any] = {}
        self.shown = (
            [
                Shown(name, pictures.of_images(pixels))
                for name, pixels in zip(names, lens.preparation.pixels(images), strict=True)
            ]
            if names
            else []
        )

    @property
    def layers(self) -> Sequence[str]:
        """The layers that are shown: those asked for, or the usual ones."""
        return self.asked or self.lens.sights.usual

    def require_classes(self) -> None:
        """Find out what the classes are called, and which one is meant."""
        wishes, sights = self.wishes, self.lens.sights
        count = sights.classes
        wanted = [
            option
            for option, value in (
                ("--classes", wishes.classes),
                ("--class", wishes.target),
                ("--occlude", wishes.occlude),
            )
            if value is not None
        ]
        if count is None:
            if wanted:
                shape = " x ".join(map(str, self.lens.checked.nodes[sights.output].shape))
                reason = f"gives {shape}, which are no classes, so {wanted[0]} makes no sense"
                raise ArchError(NotForImages(network=self.lens.checked.name, reason=reason))
            self.classes: tuple[str, ...] = ()
            return
        self.classes = names_of(wishes.classes, count)
        self.chosen = None if wishes.target is None else class_of(wishes.target, self.classes)
        if wishes.occlude is not None:
            height, width = sights.height, sights.width
            if wishes.occlude >= min(height, width):
                reason = f"must be less than the image, which is {height} x {width}"
                raise ArchError(BadView(option="--occlude", reason=reason))
            rows, columns = (
                len(starts(size, wishes.occlude, wishes.step)) for size in (height, width)
            )
            if rows * columns > MOST_SQUARES:
                reason = f"gives {rows * columns:,} places of the square"
                hint = "take a larger `--step`"
                raise ArchError(BadView(option="--step", reason=reason, hint=hint))

    def see_images(self) -> None:
        """See what the network makes of each image."""
        lens = self.lens
        if self.classes:
            shares = lens.answers(self.images)
            self.results["shares"] = shares
            without = "" if self.wishes.classes else " `--classes names.txt` gives them names."
            self.figures.append(showing.answers_figure(self.shown, shares, self.classes, without))
            best = shares.argmax(1).tolist()
            self.targets = [each if self.chosen is None else self.chosen for each in best]
            if lens.sights.last:
                self._class_maps(lens.sights.last)
            if self.wishes.occlude is not None:
                self._occlusion(self.wishes.occlude)
        self._filters()
        self._features()

    def _filters(self) -> None:
        node = self.lens.sights.first_convolution
        if node is None:
            return
        weights = self.lens.steps.owned(node).weight.detach().cpu()
        if weights.shape[1] in (1, 3):
            self.results["filters"] = weights
            self.figures.append(showing.filters_figure(self.lens.checked, node.name, weights))

    def _features(self) -> None:
        layers = self.layers
        found = self.lens.tensors(self.images, layers) if layers else {}
        self.results["features"] = found
        for name, maps in found.items():
            strongest = [
                one
                for image in range(len(maps))
                for one in self._strongest(name, image, maps[image])
            ]
            projections = self._projections(
                name, self.images[[one.image for one in strongest]], strongest
            )
            projected = [
                one._replace(projection=projection)
                for one, projection in zip(strongest, projections, strict=True)
            ]
            self.results.setdefault("projections", {})[name] = tuple(projected)
            figure = showing.features_figure(
                self.lens.checked, name, self.shown, maps, projected, self.wishes.rule
            )
            self._add(figure, [name])

    def _strongest(self, name: str, image: int, maps: torch.Tensor) -> list[Activation]:
        """Return the strongest activation of each of the strongest channels of an image."""
        values, places = maps.flatten(1).max(1)
        order = values.argsort(descending=True, stable=True)[: self.wishes.channels]
        return [
            self._activation(name, image, channel, int(places[channel]), maps)
            for channel in order.tolist()
        ]

    def _activation(
        self, name: str, image: int, channel: int, place: int, maps: torch.Tensor
    ) -> Activation:
        row, column = divmod(place, maps.shape[2])
        box = self.lens.sights.box(name, row, column)
        value = float(maps[channel, row, column])
        return Activation(image, channel, row, column, value, box)

    def _projections(
        self, name: str, images: torch.Tensor, activations: Sequence[Activation]
    ) -> torch.Tensor:
        """Lead activations of a layer back to the pixels, each of its own image."""
        if name not in self.deconvnets:
            self.deconvnets[name] = self.deconvnet(name)
        module = self.deconvnets[name]
        # the tensors themselves, and no copies of them
        module.load_state_dict(self.lens.module.state_dict(), assign=True)
        channels = torch.tensor([one.channel for one in activations])
        places = torch.tensor([(one.row, one.column) for one in activations])
        found, start = [], 0
        for part in self.lens.parts(images):
            now = slice(start, start + len(part))
            given = (each[now].to(part.device) for each in (channels, places))
            found.append(module(part, *given).detach().cpu())
            start += len(part)
        projections = torch.cat(found)
        for one, projection in zip(activations, projections, strict=True):
            if one.value == 0:  # what isn't excited leads nowhere
                projection.zero_()
        return projections

    def _class_maps(self, last: str) -> None:
        lens, images, targets = self.lens, self.images, self.targets
        height, width = lens.sights.height, lens.sights.width
        asked = [name for name in self.asked if name in lens.sights.behind]
        maps: list[tuple[str, str, torch.Tensor]] = []
        if head := mean_head(lens):
            maps.append(("CAM", head.maps, class_activation(lens, head, images, targets)))
        maps += [
            ("Grad-CAM", name, grad_cam(lens, name, images, targets)) for name in asked or [last]
        ]
        found = []
        for image, cls in enumerate(targets):
            for method, name, values in maps:
                large = enlarged(values[image : image + 1], height, width)[0]
                followed = curves(lens, images[image], cls, large)
                found.append(ClassMap(method, name, image, cls, values[image], followed))
        random: list[Curves] = [
            at_random(lens, image, cls) for image, cls in zip(images, targets, strict=True)
        ]
        self.results["class_maps"] = tuple(found)
        figure = showing.class_maps_figure(lens.checked, self.shown, found, random, self.classes)
        self._add(figure, [name for _, name, _ in maps])

    def _add(self, figure: Figure, layers: Sequence[str]) -> None:
        """Add a figure of layers, with a word of warning where their places may lie otherwise."""
        for name in dict.fromkeys(layers):
            if moved := self.lens.sights.moved(name):
                where = f"is behind {moved}, which moves" if moved != name else "moves"
                note = f"Layer {name} {where} places: its maps are shown as they lie there."
                figure = figure._replace(text=f"{figure.text} {note}")
        self.figures.append(figure)

    def _occlusion(self, size: int) -> None:
        layer = self.asked[0] if self.asked else None
        found: list[Occlusion] = [
            occlude(self.lens, image, cls, size, self.wishes.step, layer)
            for image, cls in zip(self.images, self.targets, strict=True)
        ]
        self.results["occlusions"] = tuple(found)
        self.figures.append(
            showing.occlusion_figure(
                self.lens.checked, self.shown, found, self.classes, self.wishes.step
            )
        )

    def see_folder(self, paths: Sequence[str], progress: Callable[[int], None]) -> None:
        """See which images of a folder excite channels most."""
        lens, layers = self.lens, self.asked or self.lens.sights.usual[-1:]
        how = lens.preparation
        done = 0

        def read(number: int) -> torch.Tensor:
            return how.prepared(read_image(paths[number]))

        def told(more: int) -> None:
            nonlocal done
            done += more
            progress(done)

        found = top(lens, layers, len(paths), read, self.wishes.top, told)
        self.results["top"] = found
        self.results["paths"] = tuple(paths)
        for name, one in found.items():
            excited = one.values[:, 0] != 0
            channels = [each for each in one.strongest(len(excited)) if excited[each]]
            channels = channels[: self.wishes.channels]
            shown = [self._excitement(name, one, channel, read) for channel in channels]
            most = one.images.shape[1]
            dead = len(excited) - int(excited.sum())
            figure = showing.top_figure(lens.checked, name, shown, len(paths), most, dead)
            self._add(figure, [name])

    def _excitement(
        self, name: str, found: Top, channel: int, read: Callable[[int], torch.Tensor]
    ) -> Excitement:
        excited = found.values[channel] != 0
        images = torch.stack([read(int(number)) for number in found.images[channel][excited]])
        activations = [
            Activation(number, channel, row, column, value, self.lens.sights.box(name, row, column))
            for number, row, column, value in zip(
                *(each[channel][excited].tolist() for each in found), strict=True
            )
        ]
        projections = self._projections(name, images, activations)
        pixels = self.lens.preparation.pixels(images)
        patches = [
            pictures.cut(pictures.of_images(each), one.box)
            for each, one in zip(pixels, activations, strict=True)
        ]
        projected = [
            showing.of_projection(one.box, each)
            for one, each in zip(activations, projections, strict=True)
        ]
        return Excitement(channel, float(found.values[channel, 0]), patches, projected)

    def see_development(self, checkpoints: Sequence[str], load: Loads) -> None:
        """See how channels develop from one checkpoint to the next, for the first image."""
        lens, layers = self.lens, self.layers
        if not self.names or not layers:
            what = "`--checkpoints` shows how the network comes to see an image"
            raise ArchError(NoImages(what=what, hint="name one with `--image FILE`"))
        image = self.images[:1]
        before = {name: tensor.clone() for name, tensor in lens.module.state_dict().items()}
        # the channels that are strong in the end
        load(lens.module, checkpoints[-1])
        last = lens.tensors(image, layers)
        channels = {
            name: [one.channel for one in self._strongest(name, 0, maps[0])]
            for name, maps in last.items()
        }
        steps: dict[str, list[torch.Tensor]] = {name: [] for name in layers}
        cells: dict[str, list[list[pictures.Pixels]]] = {
            name: [[] for _ in channels[name]] for name in layers
        }
        for path in checkpoints:
            load(lens.module, path)
            for name, maps in lens.tensors(image, layers).items():
                steps[name].append(maps[0])
                own = [
                    self._activation(name, 0, channel, int(maps[0, channel].argmax()), maps[0])
                    for channel in channels[name]
                ]
                projections = self._projections(name, image.expand(len(own), -1, -1, -1), own)
                for row, one, projection in zip(cells[name], own, projections, strict=True):
                    row.append(showing.grown(self.shown[0], maps[0, one.channel], one, projection))
        lens.module.load_state_dict(before)
        self.results["development"] = {name: torch.stack(each) for name, each in steps.items()}
        columns = [printable(path.rpartition("/")[2], 40) for path in checkpoints]
        for name in layers:
            figure = showing.development_figure(
                lens.checked, name, columns, channels[name], cells[name]
            )
            self._add(figure, [name])

    def seen(self, origin: str) -> Seen:
        """Return all of it."""
        return Seen(
            network=self.lens.checked.name,
            description=self.lens.checked.description,
            origin=origin,
            preparation=self.lens.preparation,
            names=tuple(self.names),
            images=self.images,
            classes=self.classes,
            figures=tuple(self.figures),
            **self.results,
        )
