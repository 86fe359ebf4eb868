"""Names that logs give to their columns and events, as data: what a column of such a name probably holds.

A name is compared in small letters and digits alone: userId, user_id and UserID are `userid`.
"""

import re
from collections.abc import Mapping


def _listed(words: str) -> tuple[str, ...]:
    return tuple(words.split())


# Kind of column -> its names, the surest first
NAMES: Mapping[str, tuple[str, ...]] = {
    "user": _listed(
        "user userid uid useridx userindex userno userpseudoid username visitor visitorid "
        "fullvisitorid customer customerid customeruniqueid reviewer reviewerid member memberid "
        "buyer buyerid client clientid account accountid reader readerid listener player playerid "
        "person personid subscriberid profileid cookie cookieid deviceid anonymousid"
    ),
    "item": _listed(
        "item itemid iid itemidx itemindex itemno product productid prodid parentasin asin sku "
        "skuid article articleid video videoid photoid movie movieid film filmid track trackid "
        "song songid music musicid book bookid isbn news newsid game gameid app appid podcastid "
        "post postid note noteid content contentid document documentid docid business businessid "
        "venue venueid poi poiid listing listingid offerid goods goodsid spu spuid ad adid aid "
        "stockcode recipeid courseid joke jokeid animeid mangaid gametitle title artist artistid"
    ),
    "time": _listed(
        "timestamp time ts timems timestampms eventtime eventtimestamp datetime unixreviewtime "
        "unixtime epoch msts createdat createdtime occurredat visittime servertime clienttime "
        "requesttime localtime at when date eventdate tdat orderdate purchasedate invoicedate "
        "reviewtime day tstamp timestep ratedat playedat listenedat clickedat viewedat paidat "
        "orderedat"
    ),
    "type": _listed(
        "event eventtype eventname type behavior behaviour behaviortype behaviourtype action "
        "actiontype activity activitytype interaction interactiontype verb op feedback "
        "feedbacktype reaction kind"
    ),
    "session": _listed(
        "session sessionid sid sessionno sessionkey usersession visit visitid basketid tripid "
        "playlistid"
    ),
    "rating": _listed(
        "rating ratings stars star score overall grade reviewscore vote bookrating userrating "
        "starrating reviewrating ratingvalue userscore"
    ),
    "amount": _listed(
        "watchtime watchtimes watchs watchms watchseconds watchduration watchingtimes playtime "
        "playtimems playingtime playduration playcount plays listencount listens dwelltime dwell "
        "readtime readingtime hours hoursplayed minutes seconds viewtime staytime timespent "
        "playtimeforever msplayed"
    ),
}

# Behaviors that are weak signals, of which one is no target, for most rows have it
WEAK = _listed(
    "view views viewed pv pageview detailview productview itemview click clicks clicked clk read "
    "reads open opened browse watch watched play played plays listen listens listened stream "
    "streamed visit detail"
)
STRONG = _listed(
    "cart carts addtocart addcart atc addtobasket basket fav favorite favourite favorites like "
    "liked likes share shared shares forward forwarded follow followed buy buys bought purchase "
    "purchases purchased order orders ordered checkout transaction transactions pay paid payment "
    "sale sales comment commented collect collected save saved bookmark bookmarked wishlist wish "
    "addtowishlist subscribe subscribed download downloaded install installed rate rated rating "
    "ratings review reviews reviewed recommend upvote upvoted star starred apply applied book "
    "booked reserve reserved rent rented loan borrow borrowed gift gifted reply replied retweet "
    "quote repost pin love finish finished complete completed interested join joined conversion"
)
SHOWN = "is only shown"
# Why an event of such a name is no behavior -> such names
NO_SIGNALS: Mapping[str, tuple[str, ...]] = {
    SHOWN: _listed(
        "impression impressions imp show shown exposure exposed expose display displayed render "
        "rendered"
    ),
    "takes something back or is against an item": _listed(
        "dislike disliked hate hated unlike unliked unfollow unfavorite unfav removefromcart "
        "removecart cartremove uncart remove removed refund refunded return returned cancel "
        "cancelled canceled skip skipped report reported block blocked downvote downvoted hide "
        "hidden notinterested delete deleted"
    ),
    "is about no item": _listed(
        "login logout logoff logon signin signout signup register registered search searched "
        "error heartbeat ping sessionstart sessionend startsession appopen appstart home homepage "
        "filter sort navigate scroll"
    ),
}
# Names of users under whom nobody is one person
NOBODY = _listed("0 anonymous anon guest unknown undefined nan visitor nobody none")
VERBS = ("is", "has", "was", "did")  # in front of the name of a flag
# Ends that tell that a column of several words has ids
ID_ENDS = _listed("id key no code hash index idx number uuid guid")


def plain(name: str) -> str:
    """Return a name in small letters and digits alone."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def words_of(name: str) -> list[str]:
    """Return the words of a name: userId and user_id are `user` and `id`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]


def rank(name: str, kind: str) -> int | None:
    """Return how sure a column of this name is of a kind: 0 is the surest; None if the name does not say so."""
    known = NAMES[kind]
    if plain(name) in known:
        return known.index(plain(name))
    words = words_of(name)
    if kind in ("user", "item", "session") and len(words) > 1 and words[-1] in ID_ENDS:
        for word in words[:-1]:
            if word in known:
                return len(known) + known.index(word)
    return None


def signal_of(word: str) -> str | None:
    """Return whether a word is a behavior: "weak", "strong", or None; is_like and has_liked are words for `like`."""
    for form in (plain(word), _without_verb(word)):
        if form in WEAK:
            return "weak"
        if form in STRONG:
            return "strong"
    return None


def why_none(word: str) -> str | None:
    """Return why an event of this name is no behavior, if the name tells."""
    for reason, names in NO_SIGNALS.items():
        if plain(word) in names or _without_verb(word) in names:
            return reason
    return None


def _without_verb(word: str) -> str:
    words = words_of(word)
    return "".join(words[1:] if words and words[0] in VERBS else words)


def behavior_name(word: str) -> str:
    """Return a name for the behavior of a column or an event, `like` of is_like; "" if no letter stands in front."""
    verb = re.match(rf"({'|'.join(VERBS)})(?=[_ A-Z])", word)
    name = re.sub(r"\W+", "_", word[verb.end() :] if verb else word).strip("_")
    return name if name[:1].isalpha() else ""
