"""Automatic choice of a model: families of models searched in a given time, confirmed, compared and exported."""
