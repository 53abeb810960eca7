"""Brings modules of PyTorch in: one forward pass is recorded, and written as a spec.

What is written goes through the language as anybody's text does, so nothing here knows how a
network is compiled. Naming a module runs the code that makes it, which is the user's own.
"""
