"""Places in an object store (`s3://bucket/key`): read, write, list and remove, or one sentence on why not.

An `ObjectPath` has those methods of `pathlib.Path` that readers of results use, so they read from both. It has no
folders and no rename: an object appears whole when it is written, or not at all, and an address ends where an object
does. Endpoint, region and keys come from the environment, as all tools of S3 read it: AWS_ENDPOINT_URL, AWS_REGION,
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; AWS_SKIP_SIGNATURE=true reads public buckets without keys.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from agrifm.errors import StoreError, require_installed
from agrifm.files import AnyPath, as_path
from agrifm.redaction import redacted, remember

SCHEME = "s3:"
"""Beginning of the addresses that this module understands."""
_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_RIGHTS = "check that the keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY may do it"
_TRIES, _TRY_SECONDS, _CONNECT_SECONDS, _REQUEST_SECONDS = 4, 60, 10, 600
"""How often a request that fails is sent again, for how long, and how long it may take."""


@dataclass(frozen=True, order=True)
class ObjectPath:
    """An object, or a prefix of objects, in a bucket."""

    bucket: str
    key: str

    @classmethod
    def of(cls, address: str) -> "ObjectPath":
        """The place that an address names, such as `s3://bucket/season/cube.zarr`.

        Raises:
            StoreError: it is not such an address.
        """
        scheme, _, rest = address.partition("//")
        bucket, _, key = rest.partition("/")
        key = key.strip("/")
        if scheme != SCHEME or not bucket or not key or any(part in ("", ".", "..") for part in key.split("/")):
            raise StoreError(
                f"opening {address}: the address of a place in an object store is s3://BUCKET/PREFIX; correct it",
                address=address,
            )
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def __truediv__(self, name: str) -> "ObjectPath":
        return ObjectPath(self.bucket, f"{self.key}/{name}")

    def joinpath(self, *names: str) -> "ObjectPath":
        """The object of these names below this prefix."""
        return self / "/".join(names)

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def parent(self) -> "ObjectPath":
        """The prefix above."""
        return ObjectPath(self.bucket, self.key.rpartition("/")[0])

    def resolve(self) -> "ObjectPath":
        """The same place; there are no symbolic links."""
        return self

    def read_bytes(self) -> bytes:
        """The content of an object.

        Raises:
            FileNotFoundError: there is none.
            StoreError: the bucket does not exist, does not let it be read, or does not answer.
        """
        return self._get()[0]

    def _get(self) -> tuple[bytes, str]:
        with translate_store_errors(f"reading {self}", self):
            found = _bucket(self.bucket).get(self.key)
            return found.bytes().to_bytes(), str(found.meta["e_tag"])

    def read_with_tag(self) -> tuple[bytes, str] | None:
        """The content of an object, and the tag of this state of it for `replace_bytes`; None if there is none."""
        try:
            return self._get()
        except FileNotFoundError:
            return None

    def exists(self) -> bool:
        """Whether there is such an object; a prefix of objects is none."""
        try:
            with translate_store_errors(f"looking for {self}", self):
                _bucket(self.bucket).head(self.key)
        except FileNotFoundError:
            return False
        return True

    def upload(self, file: Path) -> None:
        """Write an object with the content of a file; readers find the old object until all of it has arrived."""
        with translate_store_errors(f"writing {self}", self):
            _bucket(self.bucket).put(self.key, file)

    def create_bytes(self, content: bytes) -> bool:
        """Write an object if there is none of this name (`If-None-Match: *`); False if there is one."""
        return self._put(content, "create")

    def replace_bytes(self, content: bytes, tag: str) -> bool:
        """Write an object in the place of the state that a tag stands for (`If-Match`); False if it has changed."""
        return self._put(content, {"e_tag": tag})

    def _put(self, content: bytes, mode: Any) -> bool:
        from obstore.exceptions import AlreadyExistsError, NotFoundError, PreconditionError

        with translate_store_errors(f"writing {self}", self):
            try:
                _bucket(self.bucket).put(self.key, content, mode=mode)
            except (AlreadyExistsError, PreconditionError):
                return False
            except NotFoundError:  # S3 answers so if an object that is to be replaced is gone
                if mode == "create" or self.exists():
                    raise
                return False
        return True

    def copy_to(self, target: "ObjectPath") -> None:
        """Copy an object within its bucket, without its bytes leaving the store."""
        with translate_store_errors(f"copying {self}", self):
            _bucket(self.bucket).copy(self.key, target.key)

    def files(self) -> dict[str, int]:
        """Sizes in bytes of all objects below this prefix, by name below it."""
        with translate_store_errors(f"listing {self}", self):
            found = [one for part in _bucket(self.bucket).list(f"{self.key}/") for one in part]
        return {str(one["path"]).removeprefix(f"{self.key}/"): int(one["size"]) for one in found}

    def remove(self, names: list[str]) -> None:
        """Remove objects below this prefix; those that are gone already do not matter."""
        if names:
            with translate_store_errors(f"removing objects of {self}", self):
                _bucket(self.bucket).delete([f"{self.key}/{name}" for name in names])

    def unlink(self) -> None:
        """Remove this object; if it is gone already, nothing happens."""
        self.parent.remove([self.name])

    def client(self) -> Any:
        """obstore's client for the objects below this prefix, as zarr's `ObjectStore` takes it."""
        return _client(self.bucket, self.key, _settings())


Place = Path | ObjectPath
"""Where a result that is read may be: on a disk, or in an object store."""


def as_place(path: AnyPath | ObjectPath) -> Place:
    """The place of a result that is read: a path, or an address that a user gives as text or as a path.

    Raises:
        TypeError, ConfigError, StoreError: it is neither.
    """
    if isinstance(path, ObjectPath):
        return path
    text = os.fspath(path)
    if isinstance(text, str) and text.startswith(SCHEME):
        return ObjectPath.of(f"s3://{text.removeprefix(SCHEME).lstrip('/')}")  # a `Path` has one slash
    return as_path(path)


@contextmanager
def translate_store_errors(doing: str, place: ObjectPath) -> Iterator[None]:
    """Say in one sentence why a store refuses a request; an object that is absent stays a FileNotFoundError.

    Raises:
        StoreError: with the fact `reason`: "rights", "keys", "bucket" or "answer".
    """
    require_installed(doing, "s3", "obstore", kind=StoreError)
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" not in str(error):
            raise FileNotFoundError(str(place)) from None
        raise StoreError(
            f"{doing}: there is no bucket '{place.bucket}'; create it, or correct the address",
            reason="bucket",
            bucket=place.bucket,
        ) from None
    except BaseError as error:
        found = redacted(str(error))
        facts = {"bucket": place.bucket, "address": str(place)}
        if "169.254." in found:  # where a machine of a cloud would give keys
            fix = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_SKIP_SIGNATURE=true for a public bucket)"
            raise StoreError(f"{doing}: there are no keys; {fix}", reason="keys", **facts) from None
        if any(sign in found for sign in ("403 Forbidden", "401 Unauthorized", "AccessDenied")):
            refusal = f"{doing}: the bucket '{place.bucket}' refuses it (no rights)"
            raise StoreError(f"{refusal}; {_RIGHTS}", reason="rights", **facts) from None
        first = found.splitlines()[0].partition(": <?xml")[0].strip()
        fix = "check AWS_ENDPOINT_URL, AWS_REGION and the network, and run it again"
        raise StoreError(f"{doing}: {first}; {fix}", reason="answer", **facts) from None


def _settings() -> tuple[tuple[str, str], ...]:
    """What the environment says of S3, of which clients are made."""
    for name in _SECRETS:
        if os.environ.get(name):
            remember(os.environ[name])
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))


def _bucket(name: str) -> Any:
    return _client(name, None, _settings())


@lru_cache(maxsize=64)
def _client(bucket: str, prefix: str | None, settings: tuple[tuple[str, str], ...]) -> Any:
    """A client of obstore, which reads the environment itself; `settings` tell clients of other environments apart."""
    from obstore.store import S3Store

    has_plain_endpoint = any(value.lower().startswith("http://") for name, value in settings if "ENDPOINT" in name)
    seconds: Any = {"timeout": f"{_REQUEST_SECONDS}s", "connect_timeout": f"{_CONNECT_SECONDS}s"}
    return S3Store(
        bucket,
        prefix=prefix,
        client_options={**seconds, **({"allow_http": True} if has_plain_endpoint else {})},
        retry_config={"max_retries": _TRIES, "retry_timeout": timedelta(seconds=_TRY_SECONDS)},
    )
