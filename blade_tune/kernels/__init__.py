"""Hand-written operations: each module has the fast form that models call and, above it, the plain form it replaces."""
