"""Reference of search spaces: what each shipped space varies and fixes, under both recipes."""

from markup import code, escaped, link, table
from reference_settings import HEADS, rows_of

from blade_tune.models import MODELS
from blade_tune.parameter import Free
from blade_tune.report.spaces import all_space_rows, space_rows
from blade_tune.spec.catalog import find, is_shipped
from blade_tune.spec.definition import config_classes, is_fitted
from blade_tune.spec.recipes import RECIPES, RecipeName, complete
from blade_tune.spec.space_files import load_space


def spaces() -> str:
    """Return the keys of a free parameter, a table of all spaces, and a section a space."""
    rows = [row for row in all_space_rows() if is_shipped("search_spaces", row["space"])]
    overview = [
        (
            link(row["space"]),
            code(row["model"]) if row["model"] else "any neural one",
            str(row["free"] or ""),
            row["configurations"] or "",
            escaped(row["what"]),
        )
        for row in rows
    ]
    parts = [
        "## Keys of a free parameter\n",
        table(HEADS, rows_of(Free)),
        "## All spaces\n",
        "Free parameters and configurations are those under the recipe `shared`.\n",
        table(("space", "model", "free", "configurations", "what it is"), overview),
    ]
    for row in rows:
        parts += [f"### {row['space']}\n", f"{escaped(row['what'])}\n"]
        parts += [
            _of_model(row["space"], row["model"])
            if row["model"] in MODELS
            else _block(row["space"])
        ]
    return "\n".join(parts)


def _of_model(name: str, model: str) -> str:
    """Return what a space varies and fixes under each recipe; a setting that neither does has its default."""
    entries = {recipe: _entries(name, model, recipe) for recipe in RECIPES}
    names = dict.fromkeys(setting for each in entries.values() for setting in each)
    if all(each == entries[RECIPES[0]] for each in entries.values()):
        rows = [(code(setting), entries[RECIPES[0]][setting]) for setting in names]
        return table(("setting", "values"), rows)
    rows = [
        (code(setting), *(entries[recipe].get(setting, "default") for recipe in RECIPES))
        for setting in names
    ]
    return table(("setting", *RECIPES), rows)


def _entries(name: str, model: str, recipe: RecipeName) -> dict[str, str]:
    configs = config_classes(model)
    space = load_space(find("search_spaces", name), recipe)
    if not is_fitted(model):
        space = complete(space, recipe, configs)
    return {
        row["name"]: code(row["value"]) if row["kind"] == "free" else f"fixed: {code(row['value'])}"
        for row in space_rows(space, configs)
        if row["kind"] != "default"
    }


def _block(name: str) -> str:
    """Return what a block varies that other spaces include."""
    space = load_space(find("search_spaces", name))
    rows = [(code(setting), code(parameter)) for setting, parameter in space.free.items()]
    return table(("setting", "values"), rows)
