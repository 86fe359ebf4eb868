"""Augmentations: a name and the function that makes a view of behavior sets."""

AUGMENTATIONS = {
    "add": "blade_tune.augment.behaviors:add",
    "mask": "blade_tune.augment.behaviors:mask",
    "flip": "blade_tune.augment.behaviors:flip",
}
