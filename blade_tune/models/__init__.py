"""Models: a name and the class that recommends."""

MODELS = {
    "blade": "blade_tune.models.blade:Blade",
    "blade_released": "blade_tune.models.blade_released:BladeReleased",
    "sasrec": "blade_tune.models.sasrec:SasRec",
    "cl4srec": "blade_tune.models.cl4srec:Cl4SRec",
    "dymus": "blade_tune.models.dymus:Dymus",
    "dymus_plus": "blade_tune.models.dymus_plus:DymusPlus",
    "mbht": "blade_tune.models.mbht:Mbht",
    "mb_str": "blade_tune.models.mb_str:MbStr",
    "eidp": "blade_tune.models.eidp:Eidp",
}
