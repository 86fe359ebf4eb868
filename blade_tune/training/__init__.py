"""Training and evaluation: training loop, fitting, early stopping, checkpoints, full ranking, untuned baselines."""
