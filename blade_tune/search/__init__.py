"""The search: samplers that propose configurations, pruners that end weak trials, repeats of configurations."""
