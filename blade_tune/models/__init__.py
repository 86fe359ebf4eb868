"""The registry of models: for each name where its class is, and where its settings are; names import neither.

Settings are modules of their own since they load no torch: a study file is checked in a fraction of a second.
"""

from typing import TYPE_CHECKING

from blade_tune.registry import load

if TYPE_CHECKING:
    from blade_tune.models.settings.base import ModelConfig

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

SETTINGS = {
    "blade": "blade_tune.models.settings.blade:BladeConfig",
    "blade_released": "blade_tune.models.settings.blade:BladeReleasedConfig",
    "sasrec": "blade_tune.models.settings.sasrec:SasRecConfig",
    "cl4srec": "blade_tune.models.settings.sasrec:Cl4SRecConfig",
    "dymus": "blade_tune.models.settings.dymus:DymusConfig",
    "dymus_plus": "blade_tune.models.settings.dymus:DymusConfig",
    "mbht": "blade_tune.models.settings.mbht:MbhtConfig",
    "mb_str": "blade_tune.models.settings.mb_str:MbStrConfig",
    "eidp": "blade_tune.models.settings.eidp:EidpConfig",
    "popularity": "blade_tune.models.settings.classical:PopularityConfig",
    "item_knn": "blade_tune.models.settings.classical:ItemKnnConfig",
    "sequential_rules": "blade_tune.models.settings.classical:SequentialRulesConfig",
    "ease": "blade_tune.models.settings.classical:EaseConfig",
    "pure_svd": "blade_tune.models.settings.classical:PureSvdConfig",
    "ials": "blade_tune.models.settings.classical:IalsConfig",
    "combination": "blade_tune.models.settings.combination:CombinationConfig",
}


def config_class(name: str) -> "type[ModelConfig]":
    """Import the class of a model's settings.

    Raises:
        ConfigError: no model has this name.
    """
    return load(SETTINGS, "model", name)
