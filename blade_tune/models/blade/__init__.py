"""BLADE, as its paper describes it and as its authors released it."""
