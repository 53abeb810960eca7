"""Variants of a network: counts it for many values of its parameters."""
