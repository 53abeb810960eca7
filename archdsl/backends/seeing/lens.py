"""A compiled network with what is known of its graph: computes any node of it for images."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property

import torch
from torch import nn

from archdsl.backends.seeing.errors import BadView, NotForImages
from archdsl.backends.seeing.nodes import Sights
from archdsl.backends.seeing.preparing import Preparation
from archdsl.backends.torch_module.devices import check_room_to_run
from archdsl.backends.torch_module.stepping import Steps, out_of_place
from archdsl.diagnostics import ArchError
from archdsl.graph import CheckedGraph

FAR = 100.0  # from zero: what a layer gives for such numbers is no probability by chance


class Lens:
    """Computes nodes of a network, in evaluation mode and in batches.

    Attributes:
        module: the compiled network.
        sights: what there is to see of it.
        preparation: how images are prepared.
        batch: how many images are computed at once; results don't depend on it.
    """

    def __init__(
        self,
        module: nn.Module,
        checked: CheckedGraph,
        moved: Mapping[str, str],
        preparation: Preparation,
        batch: int = 16,
    ) -> None:
        self.module = module.eval().requires_grad_(False)
        out_of_place(self.module)
        self.checked = checked
        self.sights = Sights(checked)
        self.steps = Steps(self.module, checked, moved)
        self.preparation = preparation
        self.batch = batch
        held = next(self.module.parameters(), torch.zeros(()))
        self.device, self.dtype = held.device, held.dtype
        if held.is_meta:
            reason = "can't be meta, where tensors hold no numbers to look at"
            raise ArchError(BadView(option="--device", reason=reason))
        check_room_to_run(checked, self.device, self.dtype, {}, batch, training=False)

    def parts(self, images: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield prepared images in batches, where the network is."""
        for part in torch.split(images, self.batch):
            yield part.to(self.device, self.dtype)

    @torch.no_grad()
    def tensors(self, images: torch.Tensor, wanted: Collection[str]) -> dict[str, torch.Tensor]:
        """Return the tensors of some nodes for all images: [images, channels, height, width]."""
        found: dict[str, list[torch.Tensor]] = {name: [] for name in wanted}
        for part in self.parts(images):
            for name, tensor in self.steps.run({self.sights.image: part}, wanted).items():
                found[name].append(tensor.cpu())
        whole = {name: torch.cat(tensors) for name, tensors in found.items()}
        for name, tensor in whole.items():
            self.require_numbers(name, tensor)
        return whole

    def require_numbers(self, name: str, tensor: torch.Tensor) -> None:
        """Raise ArchError where a node gives NaN or infinity, of which nothing can be shown."""
        if tensor.isfinite().all():
            return
        held = self.module.state_dict()
        wrong = [each for each, one in held.items() if not one.isfinite().all()]
        why = f"`{wrong[0]}` of its weights holds some" if wrong else "its weights hold none"
        reason = f"gives NaN or infinity at `{name}`, of which nothing can be shown; {why}"
        raise ArchError(NotForImages(network=self.checked.name, reason=reason))

    @property
    def scores(self) -> str:
        """Name of the node that gives the scores of the classes, before they become shares."""
        return self._end[0]

    @cached_property
    def _end(self) -> tuple[str, bool, bool]:
        """The node that gives scores; whether shares come of them, and whether their logarithms.

        Whether the network ends with such a layer (softmax, sigmoid) is asked of the layer itself:
        of any numbers it makes some between 0 and 1, or logarithms of some that add up to 1.
        """
        name = self.sights.output
        nodes = self.checked.nodes
        while nodes[name].facts.view and len(nodes[name].inputs) == 1:
            (name,) = nodes[name].inputs
        node = nodes[name]
        if len(node.inputs) != 1 or nodes[node.inputs[0]].shape != node.shape:
            return self.sights.output, False, False
        (read,) = node.inputs
        sizes = [size for size in node.shape if isinstance(size, int)]
        drawn = torch.randn(8, *sizes, generator=torch.Generator().manual_seed(0)) * FAR
        with torch.no_grad():
            given = drawn.to(self.device, self.dtype)
            result = self.steps.run({read: given}, [name])[name]
        inside = bool(((result >= 0) & (result <= 1)).all())
        logarithms = bool(((result.exp().sum(1) - 1).abs() < 1e-3).all())
        if inside or logarithms:
            return read, inside, logarithms
        return self.sights.output, False, False

    def shares(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the share of each class, [images, classes], of what `scores` gives.

        Where it has places, that is the mean of the shares of all places.
        """
        output = self.sights.output
        name, inside, logarithms = self._end
        if inside or logarithms:
            with torch.no_grad():
                shares = self.steps.run({name: scores.to(self.device)}, [output])[output]
            shares = shares.exp() if logarithms else shares
        elif scores.shape[1] == 1:
            shares = scores.sigmoid()
        else:
            shares = scores.softmax(1)
        return over_places(shares)

    def answers(self, images: torch.Tensor) -> torch.Tensor:
        """Return the share of each class for each image: [images, classes]."""
        return self.shares(self.tensors(images, [self.scores])[self.scores]).cpu()

    def gradient(
        self, images: torch.Tensor, name: str, classes: Sequence[int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a node's tensor for some images, and the gradient of the score of their classes.

        Raises:
            RuntimeError: the scores don't depend on the node.
        """
        held: list[torch.Tensor] = []
        slopes: list[torch.Tensor] = []
        start = 0
        for part in self.parts(images):
            given = {self.sights.image: part}
            with torch.no_grad():
                tensor = self.steps.run(given, [name])[name]
            tensor = tensor.detach().requires_grad_()
            with torch.enable_grad():
                scores = over_places(
                    self.steps.run(given | {name: tensor}, [self.scores])[self.scores]
                )
                of = torch.tensor(classes[start : start + len(part)], device=scores.device)
                total = scores.gather(1, of[:, None]).sum()
                (slope,) = torch.autograd.grad(total, tensor)
            held.append(tensor.detach().cpu())
            slopes.append(slope.cpu())
            start += len(part)
        return torch.cat(held), torch.cat(slopes)


def over_places(tensor: torch.Tensor) -> torch.Tensor:
    """Return the mean over the places of maps, where there are any: [images, channels]."""
    return tensor.flatten(2).mean(2) if tensor.dim() > 2 else tensor


@contextmanager
def seeded() -> Iterator[None]:
    """Draw the same random numbers each time, and leave torch's own generators as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
