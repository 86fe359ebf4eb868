"""The hyperparameters of all models, with their defaults and bounds; nothing here loads torch."""
