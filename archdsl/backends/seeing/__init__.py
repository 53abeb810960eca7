"""Shows what a network sees in images: its maps, and what a class depends on."""

from __future__ import annotations

from archdsl.backends.seeing.lens import seeded
from archdsl.backends.seeing.preparing import images_of, sizes_to_give
from archdsl.backends.seeing.seeing import Wishes, see
from archdsl.backends.seeing.seen import Seen, require_format

__all__ = ["Seen", "Wishes", "images_of", "require_format", "see", "seeded", "sizes_to_give"]
