"""Known public logs: the format, license and download of each data set as its owner publishes it."""

from collections.abc import Mapping
from dataclasses import dataclass

from blade_tune.data.raw.settings import LogFormat
from blade_tune.data.reference_statistics import KUAISAR_LICENSE, TENREC_LICENSE

TENREC_PAGE = "https://tenrec0.github.io/"


@dataclass(frozen=True)
class Download:
    """A file to download from the server of the data's owner."""

    url: str
    md5: str  # in hexadecimal digits
    megabytes: float  # roughly, as the owner says

    @property
    def file_name(self) -> str:
        """Name of the file, the last part of its URL."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class KnownLog:
    """A log as its owner publishes it."""

    file: str  # name of the file in its archive
    form: LogFormat
    auxiliary: str  # the behavior that is no target
    license: str
    page: str  # URL of the owner's page
    # Version -> download; empty if the owner gives the data only to those who sign for it
    downloads: Mapping[str, Download]


def _kuaisar(file_name: str, md5: str, megabytes: float) -> Download:
    return Download(f"https://zenodo.org/records/8181109/files/{file_name}", md5, megabytes)


def _tenrec(file: str, behaviors: tuple[str, ...]) -> KnownLog:
    """Return a log of Tenrec: its rows are in time order, and its columns are called like the behaviors."""
    form = LogFormat(
        user="user_id", item="item_id", behaviors=behaviors, columns=behaviors, integer_ids=True
    )
    return KnownLog(file, form, behaviors[0], TENREC_LICENSE, TENREC_PAGE, {})


KNOWN_LOGS: Mapping[str, KnownLog] = {
    "kuaisar": KnownLog(
        file="rec_inter.csv",
        form=LogFormat(
            user="user_id",
            item="item_id",
            time="timestamp",
            behaviors=("click", "like", "share", "follow"),
            columns=("click", "like", "forward", "follow"),
            integer_ids=True,
            # A timestamp is that of the batch of items that the server returned, not of one interaction
            merges=False,
        ),
        auxiliary="click",
        license=KUAISAR_LICENSE,
        page="https://kuaisar.github.io/",
        downloads={
            "v2": _kuaisar("KuaiSAR_v2.zip", "ed630f47fb013c5b31bb020c483ef262", 845.1),
            "small": _kuaisar("KuaiSAR.zip", "daea8cbf605db6bd5841740f0e4a12d9", 488.1),
        },
    ),
    "qk-video": _tenrec("QK-video.csv", ("click", "like", "share", "follow")),
    "qk-article": _tenrec("QK-article.csv", ("read", "like", "share", "favorite", "follow")),
}
