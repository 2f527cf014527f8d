"""Kernels behind one interface: base.py is the interface, torch_backend.py the truth, contexts.py its dense copies."""
