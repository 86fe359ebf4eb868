"""Clusters that place workers: one file each, which submits jobs and knows which of them have ended."""

LAUNCHERS = {  # name -> "module:class"
    "ray": "blade_tune.fleet.launchers.ray_actors:Ray",
    "slurm": "blade_tune.fleet.launchers.slurm:Slurm",
}
