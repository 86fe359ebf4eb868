"""Small logs in the exact form in which their owners publish them, and what their rows mean.

None is downloaded: names of files, archives, separators, headers, compression and columns that nobody reads are made
here as the owners have them.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tests.data.raw import rating_lookalikes as ratings
from tests.data.raw.owners_files import (
    START,
    Written,
    json_lines,
    lines,
    met,
    put,
    tar_gz,
    zipped,
)
from tests.data.raw.slow_twin import Row


class LookAlike(NamedTuple):
    """A log as its owner has it."""

    # Writes it into a folder; returns what --source names, and the rows in the order of the files
    write: Callable[[Path], Written]
    options: tuple[str, ...] = ()  # of `data prepare`


def flags_log(
    columns: str, behaviors: Sequence[str], time: str | None = None
) -> tuple[str, list[Row]]:
    """A file with a column a behavior, and its rows; the names of columns are in the order of the file."""
    rows, read = [], []
    for step, (user, item, moment, draw) in enumerate(met(1_500)):
        values = {b: draw.choice(["0", "0", "1", "\\N", "True"]) for b in behaviors}
        shown = {**values, "user_id": user, "item_id": item, time: moment * 1000}
        shown = {"forward" if k == "share" and time else k: v for k, v in shown.items()}
        rows.append([shown.get(name, "\\N") for name in columns.split(",")])
        done = frozenset(b for b, value in values.items() if value in ("1", "True"))
        read.append((user, item, moment if time else step, done))
    return lines(rows, header=columns), read


def kuaisar(folder: Path) -> Written:
    columns = (
        "user_id,item_id,duration_ms,playing_time,timestamp,forward,like,follow,"
        "search_item_related,search,click,time"
    )
    text, read = flags_log(columns, ("click", "like", "share", "follow"), "timestamp")
    files = {"KuaiSAR_v2/rec_inter.csv": text, "KuaiSAR_v2/src_inter.csv": "user_id,item_id\n"}
    return zipped(folder / "KuaiSAR_v2.zip", files), read


def qk_video(folder: Path) -> Written:
    columns = "user_id,item_id,click,follow,like,share,video_category,watching_times,gender,age"
    text, read = flags_log(columns, ("click", "like", "share", "follow"))
    return put(folder / "QK-video.csv", text), read


def qk_article(folder: Path) -> Written:
    columns = (
        "user_id,item_id,click,gender,age,exposure_count,click_count,like_count,comment_count,"
        "read_percentage,item_score1,item_score2,category_second,category_first,item_score3,read,"
        "read_time,share,like,follow,favorite"
    )
    text, read = flags_log(columns, ("read", "like", "share", "favorite", "follow"))
    return put(folder / "QK-article.csv", text), read


def events(
    kinds: dict[str, str], *, num: int = 1_500
) -> tuple[list[tuple[str, str, int, str]], list[Row]]:
    """User, item, seconds and the owner's word for a behavior of events, and what they mean; rare ones last."""
    words = list(kinds)
    weights = [2.0 / (1 + place) for place in range(len(words))]
    shown, read = [], []
    for user, item, moment, draw in met(num):
        (word,) = draw.choices(words, weights)
        shown.append((str(user), str(item), moment, word))
        read.append((str(user), str(item), moment, frozenset({kinds[word]})))
    return shown, read


def retailrocket(folder: Path) -> Written:
    shown, read = events({"view": "view", "addtocart": "cart", "transaction": "buy"})
    rows = [(t * 1000 + 1, u, w, i, "7" if w == "transaction" else "") for u, i, t, w in shown]
    files = {
        "events.csv": lines(rows, header="timestamp,visitorid,event,itemid,transactionid"),
        "item_properties_part1.csv": "timestamp,itemid,property,value\n",
        "category_tree.csv": "categoryid,parentid\n",
    }
    return zipped(folder / "archive.zip", files), read


def iso(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%S}"


def yoochoose(folder: Path) -> Written:
    shown, read = events({"click": "click", "buy": "buy"})
    clicks = [(u, f"{iso(t)}.277Z", i, "S") for u, i, t, w in shown if w == "click"]
    buys = [(u, f"{iso(t)}.277Z", i, 12462, 1) for u, i, t, w in shown if w == "buy"]
    put(folder / "yoochoose-data" / "yoochoose-clicks.dat", lines(clicks))
    put(folder / "yoochoose-data" / "yoochoose-buys.dat", lines(buys))
    put(folder / "yoochoose-data" / "yoochoose-test.dat", lines(clicks))
    put(folder / "yoochoose-data" / "dataset-README.txt", "SUMMARY\n")
    return folder / "yoochoose-data", in_turn(read, "click", "buy")


def in_turn(read: list[Row], *behaviors: str) -> list[Row]:
    """The rows file after file, of which each has one behavior."""
    return [row for behavior in behaviors for row in read if behavior in row[3]]


