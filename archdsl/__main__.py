"""Runs the command line: `archdsl`, or `python -m archdsl`."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command that the process was started with, and exit with its status."""
    # A command makes no garbage to speak of, and looking for it costs a tenth of its time.
    gc.disable()
    from archdsl.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
