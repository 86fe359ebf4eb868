"""Filtering, sampling, splitting and numbering of a log's interactions: steps 4 to 7 of EIDP's recipe (appendix A.3).

The floors of steps 4 and 5 count all rows, before they are split, and so test rows too.

All work is done by SQL in the scratch database, so that a log may be larger than memory.
"""

from dataclasses import dataclass

import duckdb

from blade_tune.data.raw.settings import Recipe

PARTS = ("train", "valid", "between", "test")
SEALED = ("between", "test")
# Number of the part of rows after the last target interaction, which are left out
AFTER = len(PARTS)


@dataclass(frozen=True)
class Cut:
    """Filter and split of the interactions in a database's table `met` by a recipe.

    Args:
        database: has the table `met` (user_id, item_id, mask, position), which `apply` consumes.
        targets: mask of all target behaviors; bit k is behavior k.
        recipe: which items and users stay.
    """

    database: duckdb.DuckDBPyConnection
    targets: int
    recipe: Recipe

    def apply(self) -> dict[str, int]:
        """Make the tables `parts` (user_id, item_id, mask, position, part), `users` and `items` (number, id).

        Returns:
            The number of interactions that were left out, by reason.
        """
        # Users are sampled after both filters: in the published files, items have fewer target interactions than the
        # filter's minimum, so those files hold a sample of what the filters left.
        left_out = {"rare_item": 0, "rare_user": 0}
        # Without rare items some users become rare, and the other way round: once each, or until nothing changes.
        while True:
            rare_items = self._drop_rare("item_id", self.recipe.min_item_targets)
            rare_users = self._drop_rare("user_id", self.recipe.min_user_targets)
            left_out["rare_item"] += rare_items
            left_out["rare_user"] += rare_users
            is_stable = rare_items + rare_users == 0
            if is_stable or not self.recipe.until_stable:
                break
        left_out["not_sampled"] = self._sample()
        self._split()
        left_out["after_test"] = self._delete("parts", f"part = {AFTER}")
        # Only ids of train rows have a number, so later rows of other users and items have to go.
        self._number("users", "user_id")
        self._number("items", "item_id")
        for column in ("user", "item"):
            is_unseen = f"{column}_id NOT IN (SELECT id FROM {column}s)"
            for part, name in enumerate(PARTS):
                if name != "train":
                    count = self._delete("parts", f"part = {part} AND {is_unseen}")
                    left_out[f"{name}_unseen_{column}"] = count
        return left_out

    def _drop_rare(self, column: str, least: int) -> int:
        """Delete interactions of items or users with fewer than `least` target interactions; 0 keeps all."""
        if not least:
            return 0
        targets = f"SELECT {column} FROM met WHERE mask & {self.targets} > 0"
        common = f"{targets} GROUP BY {column} HAVING count(*) >= {least}"
        return self._delete("met", f"{column} NOT IN ({common})")

    def _sample(self) -> int:
        """Keep a random sample of users, drawn by a hash of seed and id so that the number of threads is irrelevant."""
        if self.recipe.sample_users is None:
            return 0
        drawn = (
            f"SELECT user_id FROM (SELECT DISTINCT user_id FROM met) ORDER BY md5('{self.recipe.seed} ' || user_id), "
            f"user_id LIMIT {self.recipe.sample_users}"
        )
        return self._delete("met", f"user_id NOT IN ({drawn})")

    def _split(self) -> None:
        """Number the part of each interaction by the rules of `blade_tune.data.split.split_by_time`.

        All rows of a user with fewer than two target interactions are train.
        """
        newest = f"SELECT user_id, max(position, 2) AS newest FROM met WHERE mask & {self.targets} > 0 GROUP BY user_id"
        self.database.execute(
            "CREATE TABLE parts AS SELECT met.*, CASE "
            "WHEN newest IS NULL OR len(newest) < 2 OR position < newest[2] THEN 0 WHEN position = newest[2] THEN 1 "
            f"WHEN position < newest[1] THEN 2 WHEN position = newest[1] THEN 3 ELSE {AFTER} END AS part "
            f"FROM met LEFT JOIN ({newest}) USING (user_id)"
        )
        self.database.execute("DROP TABLE met")

    def _number(self, table: str, column: str) -> None:
        """Number the distinct ids of train rows from 1, in the order of the ids."""
        self.database.execute(
            f"CREATE TABLE {table} AS SELECT row_number() OVER (ORDER BY {column}) AS number, {column} AS id "
            f"FROM (SELECT DISTINCT {column} FROM parts WHERE part = 0)"
        )

    def _delete(self, table: str, condition: str) -> int:
        ((count,),) = self.database.execute(f"DELETE FROM {table} WHERE {condition}").fetchall()
        return int(count)
