"""A study: what is searched on which data, how many trials, and where they are kept."""
