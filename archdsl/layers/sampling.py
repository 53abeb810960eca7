"""What reads an image at places that another tensor holds.

Jaderberg et al., Spatial Transformer Networks, 2015, arXiv:1506.02025.

Under "resize" stand the operations that interpolate, for each number of the output: with `p` places
read, `p` multiplications and `p - 1` additions, so 7 in bilinear mode, 15 in a volume and 31 in
bicubic. What copies the nearest place counts nothing there. Under "elementwise" stand the
multiplication and the addition that make of each number of the grid a place of the image. What the
weights of neighbours take is left out, as in every interpolation, and so is what brings back places
beyond the edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from archdsl.layers.agreeing import agree
from archdsl.layers.arguments import Flag, choice
from archdsl.layers.base import (
    GLOBAL,
    Example,
    Facts,
    Layer,
    LayerError,
    Shapes,
    TorchFunction,
    numel,
    several,
)

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor

Mode = Literal["bilinear", "nearest", "bicubic"]
TAPS: Mapping[Mode, int] = {
    "bilinear": 2,
    "nearest": 0,
    "bicubic": 4,
}  # places read along each axis to interpolate


class GridSample(Layer):
    """An image read at the places of a grid: `from image, grid -> GridSample`.

    The grid holds for each place of the output where in the image it is read, from -1 at one edge
    to 1 at the other, first across and then down: [height, width, 2]. In a volume these are across,
    down and to the back: [depth, height, width, 3]. With `align_corners` the edges are the middles
    of the outermost pixels, else their outer sides. Where both tensors have as many axes more in
    front, each place of these is an image with a grid of its own. As places may be anywhere, it
    sees all of the image.
    """

    family = "resize"
    elsewhere = (
        ("spatialtransformer", "GridSample"),
        ("bilinearsampler", "GridSample"),
        ("warp", "GridSample"),
    )
    examples = (
        Example({}, inputs=((3, 6, 7), (4, 5, 2)), output=(3, 4, 5)),
        Example(
            {"mode": "bicubic", "padding_mode": "border", "align_corners": True},
            inputs=((2, 5, 6), (3, 8, 2)),
            output=(2, 3, 8),
        ),
        Example(
            {"padding_mode": "reflection"},
            inputs=((2, 3, 4, 5), (2, 6, 3, 3)),
            output=(2, 2, 6, 3),
        ),
        Example({"mode": "nearest"}, inputs=((2, 5, 6), (3, 4, 2)), output=(2, 3, 4)),
        Example(
            {"align_corners": True},
            inputs=((4, 2, 3, 5, 6), (4, 2, 7, 2, 2)),
            output=(4, 2, 3, 7, 2),
        ),
    )

    mode: Annotated[Mode, choice("bilinear", "nearest", "bicubic")] = "bilinear"
    padding_mode: Annotated[
        Literal["zeros", "border", "reflection"], choice("zeros", "border", "reflection")
    ] = "zeros"
    align_corners: Flag = False

    def infer(self, inputs: Shapes) -> Facts:
        image, grid = several(inputs, least=2, most=2)
        axes = grid[-1] if grid else 0
        if not isinstance(axes, int):
            raise LayerError(
                "needs to know how many coordinates its grid holds, and not a free size"
            )
        more = len(grid) - 1 - axes  # axes in front, each place of which is an image of its own
        if axes not in (2, 3) or more < 0 or len(image) != len(grid):
            has = " and ".join([" x ".join(map(str, each)) or "a number" for each in inputs])
            raise LayerError(
                "takes an image of [channels, height, width] with a grid of [height, width, 2], or "
                "one of [channels, depth, height, width] with a grid of [depth, height, width, 3], "
                f"and has {has}",
                help="`Permute` brings the axis of the coordinates to the end",
            )
        if not all(map(agree, image[:more], grid[:more])):
            raise LayerError("needs as many grids as images in each of the axes in front of them")
        if self.mode == "bicubic" and axes == 3:
            raise LayerError('has mode = "bicubic", which is for an image and not for a volume')
        output = (*image[: more + 1], *grid[more:-1])
        read = TAPS[self.mode] ** axes
        given = (
            f'mode="{self.mode}", padding_mode="{self.padding_mode}", '
            f"align_corners={self.align_corners}"
        )
        expression = f"F.grid_sample({{0}}, {{1}}, {given})"
        if more:
            flat = [f"{{{one}}}.flatten(0, {more})" for one in (0, 1)]
            expression = f"F.grid_sample({', '.join(flat)}, {given})"
            # as a function: the method has no types
            expression = f"torch.unflatten({expression}, 0, {{0}}.shape[:{more + 1}])"
        equal = zip(image[:more], grid[:more], strict=True)
        return Facts(
            output=output,
            torch=TorchFunction(expression, overwritable=True),
            other=({"resize": (2 * read - 1) * numel(output)} if read else {})
            | {"elementwise": 2 * numel(grid)},
            windows=GLOBAL,
            agreements=tuple(pair for pair in equal if pair[0] != pair[1]),
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        grid = inputs[1]
        axes = grid.shape[-1]
        assert isinstance(axes, int)  # or it would have been refused
        more = len(grid.shape) - axes - 1  # with the batch
        if more == 1:
            return torch.result(inputs, torch.output, saves=inputs)
        flat = [torch.reshape(x, (numel(x.shape[:more]), *x.shape[more:])) for x in inputs]
        shape = (*flat[0].shape[:2], *grid.shape[more:-1])
        return torch.reshape(torch.result(flat, shape, saves=flat), torch.output)
