"""Brings ONNX files in: their nodes become a module of torch, which is written as any other.

A file is data from a stranger. It is read with limits (`reading.py`), and nothing is run of it but
by onnxruntime, to compare (`proof.py`), once the text that was made of it has been proven.
"""
