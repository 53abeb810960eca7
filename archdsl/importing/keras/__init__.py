"""Brings Keras models in: the layers of a config become a module of torch, written as any other.

A file is data from a stranger. It is read with limits (`reading.py`), Keras isn't imported, and
nothing of it is run: the config says which layers there are, and nothing more is believed.
"""
