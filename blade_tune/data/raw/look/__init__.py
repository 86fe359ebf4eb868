"""A first look at the files of a log: what their columns probably mean, and how that is told to `data prepare`."""
