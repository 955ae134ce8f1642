"""How far a catalogue reaches: the files and servers to which its links, pages and items may lead."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from agrifm.errors import SceneError
from agrifm.redaction import shown
from agrifm.scene.connections import ForbiddenAddressError, Network, network_of, require_allowed
from agrifm.scene.remote import is_remote


@dataclass(frozen=True)
class Reach:
    """What a catalogue may lead to."""

    folders: tuple[Path, ...] | None = ()
    """Folders of this machine; None for all."""
    network: Network = "public"
    """Where the servers may be that `hosts` does not name."""
    hosts: tuple[str, ...] = ()
    """Names of servers, with a port or without, that may be anywhere."""

    @classmethod
    def of(cls, source: str, also: Sequence[str] = (), directory: Path = Path()) -> "Reach":
        """The reach of a catalogue on disk is its folder and public servers; of one on a server, servers like it.

        Args:
            source: path or URL that the user gave.
            also: folders and hosts that the user adds, as `[imagery] reach` has them.
            directory: where relative folders begin.
        """
        folders = [directory / entry for entry in also if "/" in entry or (directory / entry).is_dir()]
        hosts = tuple(entry.lower() for entry in also)
        if is_remote(source):
            return cls(tuple(folders), network_of(source), hosts)
        return cls((local_path(source).parent, *folders), "public", hosts)

    def network_for(self, href: str) -> Network:
        """Where the server of a URL may be; one of S3 is in the provider's record, so it may be anywhere."""
        parts = urlsplit(href)
        named = {(parts.hostname or "").lower(), parts.netloc.rpartition("@")[2].lower()} & set(self.hosts)
        return "any" if named or parts.scheme == "s3" else self.network

    def require(self, href: str) -> None:
        """Refuse an address that is out of reach.

        Raises:
            SceneError: it is a file outside the folders, or a server in a private network.
        """
        try:
            if is_remote(href):
                require_allowed(href, self.network_for(href))
                return
            path = local_path(href).resolve()
            if self.folders is None or any(path.is_relative_to(folder.resolve()) for folder in self.folders):
                return
        except ForbiddenAddressError:
            what = "a server in a private network"
        except (ValueError, OSError, RuntimeError) as error:  # a loop of symbolic links is a RuntimeError
            raise SceneError(f"reading a catalogue: {shown(href)} is not a valid address; repair it") from error
        else:
            what = "a file outside the catalogue's folder" if self.folders else "a file of this machine"
        raise SceneError(
            f"reading a catalogue: it leads to {shown(href)}, {what}; if you trust it, add the folder or the host to "
            "`reach` in [imagery]",
            href=shown(href),
        )


ANYWHERE = Reach(None, "any")
"""The reach of what the user names."""


def local_path(href: str) -> Path:
    """The path of a file:// URL or of a reference in an item, in which %20 may stand for a blank."""
    if href.startswith("file:"):
        return Path(unquote(urlsplit(href).path))
    literal, decoded = Path(href), Path(unquote(href))
    # A name that really has a % is meant as it is written.
    return decoded if decoded != literal and not literal.exists() and decoded.exists() else literal
