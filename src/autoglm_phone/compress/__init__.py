"""Makes checkpoints small: recipes, calibration, quantization, file formats and the report on what it cost."""
