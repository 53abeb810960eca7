"""The windows of adaptive pooling, which torch spreads evenly over an axis.

Window `i` of m over n places is floor(i n / m) up to, not including, ceil((i + 1) n / m).
"""

from __future__ import annotations

from fractions import Fraction
from math import gcd

from archdsl.layers.base import TorchModule, Window
from archdsl.layers.sizes import Formula, Size

# Windows over a free size whose places are counted exactly: each further divisor of their number
# adds two floors to the formula, which nobody could read any more.
MOST_EXACT = 64

# ONNX has no pooling whose windows follow from a size. What torch writes in its place holds the
# windows of the size that it saw; here they are worked out from the size that comes in.
ADAPTIVE_SOURCE = """\
class AdaptivePooling(nn.Module):

    def __init__(self, maximum: bool) -> None:
        super().__init__()
        self.maximum = maximum

    def forward(self, x: torch.Tensor, output_size: tuple[int | None, ...]) -> torch.Tensor:
        for axis, places in enumerate(output_size, start=2):
            if places is not None:
                x = self.along(x, axis, places)
        return x

    def along(self, x: torch.Tensor, axis: int, places: int) -> torch.Tensor:
        size = x.shape[axis]
        number = torch.arange(places, device=x.device)[:, None]
        first, last = number * size // places, ((number + 1) * size - 1) // places
        window = first + torch.arange((size + places - 1) // places + 1, device=x.device)
        index = torch.minimum(window, last).flatten()
        read = x.index_select(axis, index).unflatten(axis, (places, -1))
        if self.maximum:
            return read.amax(axis + 1)
        trailing = [1] * (x.dim() - 1 - axis)
        inside = (window <= last).view(places, -1, *trailing)
        count = (last - first + 1).view(places, *trailing)
        return torch.where(inside, read, 0).sum(axis + 1) / count
"""


def adaptive_pooling(sizes: str, maximum: bool = False) -> TorchModule:
    """Return an adaptive pool for files, whose output has the sizes written in a tuple."""
    call = f"{{module}}({{0}}, {sizes})"
    return TorchModule("AdaptivePooling", (maximum,), source=ADAPTIVE_SOURCE, call=call)


def common_divisor(output: int, size: Size) -> Size:
    """Return gcd(size, output), the greatest common divisor, also of a free size.

    It is the sum of phi(d) over the d that divide both (Gauss); d divides n where n // d is more
    than (n - 1) // d, by 1.
    """
    if isinstance(size, int):
        return gcd(size, output)
    common: Size = 0
    for d in range(1, output + 1):
        if output % d == 0:
            phi = sum(gcd(d, k) == 1 for k in range(1, d + 1))
            common = common + phi * (size // d - (size - 1) // d)
    return common


def places_read(size: Size, output: Size) -> Size:
    """Return how many places all windows of an adaptive pool read along one axis together.

    They are n + m - gcd(n, m): m divides i n for gcd(n, m) of the windows, and each other window
    begins in the last place of the one before. Where m is free or large and n is free as well,
    n + m - 1 is the most that it can be.
    """
    if size == output:
        return size
    if isinstance(output, Formula) or (isinstance(size, Formula) and output > MOST_EXACT):
        return size + output - 1
    return size + output - common_divisor(output, size)


def adaptive_window(size: Size, output: Size) -> Window | None:
    """Return the smallest window that holds those of an adaptive pool; None if not known.

    Where the output divides the input all are of the same size and lie side by side.
    """
    if output == 1:
        return Window(size, size, 0)
    if size == output:
        return Window(1, 1, 0)
    # where windows begin depends on a remainder that isn't known
    if isinstance(output, Formula):
        return None
    if isinstance(size, Formula):
        whole = size % output == 0
        return Window(size // output, size // output, 0) if whole else None
    common = gcd(size, output)
    stride, start = Fraction(size, output), Fraction(common - output, output)
    return Window(
        (size + 2 * output - common - 1) // output,
        stride.numerator if stride.denominator == 1 else stride,
        start.numerator if start.denominator == 1 else start,
    )
