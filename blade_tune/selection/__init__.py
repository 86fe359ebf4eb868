"""From trials to a choice that can be trusted: runs on fresh seeds, statistics, comparisons."""
