"""What was seen of a network: tensors, and a page or pictures of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike, fspath, path

import torch

from archdsl.backends.seeing.errors import BadView
from archdsl.backends.seeing.figures import Figure
from archdsl.backends.seeing.occlusion import Occlusion
from archdsl.backends.seeing.page import Page, in_notebook, marked_page, to_html
from archdsl.backends.seeing.preparing import Preparation
from archdsl.backends.seeing.sheets import to_png
from archdsl.backends.seeing.showing import Activation, ClassMap
from archdsl.backends.seeing.top import Top
from archdsl.diagnostics import ArchError
from archdsl.output import write_all

FORMATS = (".html", ".png")


@dataclass(frozen=True, repr=False)
class Seen:
    """What was seen of a network. In a notebook it shows itself as the page of `archdsl see`.

    All tensors are on the CPU.

    Attributes:
        network, description: its name and what its spec says of it.
        origin: where its weights come from.
        preparation: how images were prepared.
        names, images: of the images that are shown one by one, and these as the network takes
            them: [images, channels, height, width].
        classes: their names; empty where the network tells no classes apart.
        figures: what the page shows.
        shares: of each class for each image, [images, classes].
        filters: of the first convolution, [filters, 1 or 3, height, width].
        features: the maps of each layer that is shown, [images, channels, height, width].
        projections: of each layer that is shown the strongest activations, with what they are led
            back to.
        class_maps: CAM and Grad-CAM of the class of each image.
        occlusions: one for each image, where `occlude` was asked for.
        top: by layer what excites its channels most, of the images of the folder; `paths` are
            theirs.
        development: by layer its maps for the first image, [checkpoints, channels, height, width].
    """

    network: str
    description: str
    origin: str
    preparation: Preparation
    names: tuple[str, ...]
    images: torch.Tensor
    classes: tuple[str, ...]
    figures: tuple[Figure, ...]
    shares: torch.Tensor | None = None
    filters: torch.Tensor | None = None
    features: Mapping[str, torch.Tensor] = field(default_factory=dict)
    projections: Mapping[str, Sequence[Activation]] = field(default_factory=dict)
    class_maps: tuple[ClassMap, ...] = ()
    occlusions: tuple[Occlusion, ...] = ()
    top: Mapping[str, Top] = field(default_factory=dict)
    paths: tuple[str, ...] = ()
    development: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @property
    def html(self) -> str:
        """The page: one HTML file that needs no other, and nothing of any network."""
        return to_html(self._page)

    @property
    def _page(self) -> Page:
        facts = [("Weights", self.origin), ("Images", f"{self.preparation}.")]
        if self.paths:
            facts.append(("Folder", f"{len(self.paths):,} images"))
        said = [fact for fact in facts if fact[1]]
        return Page(self.network, self.description, said, self.figures)

    def files(self, file: str) -> Mapping[str, bytes]:
        """Return what is to be written, by path: a page, or a picture for each figure.

        Raises:
            ArchError: the ending of the path says neither.
        """
        stem, ending = path.splitext(file)
        require_format(file)
        if ending.lower() == ".html":
            return {file: marked_page(self._page)}
        return {f"{stem}-{_in_a_name(each.name)}{ending}": to_png(each) for each in self.figures}

    def save(
        self, file: str | PathLike[str], figures: Sequence[str] | None = None
    ) -> Sequence[str]:
        """Write the page (`.html`), or a picture for each figure (`.png`), and return the paths.

        Pictures are called as the file with the figure's name behind it: `cat-filters.png`.

        Args:
            figures: names of those that are meant, as `repr` lists them; else all.

        Raises:
            ArchError: the ending is another.
            OSError: a file can't be written; then none is.
        """
        wanted = self.figures if figures is None else [e for e in self.figures if e.name in figures]
        found = replace(self, figures=tuple(wanted)).files(fspath(file))
        write_all(found)
        return list(found)

    def _repr_html_(self) -> str:
        return in_notebook(self._page)

    def __repr__(self) -> str:
        shown = ", ".join(figure.name for figure in self.figures)
        return f"<Seen of {self.network}: {shown}>"


def require_format(file: str) -> None:
    """Raise ArchError where a file is neither a page nor a picture by its name."""
    if path.splitext(file)[1].lower() not in FORMATS:
        reason = "names a page that ends in .html, or pictures that end in .png"
        raise ArchError(BadView(option="-o", reason=reason))


def _in_a_name(text: str) -> str:
    return "".join(
        one if one.isascii() and (one.isalnum() or one in "-_.") else "_" for one in text
    )
