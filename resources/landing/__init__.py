"""Landing: where sources drop objects, a folder or S3. Lists, reads, and for `shopware land` also writes them.

What an object means, and whether it was ingested, is not decided here. Keys are taken as they are, whatever a source
calls its files: one odd name must never hide the others (see docs/adr/0003-landing.md).
"""

from resources.landing.folder import FolderLanding
from resources.landing.objects import Fetched, Gone, Landed, Landing, Unreachable
from resources.landing.s3 import S3Landing
from resources.settings import Misconfigured

__all__ = [
    "Fetched",
    "FolderLanding",
    "Gone",
    "Landed",
    "Landing",
    "S3Landing",
    "Unreachable",
    "open_landing",
]


def open_landing(url: str, encryption: str = "", kms_key: str = "") -> Landing:
    """Landing in a folder or at s3://bucket/prefix.

    Raises:
        Misconfigured: The address is of neither kind.
    """
    if url.startswith("s3://"):
        return S3Landing(url, encryption, kms_key)
    if "://" in url:
        raise Misconfigured(f"SHOPWARE_LANDING is {url!r}, which is neither a folder nor s3://bucket/prefix.")
    return FolderLanding(url)
