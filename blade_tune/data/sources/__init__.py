"""Sources of interactions, and the registry of their classes by name."""

SOURCES = {
    "split_files": "blade_tune.data.sources.split_files:SplitFiles",
    "synthetic": "blade_tune.data.sources.synthetic:Synthetic",
}
