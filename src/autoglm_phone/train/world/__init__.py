"""The world: a deterministic, seeded source of conversations to train and judge the mini model."""
