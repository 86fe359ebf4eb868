"""One training of a study: objective, files, figures, signals."""
