"""The program: its commands, and what becomes of errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from errno import EBADF, ENOMEM
from importlib import import_module
from io import StringIO
from keyword import iskeyword

import click

from archdsl.cli.terminal import (
    INTERNAL,
    INTERRUPTED,
    OK,
    READER_GONE,
    WRONG_INPUT,
    WRONG_USAGE,
    complain,
    complain_of,
    is_colorful,
)
from archdsl.diagnostics import ArchError, printable
from archdsl.version import __version__

# Each command lives in the module of its name and is imported when it is asked for.
COMMANDS = (
    "check", "count", "fit", "draw", "compile", "see", "bench", "sweep", "import", "networks",
    "layers",
)  # fmt: skip
WITH_LIBRARIES = ("draw", "compile", "see", "bench", "import", "layers")

# How the system, and Python itself deep inside, say that memory ran out, in small letters.
NO_MEMORY_SAID = (
    "cannot allocate memory",
    "failed to map segment",
    "can't start new thread",
    "without exception set",
    "without setting an exception",
)


class Commands(click.Group):
    """Finds commands by name, and suggests the nearest for one that is unknown."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        if name in WITH_LIBRARIES:
            _silence_logging()
        home = f"{name}_" if iskeyword(name) else name
        command: click.Command = import_module(f"archdsl.cli.{home}").command
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(context, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            close = get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise click.UsageError(error.message + hint, context) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="archdsl")
def program() -> None:
    """Neural networks as text: exact counts, diagrams and PyTorch modules.

    SPEC is a path to an .arch file, a path with a network (specs/resnet.arch:resnet50), or the
    name of a network that comes with the package (inception_v3).
    """


def run(arguments: Sequence[str], program: click.Command = program) -> int:
    """Run a command and return the exit status; no exception leaves it but SystemExit.

    0: all is well. 1: a spec is wrong. 2: wrong usage, or a file that can't be written.
    70: a fault of archdsl itself. 130: interrupted. 141: whoever read the output went away.
    """
    try:
        _prepare_streams()
        status = _outcome(arguments, program)
        sys.stdout.flush()
        sys.stderr.flush()
        return status
    except BrokenPipeError:  # whoever reads has seen enough
        status = READER_GONE
    except OSError as error:  # of what is printed; files were reported below
        status = WRONG_USAGE
        with suppress(OSError):
            complain(_said_by_system(error))
    for stream in (sys.stdout, sys.stderr):  # the interpreter must not complain when it closes them
        if stream is not None:
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return status


def _prepare_streams() -> None:
    if sys.stderr is None:  # else complaints would go to standard output
        sys.stderr = StringIO()  # which nobody reads
    if sys.stdout is None:
        raise OSError(EBADF, "standard output is closed (> /dev/null throws it away)")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that has no letter for it gets an escape
            stream.reconfigure(errors="backslashreplace")


def _silence_logging() -> None:
    """Keep off standard error what libraries log where nobody has set up any logging.

    The standard library's hashlib does so, with a traceback for each algorithm that it can't load,
    where memory runs out while the libraries of drawing and compiling are imported; that is said
    below, in a line. To import logging itself takes others a fiftieth of their time.
    """
    import logging

    logging.getLogger().addHandler(logging.NullHandler())


def _outcome(arguments: Sequence[str], program: click.Command) -> int:
    """Run a command, say what went wrong, and return the exit status."""
    try:
        status = program.main(list(arguments), prog_name="archdsl", standalone_mode=False)
        return status if isinstance(status, int) else OK
    except ArchError as error:
        complain_of(error, is_colorful(sys.stderr))
        return WRONG_INPUT
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        shown = StringIO()
        error.show(shown)
        for line in shown.getvalue().splitlines():  # it may quote what was given
            print(printable(line), file=sys.stderr)
        return WRONG_USAGE
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except SystemExit as error:  # so click ends when nobody reads any more
        raise BrokenPipeError from error
    except MemoryError:
        pass  # what took it is let go first, or there would be none to say so
    except Exception as error:
        if _is_out_of_memory(error):
            complain("this takes more memory than there is")
            return WRONG_INPUT
        if isinstance(error, BrokenPipeError):
            raise
        if isinstance(error, OSError):
            complain(_said_by_system(error))
            return WRONG_USAGE
        complain(_internal(error))
        return INTERNAL
    complain("this takes more memory than there is")
    return WRONG_INPUT


ROOM = 16 * 2**20  # bytes: with less than that nothing goes as it should


def _is_out_of_memory(error: Exception) -> bool:
    """Tell whether memory ran out, which the system says in its own ways where it loads a file."""
    if isinstance(error, OSError):
        return error.errno == ENOMEM
    text = str(error).lower()
    loading = isinstance(error, (ImportError, RuntimeError, SystemError))
    if loading and any(said in text for said in NO_MEMORY_SAID):
        return True
    try:  # Python itself fails in many ways then, where it compiles or loads a module
        bytearray(ROOM)
    except MemoryError:
        return True
    return False


def _said_by_system(error: OSError) -> str:
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{(error.strerror or str(error)).lower()}"


def _internal(error: Exception) -> str:
    """Describe a fault of archdsl itself in one line that helps to find it."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    code = step.tb_frame.f_code if step else None
    place = f" in {os.path.basename(code.co_filename)}:{step.tb_lineno}" if code and step else ""
    text = " ".join(str(error).split())[:200]
    return f"internal error, please report it: {type(error).__name__}{place}: {text}"


Options = Callable[[Callable[..., object]], Callable[..., object]]
Texts = Mapping[str, str]
