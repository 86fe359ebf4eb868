"""The registry of models: a name, and where the class of that name is; listing names imports none of them."""

MODELS = {
    "blade": "blade_tune.models.blade.model:Blade",
    "blade_released": "blade_tune.models.blade.released:BladeReleased",
    "sasrec": "blade_tune.models.sasrec:SasRec",
    "cl4srec": "blade_tune.models.cl4srec:Cl4SRec",
    "dymus": "blade_tune.models.dymus.model:Dymus",
    "dymus_plus": "blade_tune.models.dymus.plus:DymusPlus",
    "mbht": "blade_tune.models.mbht.model:Mbht",
    "mb_str": "blade_tune.models.mb_str.model:MbStr",
    "eidp": "blade_tune.models.eidp.model:Eidp",
    "popularity": "blade_tune.models.popularity:Popularity",
    "item_knn": "blade_tune.models.item_knn:ItemKnn",
    "sequential_rules": "blade_tune.models.sequential_rules:SequentialRules",
    "ease": "blade_tune.models.ease:Ease",
    "pure_svd": "blade_tune.models.pure_svd:PureSvd",
    "ials": "blade_tune.models.ials:Ials",
    "combination": "blade_tune.models.combination:Combination",
}
