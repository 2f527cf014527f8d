"""File formats of quantized checkpoints: our versioned master, and the public ones we read and write."""
