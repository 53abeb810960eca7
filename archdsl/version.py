"""The version of the package, apart from it so that what it offers may name it."""

__version__ = "0.1.0"
