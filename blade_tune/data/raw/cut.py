"""From interactions to a split: recipe steps 4 to 7 (EIDP, appendix A.3)."""

from dataclasses import dataclass

import duckdb

from blade_tune.data.raw.settings import Recipe

PARTS = ("train", "valid", "between", "test")
SEALED = ("between", "test")
AFTER = len(PARTS)  # the part of rows after the last target interaction


@dataclass(frozen=True)
class Cut:
    """Applies a recipe to the table `met` of a database.

    Args:
        database: with `met`: user_id, item_id, mask, position.
        targets: the mask of all target behaviors.
    """

    database: duckdb.DuckDBPyConnection
    targets: int
    recipe: Recipe

    def apply(self) -> dict[str, int]:
        """Make the tables `parts` (user, item, mask, position, part), `users` and `items` (number, id).

        Gives the interactions that were left out, by reason. Users are drawn last, for in the published files items
        have fewer target interactions than the floor.
        """
        left_out = {"rare_item": 0, "rare_user": 0}
        lost = 1
        while lost:
            rare_items = self._drop_rare("item_id", self.recipe.min_item_targets)
            rare_users = self._drop_rare("user_id", self.recipe.min_user_targets)
            left_out["rare_item"] += rare_items
            left_out["rare_user"] += rare_users
            lost = rare_items + rare_users if self.recipe.until_stable else 0
        left_out["not_sampled"] = self._sample()
        self._split()
        left_out["after_test"] = self._delete("parts", f"part = {AFTER}")
        self._number("users", "user_id")
        self._number("items", "item_id")
        for column in ("user", "item"):
            for part, name in list(enumerate(PARTS))[1:]:
                unseen = f"{column}_id NOT IN (SELECT id FROM {column}s)"
                left_out[f"{name}_unseen_{column}"] = self._delete("parts", f"part = {part} AND {unseen}")
        return left_out

    def _drop_rare(self, column: str, least: int) -> int:
        """Leave out what has fewer target interactions; of the users whom a floor of 0 keeps, none has to have any."""
        if not least:
            return 0
        common = (
            f"SELECT {column} FROM met WHERE mask & {self.targets} > 0 GROUP BY {column} HAVING count(*) >= {least}"
        )
        return self._delete("met", f"{column} NOT IN ({common})")

    def _sample(self) -> int:
        """Draw users by a hash of the seed and the id, the same with any number of threads."""
        if self.recipe.sample_users is None:
            return 0
        drawn = (
            f"SELECT user_id FROM (SELECT DISTINCT user_id FROM met) ORDER BY md5('{self.recipe.seed} ' || user_id), "
            f"user_id LIMIT {self.recipe.sample_users}"
        )
        return self._delete("met", f"user_id NOT IN ({drawn})")

    def _split(self) -> None:
        """As `split_by_time` of a table in memory; a user with one target interaction or none has train rows only."""
        newest = f"SELECT user_id, max(position, 2) AS newest FROM met WHERE mask & {self.targets} > 0 GROUP BY user_id"
        self.database.execute(
            "CREATE TABLE parts AS SELECT met.*, CASE "
            "WHEN newest IS NULL OR len(newest) < 2 OR position < newest[2] THEN 0 WHEN position = newest[2] THEN 1 "
            f"WHEN position < newest[1] THEN 2 WHEN position = newest[1] THEN 3 ELSE {AFTER} END AS part "
            f"FROM met LEFT JOIN ({newest}) USING (user_id)"
        )
        self.database.execute("DROP TABLE met")

    def _number(self, table: str, column: str) -> None:
        """Number the ids of train rows from 1, in their order."""
        self.database.execute(
            f"CREATE TABLE {table} AS SELECT row_number() OVER (ORDER BY {column}) AS number, {column} AS id "
            f"FROM (SELECT DISTINCT {column} FROM parts WHERE part = 0)"
        )

    def _delete(self, table: str, condition: str) -> int:
        ((count,),) = self.database.execute(f"DELETE FROM {table} WHERE {condition}").fetchall()
        return int(count)
