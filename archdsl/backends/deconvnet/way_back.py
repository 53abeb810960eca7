"""The parts of a generated deconvnet that are the same for every network, as text.

The way back is the gradient, which autograd works out of the way forward: of a convolution it is
the transposed convolution with the same filters, of a maximum what the switches lead to. What
differs from it by a rule is a function of autograd with a way back of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from archdsl.layers.base import Back
from archdsl.records import Record

Rule = Literal["deconvnet", "guided", "gradient"]

BESIDE = """\
class {name}(torch.autograd.Function):
    \"\"\"A layer on whose way back %s.\"\"\"

    @staticmethod
    def forward(ctx: Any, input: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        return output

    @staticmethod
    def backward(ctx: Any, back: torch.Tensor) -> tuple[torch.Tensor, None]:
        return %s, None
"""
RECTIFIED = BESIDE % ("what is above zero goes on, whatever came in", "back.clamp(min=0)")
UNCHANGED = BESIDE % ("everything goes on as it is", "back")

GUIDED = '''\
class {name}(torch.autograd.Function):
    """A layer on whose way back what is above zero goes on, by the gradient."""

    @staticmethod
    def forward(ctx: Any, output: torch.Tensor) -> torch.Tensor:
        return output

    @staticmethod
    def backward(ctx: Any, back: torch.Tensor) -> torch.Tensor:
        return back.clamp(min=0)
'''


class Way(Record):
    """How a rule leads back through layers that it doesn't leave to their gradient.

    Attributes:
        name: of a function of autograd, which `source` defines.
        call: how it is applied: `{input}` is what comes in, `{output}` what the layer makes of
            that, `{beside}` the same, of which no gradient is kept.
    """

    name: str
    source: str
    call: str


# For each rule the ways back that are no gradients
WAYS: Mapping[Rule, Mapping[Back, Way]] = {
    "deconvnet": {
        "rectified": Way("Rectified", RECTIFIED, "{name}.apply({input}, {beside})"),
        "unchanged": Way("Unchanged", UNCHANGED, "{name}.apply({input}, {beside})"),
    },
    "guided": {"rectified": Way("Rectified", GUIDED, "{name}.apply({output})")},
    "gradient": {},
}
RULES: tuple[Rule, ...] = tuple(WAYS)

CHOSEN = '''\
def {chosen}(
    maps: torch.Tensor,
    channel: int | torch.Tensor | None,
    place: int | Sequence[int] | torch.Tensor | None,
) -> torch.Tensor:
    """Tell which activations have that channel and place, in the shape of the maps."""
    samples, _, *sizes = maps.shape
    wanted: dict[int, torch.Tensor] = {{}}
    if channel is not None:
        channels = torch.as_tensor(channel, dtype=torch.long, device=maps.device)
        wanted[1] = channels.expand(samples)
    if place is not None:
        places = torch.as_tensor(place, dtype=torch.long, device=maps.device)
        if places.dim() > 2 or places.shape[-1:].numel() != len(sizes):
            raise ValueError(f"a place has {{len(sizes)}} numbers here, one an axis")
        wanted.update(enumerate(places.expand(samples, len(sizes)).unbind(1), 2))
    found = torch.ones_like(maps, dtype=torch.bool)
    for axis, at in wanted.items():
        size = maps.shape[axis]
        if ((at < 0) | (at >= size)).any():
            what = "channels" if axis == 1 else f"places along axis {{axis - 2}}"
            raise IndexError(f"{{what}} are 0 to {{size - 1}}, and not {{at.tolist()}}")
        shape = [1] * maps.dim()
        shape[axis] = size
        there = torch.arange(size, device=maps.device).view(shape)
        found &= there == at.view(-1, *[1] * (maps.dim() - 1))
    return found
'''

PROJECTION = '''\
class {projection}(NamedTuple):
    """What led to an activation, and which it is; of several the strongest."""

    projected: {held}  # of the shape of what came in
    value: torch.Tensor  # N, how strong it is
    channel: torch.Tensor  # N, where it is along the first axis
    place: torch.Tensor  # N x axes, where it is along the others
'''

# Each hole but those within a line stands for whole lines
CLASS = '''\
{class_}
{about}

    def __init__(self) -> None:
        super().__init__()
{network}
        # under the names of the network, so that its weights fit
        self._parameters.update(network._parameters)
        self._buffers.update(network._buffers)
        self._modules.update(network._modules)
        for module in self.modules():
            if isinstance(getattr(module, "inplace", None), bool):
                module.__dict__["inplace"] = False  # the way back needs what came in
        self.train(False)

{train}
        """Stay in evaluation mode, whatever is asked for."""
        super().train(False)
        return self

{activations}
{shape}
{way_forward}

    def projection(
        self,
{inputs}
        channel: int | torch.Tensor | None = None,
        place: int | Sequence[int] | torch.Tensor | None = None,
        everything: bool = False,
    ) -> {projection}:
        """Lead an activation back as `forward` does, and tell which it is.

        Raises:
            IndexError: there is no such channel or place.
            ValueError: a place has too few or too many numbers, or something is
                chosen of everything.
        """
        if everything and not (channel is None and place is None):
            raise ValueError("everything is all channels and all places")
        with torch.inference_mode(False), torch.enable_grad():
{leaves}
{maps}
            found = maps.detach()
            left_out = ~{chosen}(found, channel, place)
            kept = found.masked_fill(left_out, -math.inf)
            values, best = kept.flatten(1).max(1)
            if {whole}:
                start = found.masked_fill(left_out, 0)
            else:
                start = torch.zeros_like(found).flatten(1)
                start = start.scatter(1, best[:, None], 1).view_as(found)
            # Back through the statements of `activations`, the last first. A convolution
            # is transposed, with the same filters, and a maximum leads to its place.
{way_back}
        at = torch.stack(torch.unravel_index(best, found.shape[1:]), dim=1)
{result}

    def forward(
        self,
{inputs}
        channel: int | torch.Tensor | None = None,
        place: int | Sequence[int] | torch.Tensor | None = None,
        everything: bool = False,
    ) -> {held}:
        """Lead the strongest activation of each sample back, or what is given.

        A channel alone is its whole map, and `everything` all maps: each activation
        counts by its strength. A channel and a place are one activation, which counts
        as 1; a place alone is the strongest there. Channels and places count from 0,
        and are one for all samples or one for each.
        """
{answer}
'''
