"""Pictures of networks: SVG, PNG, PDF, DOT and others, folded so that they can be read."""

from __future__ import annotations

from archdsl.backends.diagram.diagram import Diagram, draw
from archdsl.backends.marks import is_drawn

__all__ = ["Diagram", "draw", "is_drawn"]
