"""Runs the command line: `archdsl`, or `python -m archdsl`."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    """Run the command that the process was started with, and exit with its status."""
    # A command makes no garbage to speak of, and looking for it costs a tenth of its time.
    gc.disable()
    _fill_standard_descriptors()
    from archdsl.cli import run

    status = run(sys.argv[1:])
    gc.freeze()  # nor is there a use in going through all that is left, as Python does at its end
    sys.exit(status)


def _fill_standard_descriptors() -> None:
    """Open what was closed, else the next file would be what libraries print to."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free


if __name__ == "__main__":
    main()
