"""GLM-4.1V (`model_type: glm4v`): AutoGLM-Phone-9B and its kin, loaded from Hugging Face folders as they are.

configuration.py  config.json → frozen shapes          positions.py   3-D M-RoPE positions (no tensors)
processing.py     picture → patches, grid, tokens      vision.py      the vision tower
weights.py        tensor names, shards, shape checks   model.py       plain forward, no cache: the truth for parity
shape.py          the 9B shape and parameter table     reference.py   tiny random checkpoints for tests
"""
