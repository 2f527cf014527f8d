"""Categories that are text alone: each module exports `BUILDERS` (see `train.world.registry`)."""
