"""What matters in a data set, by counts alone: told before anybody trains."""