def taobao(folder: Path) -> Written:
    shown, read = events({"pv": "view", "fav": "favorite", "cart": "cart", "buy": "buy"})
    text = lines([(u, i, 2520377, w, t) for u, i, t, w in shown])
    return zipped(folder / "UserBehavior.csv.zip", {"UserBehavior.csv": text}), read


def tmall(folder: Path) -> Written:
    shown, read = events({"0": "click", "2": "buy", "3": "favorite", "1": "cart"}, num=2_500)
    days = [f"{datetime.fromtimestamp(t, UTC):%m%d}" for _, _, t, _ in shown]
    rows = [(u, i, 833, 2882, 2660.0, d, w) for (u, i, _, w), d in zip(shown, days, strict=True)]
    header = "user_id,item_id,cat_id,seller_id,brand_id,time_stamp,action_type"
    files = {
        "data_format1/user_log_format1.csv": lines(rows, header=header),
        "data_format1/user_info_format1.csv": "user_id,age_range,gender\n",
    }
    source = zipped(folder / "data_format1.zip", files)
    return source, [(u, i, int(d), b) for (u, i, _, b), d in zip(read, days, strict=True)]


def otto_text() -> tuple[str, list[Row]]:
    shown, read = events({"clicks": "click", "carts": "cart", "orders": "order"})
    sessions: dict[str, list[dict[str, Any]]] = {}
    of_session: dict[str, list[Row]] = {}
    for (user, item, time, word), row in zip(shown, read, strict=True):
        event = {"aid": int(item), "ts": time * 1000 + 25, "type": word}
        sessions.setdefault(user, []).append(event)
        of_session.setdefault(user, []).append(row)
    rows = [{"session": int(user), "events": events} for user, events in sessions.items()]
    return json_lines(rows), [row for rows in of_session.values() for row in rows]


def otto_train(folder: Path) -> Written:
    text, read = otto_text()
    return put(folder / "otto-recsys-train.jsonl", text), read


def otto_test(folder: Path) -> Written:
    text, read = otto_text()
    files = {"otto-recsys-test.jsonl": text, "otto-recsys-train.jsonl": "{}\n"}
    return zipped(folder / "archive.zip", files), read


KUAIRAND = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,"
    "play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab"
)


