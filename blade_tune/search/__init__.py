"""What is tried next: samplers, pruners, replicates."""
