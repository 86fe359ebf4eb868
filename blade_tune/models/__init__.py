"""Models: a name and the class that recommends."""

MODELS = {
    "blade": "blade_tune.models.blade:Blade",
    "blade_released": "blade_tune.models.blade_released:BladeReleased",
}
