#!/usr/bin/env bash
# The first thing to run where there is a GPU: its tests of optimised networks, then the figures.
# Takes less than six minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}

timeout 90 "$python" -m pytest -q -m gpu tests/backends/test_optimizing.py || echo "tests: not all passed"
timeout 260 "$python" tests/benchmarks/on_gpu.py --seconds 230
