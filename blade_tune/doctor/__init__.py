"""What is wrong with a machine, a database or a study, and what can be mended."""
