"""Quantization of one weight matrix given its inputs' statistics: pure functions on tensors, no model, no files.

Notation: W [R, C] float32; H [C, C] = weighted mean of x xᵀ over the inputs; a weight error E costs tr(E H Eᵀ), which
is the mean squared error of the linear's output.
"""
