"""The command line: each command parses its options and calls the pipeline."""

from archdsl.cli.main import run

__all__ = ["run"]
