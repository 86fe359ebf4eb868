"""One trial of a study: the objective that trains it, the files it writes, its timings, and its event callback."""
