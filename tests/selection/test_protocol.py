"""The line on how figures were made: the names and values of study files, and how often the test rows were opened."""

from blade_tune.data.ledger import Ledger
from blade_tune.selection.confirm import confirm
from blade_tune.selection.protocol import openings, protocol_line, study_protocol, told_of
from blade_tune.study.stored import StoredStudy
from tests.builders import make_catalog
from tests.selection.small import own_executor
from tests.tiny import run, stored


def test_a_search_states_what_it_is(search: StoredStudy):
    """Before a confirmation there is no fresh seed; a confirmation brings its own."""
    line = study_protocol(search)
    assert line == (
        "protocol: loss bce, recipe published, exclude window, target_set truth, budget 4 trials of max_epochs 2, "
        "no fresh seeds, test rows never opened"
    )
    confirm(search, 1, 2, own_executor())
    assert "2 fresh seeds" in study_protocol(search)
    assert "7 fresh seeds" in study_protocol(search, 7)


def test_values_that_differ_are_all_named(search: StoredStudy, tmp_path):
    """Several searches share one line; a loss of nothing is left out, and epochs of models without any."""
    run(
        tmp_path,
        model="item_knn",
        space={"model": {"max_length": 6, "neighbors": {"choice": [5, 10]}}},
        train={},
        objective__exclude="full",
        search__trials=2,
    )
    line = protocol_line([search, stored(tmp_path)], ["bce", ""], 5)
    assert line.startswith("protocol: loss bce, recipe published, exclude window or full, ")
    assert "budget 4 or 2 trials of max_epochs 2, 5 fresh seeds" in line
    assert protocol_line([stored(tmp_path)], [""], 1).startswith("protocol: loss none, ")


def test_openings_are_the_lines_of_the_ledgers(search: StoredStudy):
    """Of all searches together; a ledger that was edited gives no number."""
    assert openings([search]) == "never opened"
    entry = {"trial": 0, "of": "tiny", "seed": 1}
    search.ledger.append(entry)
    assert openings([search]) == "opened once"
    search.ledger.append(entry)
    assert openings([search, search]) == "opened 4 times"
    assert isinstance(search.ledger, Ledger)
    search.folder.ledger.write_text("edited\n")
    assert "unknown" in openings([search])


def test_the_words_say_what_is_told():
    """Only under `truth` does anything of the item reach the model."""
    catalog = make_catalog()
    assert told_of("truth", catalog).startswith("is told the behavior set of the item")
    names = ", ".join(catalog.behaviors[1:])
    assert told_of("constant", catalog) == (
        f"takes a target set, and is told the same for every item to predict, {{{names}}}: nothing of the item"
    )
