"""Look-alikes of logs of ratings: MovieLens's and Amazon's."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from tests.data.raw.owners_files import Written, json_lines, lines, met, put, zipped
from tests.data.raw.slow_twin import Row


def liked(stars: float, everyone: str) -> frozenset[str]:
    return frozenset({everyone, "like"} if stars >= 4 else {everyone})


def stars(*, halves: bool, days: bool) -> Iterator[tuple[str, str, float, int]]:
    """User, item, stars and seconds of ratings, each user's of an item once."""
    for user, item, moment, draw in met(900, once=True):
        given = draw.randrange(4, 11) / 2 if halves else float(draw.randrange(1, 6))
        yield str(user), str(item), given, moment // 86_400 * 86_400 if days else moment


def ratings(
    everyone: str, *, halves: bool = False, days: bool = False
) -> tuple[list[tuple[str, str, float, int]], list[Row]]:
    given = list(stars(halves=halves, days=days))
    return given, [(user, item, time, liked(star, everyone)) for user, item, star, time in given]


def movielens_100k(folder: Path) -> Written:
    given, read = ratings("rate")
    text = lines([(u, i, int(s), t) for u, i, s, t in given], "\t")
    files = {"ml-100k/u.data": text, "ml-100k/u1.base": text, "ml-100k/README": "SUMMARY\n"}
    return zipped(folder / "ml-100k.zip", files), read


def movielens_1m(folder: Path) -> Written:
    given, read = ratings("rate")
    text = lines([(u, i, int(s), t) for u, i, s, t in given], "::")
    files = {"ml-1m/ratings.dat": text, "ml-1m/movies.dat": "1::Toy Story (1995)::Animation\n"}
    return zipped(folder / "ml-1m.zip", files), read


def movielens_25m(folder: Path) -> Written:
    given, read = ratings("rate", halves=True)
    text = lines(given, header="userId,movieId,rating,timestamp")
    files = {"ml-25m/ratings.csv": text, "ml-25m/tags.csv": "userId,movieId,tag,timestamp\n"}
    return zipped(folder / "ml-25m.zip", files), read


def amazon_json(name: str, *extra: str) -> Callable[[Path], Written]:
    """Reviews of 2014 and 2018, one category."""

    def write(folder: Path) -> Written:
        given, read = ratings("review", days=True)
        rows = [
            {
                "reviewerID": user,
                "asin": item,
                "reviewerName": 'J. "Jo" Doe',
                **{key: [0, 0] for key in extra},
                "reviewText": "Fine,\nall in all",
                "overall": star,
                "unixReviewTime": time,
                "reviewTime": f"{datetime.fromtimestamp(time, UTC):%m %d, %Y}",
            }
            for user, item, star, time in given
        ]
        return put(folder / name, json_lines(rows)), read

    return write


def amazon_csv(name: str, order: str, header: str = "") -> Callable[[Path], Written]:
    """Ratings alone; `order` names user, item, star, time by their first letters."""

    def write(folder: Path) -> Written:
        given, read = ratings("review", days=not header)
        rows = [[dict(zip("uist", row, strict=True))[k] for k in order] for row in given]
        return put(folder / name, lines(rows, header=header)), read

    return write


def amazon_2023(folder: Path) -> Written:
    given, read = ratings("review")
    rows = [
        {
            "rating": star,
            "title": "Five Stars",
            "text": "ok",
            "images": [{"small_image_url": "x"}],
            "asin": f"B{time}",
            "parent_asin": item,
            "user_id": user,
            "timestamp": time * 1000 + 7,
            "helpful_vote": 0,
            "verified_purchase": True,
        }
        for user, item, star, time in given
    ]
    return put(folder / "All_Beauty.jsonl.gz", json_lines(rows)), read
