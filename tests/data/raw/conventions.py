"""Small logs in the forms in which public logs are given away, made here; none of their rows is anybody's."""

import csv
import io
import json
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

SIZE = 400
START = 1_400_000_000


class LookAlike(NamedTuple):
    """A log, and what a first look must find in it."""

    name: str  # of the file
    content: bytes
    log: dict[str, Any]  # what the mapping file says, without its source
    words: tuple[str, ...] = ()  # that the notes have


def table(rows: Sequence[Sequence[Any]], separator: str = ",", header: str = "") -> bytes:
    text = io.StringIO(newline="")
    if header:
        text.write(header + "\n")
    if len(separator) > 1:
        text.writelines(separator.join(map(str, row)) + "\n" for row in rows)
    else:
        csv.writer(text, delimiter=separator, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def objects(rows: Sequence[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def made(row: Callable[[random.Random, int], Any]) -> list[Any]:
    """Rows in order of time, each from the draw and the second at which it is."""
    draw = random.Random(3)  # noqa: S311
    return [row(draw, START + 1_000 * step) for step in range(SIZE)]


def seconds(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def some(draw: random.Random, chance: float) -> int:
    return int(draw.random() < chance)


RATED = {
    "behaviors": {"rate": "*", "like": "rating"},
    "thresholds": {"rating": 4.0},
    "auxiliary": "rate",
}
BARE_RATED = {
    "user": "user",
    "item": "item",
    "time": "time",
    **RATED,
    "header": ["user", "item", "rating", "time"],
}
LOOK_ALIKES: dict[str, LookAlike] = {
    "MovieLens, ratings.csv": LookAlike(
        "ratings.csv",
        table(
            made(lambda d, t: (d.randint(1, 30), d.randint(1, 99), d.randint(1, 10) / 2, t)),
            header="userId,movieId,rating,timestamp",
        ),
        {"user": "userId", "item": "movieId", "time": "timestamp", **RATED},
        ("rating is 4 or more in",),
    ),
    "MovieLens 1M, ratings.dat": LookAlike(
        "ratings.dat",
        table(made(lambda d, t: (d.randint(1, 30), d.randint(1, 99), d.randint(1, 5), t)), "::"),
        BARE_RATED,
    ),
    "MovieLens 100K, u.data": LookAlike(
        "u.data",
        table(made(lambda d, t: (d.randint(1, 30), d.randint(1, 99), d.randint(1, 5), t)), "\t"),
        BARE_RATED,
    ),
    "Amazon reviews of 2014": LookAlike(
        "reviews.json",
        objects(
            made(
                lambda d, t: {
                    "reviewerID": f"A{d.randint(1, 30)}Q",
                    "asin": f"B00{d.randint(1, 99)}",
                    "reviewerName": d.choice(["Ann", "Bo", "Cy"]),
                    "helpful": [0, 0],
                    "reviewText": f"I read it {d.random()}",
                    "overall": float(d.randint(1, 5)),
                    "unixReviewTime": t,
                    "reviewTime": f"{seconds(t):%m %d, %Y}",
                }
            )
        ),
        {
            "user": "reviewerID",
            "item": "asin",
            "time": "unixReviewTime",
            "behaviors": {"rate": "*", "like": "overall"},
            "thresholds": {"overall": 4.0},
            "auxiliary": "rate",
        },
        ("helpful: objects, lists",),
    ),
    "Amazon reviews of 2018, ratings only": LookAlike(
        "ratings_Books.csv",
        table(
            made(
                lambda d, t: (
                    f"A{d.randint(1, 30)}Q",
                    f"{d.randint(1, 99):010}",
                    float(d.randint(1, 5)),
                    t,
                )
            )
        ),
        BARE_RATED,
    ),
    "Amazon reviews of 2023": LookAlike(
        "Books.csv",
        table(
            made(
                lambda d, t: (
                    f"A{d.randint(1, 30)}",
                    f"B{d.randint(1, 99)}",
                    float(d.randint(1, 5)),
                    t * 1000,
                )
            ),
            header="user_id,parent_asin,rating,timestamp",
        ),
        {"user": "user_id", "item": "parent_asin", "time": "timestamp", **RATED},
    ),
    "RetailRocket, events.csv": LookAlike(
        "events.csv",
        table(
            made(
                lambda d, t: (
                    t * 1000,
                    d.randint(1, 30),
                    e := d.choice(["view"] * 8 + ["addtocart", "transaction"]),
                    d.randint(1, 99),
                    d.randint(1, 50) if e == "transaction" else "",
                )
            ),
            header="timestamp,visitorid,event,itemid,transactionid",
        ),
        {
            "user": "visitorid",
            "item": "itemid",
            "time": "timestamp",
            "type": "event",
            "behaviors": {n: n for n in ("view", "addtocart", "transaction")},
            "auxiliary": "view",
        },
        ("so there are no sets of more than one behavior",),
    ),
    "Yoochoose, clicks": LookAlike(
        "yoochoose-clicks.dat",
        table(
            made(
                lambda d, t: (
                    d.randint(1, 30),
                    f"{seconds(t):%Y-%m-%dT%H:%M:%S}.512Z",
                    d.randint(1, 99),
                    d.choice(["0", "S"]),
                )
            )
        ),
        {
            "user": "user",
            "item": "item",
            "time": "time",
            "behaviors": {"click": "*"},
            "header": ["user", "time", "item", "column_4"],
        },
    ),
    "Taobao, UserBehavior.csv": LookAlike(
        "UserBehavior.csv",
        table(
            made(
                lambda d, t: (
                    d.randint(1, 30),
                    i := d.randint(1, 99),
                    i % 7,
                    d.choice(["pv"] * 9 + ["fav", "cart", "buy"]),
                    1_511_544_070 + t - START,
                )
            )
        ),
        {
            "user": "user",
            "item": "item",
            "time": "time",
            "type": "event",
            "behaviors": {n: n for n in ("pv", "fav", "cart", "buy")},
            "header": ["user", "item", "column_3", "event", "time"],
            "auxiliary": "pv",
        },
    ),
    "OTTO, one event a row": LookAlike(
        "otto.jsonl",
        objects(
            made(
                lambda d, t: {
                    "session": d.randint(1, 30),
                    "aid": d.randint(1, 99),
                    "ts": t * 1000,
                    "type": d.choice(["clicks"] * 8 + ["carts", "orders"]),
                }
            )
        ),
        {
            "user": "session",
            "item": "aid",
            "time": "ts",
            "type": "type",
            "behaviors": {n: n for n in ("clicks", "carts", "orders")},
            "auxiliary": "clicks",
        },
    ),
    "KuaiRand, log_standard.csv": LookAlike(
        "log_standard.csv",
        table(
            made(
                lambda d, t: (
                    d.randint(1, 30),
                    d.randint(1, 99),
                    f"{seconds(t):%Y%m%d}",
                    f"{seconds(t):%H%M}",
                    t * 1000,
                    *(some(d, share) for share in (0.5, 0.2, 0.1, 0.05, 0.03, 0.04)),
                    d.randint(0, 90_000),
                    d.randint(9_000, 90_000),
                    some(d, 0.1),
                )
            ),
            header="user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,"
            "play_time_ms,duration_ms,is_rand",
        ),
        {
            "user": "user_id",
            "item": "video_id",
            "time": "time_ms",
            "behaviors": {n: f"is_{n}" for n in ("click", "like", "follow", "comment", "forward")},
            "auxiliary": "click",
        },
        ("is_hate (takes something back or is against an item), is_rand",),
    ),
    "H&M, transactions_train.csv": LookAlike(
        "transactions_train.csv",
        table(
            made(
                lambda d, t: (
                    f"{seconds(t):%Y-%m-%d}",
                    f"{d.randint(1, 30):064x}",
                    f"{d.randint(1, 99):010}",
                    d.random(),
                    d.randint(1, 2),
                )
            ),
            header="t_dat,customer_id,article_id,price,sales_channel_id",
        ),
        {
            "user": "customer_id",
            "item": "article_id",
            "time": "t_dat",
            "behaviors": {"transaction": "*"},
        },
    ),
    "Diginetica, train-item-views.csv": LookAlike(
        "train-item-views.csv",
        table(
            made(
                lambda d, t: (
                    d.randint(1, 60),
                    "NA" if d.random() < 0.8 else d.randint(1, 9),
                    d.randint(1, 99),
                    d.randint(0, 900_000),
                    f"{seconds(t):%Y-%m-%d}",
                )
            ),
            separator=";",
            header="sessionId;userId;itemId;timeframe;eventdate",
        ),
        {
            "user": "sessionId",
            "item": "itemId",
            "time": "eventdate",
            "behaviors": {"view": "*"},
        },
        ("userId: missing in",),
    ),
    "Last.fm 1K": LookAlike(
        "userid-timestamp-artid-artname-traid-traname.tsv",
        table(
            made(
                lambda d, t: (
                    f"user_{d.randint(1, 30):06}",
                    f"{seconds(t):%Y-%m-%dT%H:%M:%SZ}",
                    f"f1b1cf71-{(i := d.randint(1, 99)) // 4}",
                    f"Artist {i // 4}",
                    "" if i % 5 == 0 else f"a0d2-{i}",
                    f"Song {i}",
                )
            ),
            separator="\t",
        ),
        {
            "user": "user",
            "item": "item",
            "time": "time",
            "behaviors": {"interact": "*"},
            "header": ["user", "time", "column_3", "column_4", "item", "column_6"],
        },
        ("--item could also be column_6",),
    ),
    "Last.fm 360K": LookAlike(
        "usersha1-artmbid-artname-plays.tsv",
        table(
            made(
                lambda d, _: (
                    f"{d.randint(1, 30):040x}",
                    f"3bd73256-{(a := d.randint(1, 99))}",
                    f"Artist {a}",
                    d.randint(1, 4000),
                )
            ),
            separator="\t",
        ),
        {
            "user": "user",
            "item": "item",
            "behaviors": {"play": "*"},
            "header": ["user", "item", "column_3", "column_4"],
        },
        ("--item could also be column_3",),
    ),
    "Steam-200k": LookAlike(
        "steam-200k.csv",
        table(
            made(
                lambda d, _: (
                    151_603_712 + d.randint(1, 30),
                    f"The Game, Part {d.randint(1, 99)}",
                    e := d.choice(["purchase", "purchase", "play"]),
                    1.0 if e == "purchase" else d.randint(1, 999) / 10,
                    0,
                )
            )
        ),
        {
            "user": "user",
            "item": "item",
            "type": "event",
            "behaviors": {"purchase": "purchase", "play": "play"},
            "header": ["user", "item", "event", "column_4", "column_5"],
            "auxiliary": "play",
        },
        ("the rows of a user must stand in order of time", "purchase is more frequent"),
    ),
    "Tmall, user_log": LookAlike(
        "user_log_format1.csv",
        table(
            made(
                lambda d, t: (
                    d.randint(1, 30),
                    d.randint(1, 99),
                    d.randint(1, 9),
                    d.randint(1, 20),
                    d.randint(1, 40),
                    f"{seconds(t):%m%d}",
                    d.choice([0] * 8 + [1, 2, 3]),
                )
            ),
            header="user_id,item_id,cat_id,seller_id,brand_id,time_stamp,action_type",
        ),
        {
            "user": "user_id",
            "item": "item_id",
            "type": "action_type",
            "behaviors": {f"action_type_{n}": n for n in "0213"},
            "auxiliary": "action_type_0",
        },
        ("time_stamp: named like a time", "action_type: taken for what happened by its name alone"),
    ),
}
