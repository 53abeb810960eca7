"""The stages in order, from a SPEC to a checked graph. The only file that knows them all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from archdsl.check import check
from archdsl.diagnostics import ArchError, Source
from archdsl.elaborate.errors import BadNetwork
from archdsl.elaborate.modules import FileSetting, Module, World
from archdsl.elaborate.network import default_network, elaborate, network_names
from archdsl.elaborate.structure import review
from archdsl.elaborate.values import Value
from archdsl.graph import CheckedGraph
from archdsl.layers.base import Layer
from archdsl.layers.registry import Registry
from archdsl.layers.sizes import Size
from archdsl.limits import Limits
from archdsl.sources import Reader, locate

Shapes = Mapping[str, tuple[Size | str, ...]]


class Spec:
    """A file that was read and reviewed, with all that it imports.

    Attributes:
        network: the network that it stands for; None if it defines none.
    """

    def __init__(
        self,
        spec: str,
        *,
        limits: Limits | None = None,
        search: Sequence[str] = (),
        layers: Mapping[str, type[Layer]] | None = None,
    ) -> None:
        """Read a SPEC: a path, `path:network`, or the name of a shipped network.

        Raises:
            ArchError: with everything that is wrong with its text.
        """
        path, network = locate(spec)
        self.limits = limits or Limits()
        self.layers = Registry(layers)
        self.reader = Reader(self.limits, search)
        self.module = self.reader.read(path)
        found = [
            diagnostic
            for module in self.reader.modules.values()
            for diagnostic in review(module, self.layers)
        ]
        if found:
            raise ArchError(found)
        self.asked = network
        stem = os.path.splitext(os.path.basename(path))[0]
        self.network = network or default_network(self.module, stem)

    @property
    def networks(self) -> list[str]:
        """Names of the networks that the file defines, in its order."""
        return network_names(self.module)

    def graph(
        self,
        network: str | None = None,
        parameters: Mapping[str, Value] | None = None,
        shapes: Shapes | None = None,
    ) -> CheckedGraph:
        """Return the checked graph of a network.

        Args:
            network: its name; the one that the file stands for if it is left out.
            parameters: values for its parameters.
            shapes: shapes of its inputs, instead of those in the spec; a string is a free size.

        Raises:
            ArchError: with everything that is wrong.
        """
        name = network or self.network
        if name is None:
            path = self.module.source.path
            hint = "networks begin with `network name { ... }`"
            raise ArchError([BadNetwork(span=None, reason=f"{path} defines no network", hint=hint)])
        world = World(self.layers, self.limits)
        digest = self.reader.digest.hexdigest()
        return check(elaborate(world, self.module, name, parameters or {}, shapes or {}, digest))