def kuairand(version: str, parts: int) -> tuple[dict[str, str], list[Row]]:
    """The files of a version, its standard logs in `parts` parts each, and the rows of those."""
    behaviors = ("click", "like", "follow", "comment", "share")
    rows, read = [], []
    for user, item, moment, draw in met(3_000):
        flags = [int(draw.random() < 0.5 / (1 + k)) for k in range(5)]
        is_hate = int(draw.random() < 0.1)
        day = f"{datetime.fromtimestamp(moment, UTC):%Y%m%d}"
        rows.append((user, item, day, 1900, moment * 1000, *flags, is_hate, 0, 9, 9, 0, 0, 0, 0, 1))
        done = frozenset(b for b, flag in zip(behaviors, flags, strict=True) if flag)
        read.append((str(user), str(item), moment, done))
    names = [
        f"log_standard_{days}_{version}{f'_part{part + 1}' if parts > 1 else ''}.csv"
        for days in ("4_08_to_4_21", "4_22_to_5_08")
        for part in range(parts)
    ]
    size = -(-len(rows) // len(names))
    files = {f"log_random_4_22_to_5_08_{version}.csv": lines(rows[:9], header=KUAIRAND)}
    for number, name in enumerate(names):
        files[name] = lines(rows[number * size : (number + 1) * size], header=KUAIRAND)
    return files, read


def kuairand_packed(version: str, folder_name: str, parts: int) -> Callable[[Path], Written]:
    def write(folder: Path) -> Written:
        files, read = kuairand(version, parts)
        named = {f"{folder_name}/data/{name}": text for name, text in files.items()}
        named[f"{folder_name}/load_data_{version}.py"] = "import pandas\n"
        return tar_gz(folder / f"{folder_name}.tar.gz", named), read

    return write


def kuairand_1k(folder: Path) -> Written:
    files, read = kuairand("1k", 1)
    (folder / "KuaiRand-1K").mkdir()
    for name, text in files.items():
        put(folder / "KuaiRand-1K" / "data" / name, text)
    return folder / "KuaiRand-1K", read


def hm(folder: Path) -> Written:
    rows, read = [], []
    for user, item, moment, _ in met(1_500):
        ids = f"{user:064x}", f"0{item}713001"
        day = f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"
        rows.append((day, *ids, 0.050830508474576264, 2))
        read.append((*ids, day, frozenset({"buy"})))
    text = lines(rows, header="t_dat,customer_id,article_id,price,sales_channel_id")
    source = folder / "transactions_train.csv.zip"
    return zipped(source, {"transactions_train.csv": text}), read


def diginetica(folder: Path) -> Written:
    shown, read = events({"view": "view", "buy": "buy"})
    times = [t - START for _, _, t, _ in shown]  # since the session began
    rows = [(u, i, t, w) for (u, i, _, w), t in zip(shown, times, strict=True)]
    views = [(u, "NA", i, t, "2016-05-09") for u, i, t, w in rows if w == "view"]
    buys = [(u, "NA", t, "2016-05-09", 17, i) for u, i, t, w in rows if w == "buy"]
    header = "sessionId;userId;{};eventdate{}"
    files = {
        "train-item-views.csv": lines(views, ";", header.format("itemId;timeframe", "")),
        "train-purchases.csv": lines(buys, ";", header.format("timeframe", ";ordernumber;itemId")),
        "train-clicks.csv": "queryId;timeframe;itemId\n",
        "products.csv": "itemId;pricelog2;product.name.tokens\n",
    }
    return zipped(folder / "dataset-train-diginetica.zip", files), in_turn(read, "view", "buy")


def lastfm(folder: Path) -> Written:
    rows, read = [], []
    for user, item, moment, draw in met(1_500):
        name, artist = f"user_{user:06d}", f"f1b1cf71-{item}" if draw.random() < 0.9 else ""
        track = draw.choice(['"Heroes"', "Don't \"Stop", '7" Mix', "Ænima, Pt. 1", '"'])
        rows.append((name, f"{iso(moment)}Z", artist, '"Weird Al" Yankovic', "", track))
        read.append((name, artist or None, moment, frozenset({"listen"})))
    # The newest listen of a user comes first
    text = lines(rows[::-1], "\t")
    name = "lastfm-dataset-1K/userid-timestamp-artid-artname-traid-traname.tsv"
    files = {name: text, "lastfm-dataset-1K/userid-profile.tsv": "#id\tgender\tage\n"}
    return tar_gz(folder / "lastfm-dataset-1K.tar.gz", files), read[::-1]


def steam(folder: Path) -> Written:
    """No times: a user's rows of one game are one set, at the place of the first."""
    rows, read = [], []
    for place, (user, item, _, draw) in enumerate(met(3_000, once=True)):
        game = f'"Warhammer {item}, ""Dawn"" of War"'
        rows.append((user, game, "purchase", "1.0", 0))
        read.append((str(user), f'Warhammer {item}, "Dawn" of War', place, frozenset({"buy"})))
        if draw.random() < 0.7:
            rows.append((user, game, "play", f"{draw.randrange(1, 900) / 10}", 0))
            read.append((*read[-1][:3], frozenset({"play"})))
    return put(folder / "steam-200k.csv", lines(rows)), read


LOOKALIKES: dict[tuple[str, str], LookAlike] = {
    ("kuaisar", ""): LookAlike(kuaisar),
    ("qk-video", ""): LookAlike(qk_video),
    ("qk-article", ""): LookAlike(qk_article),
    ("movielens", "100k"): LookAlike(ratings.movielens_100k),
    ("movielens", "1m-10m"): LookAlike(ratings.movielens_1m),
    ("movielens", "20m-latest"): LookAlike(ratings.movielens_25m),
    ("amazon-reviews", "2014"): LookAlike(
        ratings.amazon_json("reviews_Books_5.json.gz", "helpful")
    ),
    ("amazon-reviews", "2014-ratings"): LookAlike(ratings.amazon_csv("ratings_Books.csv", "uist")),
    ("amazon-reviews", "2018"): LookAlike(ratings.amazon_json("Books_5.json.gz", "image", "style")),
    ("amazon-reviews", "2018-ratings"): LookAlike(
        ratings.amazon_csv("Books.csv", "iust"), ("--version", "2018-ratings")
    ),
    ("amazon-reviews", "2023"): LookAlike(ratings.amazon_2023),
    ("amazon-reviews", "2023-ratings"): LookAlike(
        ratings.amazon_csv("All_Beauty.csv.gz", "uist", "user_id,parent_asin,rating,timestamp"),
        ("--version", "2023-ratings"),
    ),
    ("retailrocket", ""): LookAlike(retailrocket),
    ("yoochoose", ""): LookAlike(yoochoose),
    ("taobao", ""): LookAlike(taobao),
    ("tmall", ""): LookAlike(tmall),
    ("otto", "train"): LookAlike(otto_train),
    ("otto", "test"): LookAlike(otto_test, ("--version", "test")),
    ("kuairand", "pure"): LookAlike(kuairand_packed("pure", "KuaiRand-Pure", 1)),
    ("kuairand", "1k"): LookAlike(kuairand_1k),
    ("kuairand", "27k"): LookAlike(kuairand_packed("27k", "KuaiRand-27K", 2)),
    ("hm", ""): LookAlike(hm),
    ("diginetica", ""): LookAlike(diginetica),
    ("lastfm", ""): LookAlike(lastfm),
    ("steam", ""): LookAlike(steam),
}
