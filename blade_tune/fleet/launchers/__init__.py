"""Launchers, which run workers as jobs of a cluster: an interface, and one module for each supported cluster.

A launcher submits jobs, and says which of them have ended and how. On its machine, each job is a run of its own with a
supervisor and workers; the jobs meet in the study's database.
"""

# Name on the command line -> "module:class", imported only when chosen, since each needs an optional dependency.
LAUNCHERS = {
    "ray": "blade_tune.fleet.launchers.ray_actors:Ray",
    "slurm": "blade_tune.fleet.launchers.slurm:Slurm",
}
