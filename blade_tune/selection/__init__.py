"""Model selection after a search: confirmation on fresh seeds, comparisons of models, ablations, tests, statistics."""
