"""One loop that trains any model, and one evaluation that ranks with any model."""
