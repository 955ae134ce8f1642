"""Limits on what a server, a catalogue or a file may ask of this machine; tests set them lower."""

MAX_TRIES = 5
"""Number of tries before a request counts as failed."""
WRONG_TRIES = 3
"""Number of tries if the answer comes, but is not what was asked for: another range, another file, not JSON."""
FIRST_WAIT, MAX_WAIT = 0.5, 60.0
"""Seconds between two tries: doubled each time, or as the server's Retry-After asks, up to the maximum."""
TIMEOUT = 30.0
"""Seconds to wait for a connection, and for the next bytes of an answer."""
MAX_SECONDS = 900.0
"""Seconds that one answer may take, and after which a request is not tried again."""
MIN_RATE = 1000.0
"""Bytes per second that an answer must reach."""
RATE_SECONDS = 20.0
"""Seconds after the first byte of an answer from which its rate counts."""
MAX_CONNECTIONS = 16
"""Connections to one host that are kept open."""
MAX_REDIRECTS = 5
"""Redirects that are followed for one request."""
MAX_DOCUMENT_BYTES = 256 * 1024**2
"""Bytes of a catalogue, of a page of a search or of a token, unpacked."""
MAX_FILE_BYTES = 1024**3
"""Bytes of one answer of a server that sends whole files although a range was asked for."""
MAX_PAGES = 10_000
"""Pages of a search."""
MAX_ITEMS = 1_000_000
"""Items of a catalogue."""
