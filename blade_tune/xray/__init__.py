"""X-ray of a data set: whether order, sets, repeats and the like matter in it, told by counts before any training."""
