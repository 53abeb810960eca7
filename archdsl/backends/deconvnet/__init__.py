"""Writes what leads from an activation of a network back to the pixels that it comes from."""
