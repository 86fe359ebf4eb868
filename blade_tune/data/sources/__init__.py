"""Sources: a name and the class that reads interactions."""

SOURCES = {
    "split_files": "blade_tune.data.sources.split_files:SplitFiles",
    "synthetic": "blade_tune.data.sources.synthetic:Synthetic",
}
