"""What a JPEG file asks of whoever decodes it, read without decoding.

Source: ITU-T T.81, "Digital compression and coding of continuous-tone still images", annex B.
"""

import re

_MARKER = re.compile(rb"\xff([\x02-\xcf\xd9-\xfe])")
"""A marker in front of a length, or the end. Within coded data, FF stands before 00 or a restart
marker (D0 to D7) alone."""
_END, _SCAN = b"\xd9", b"\xda"


def count_scans(content: bytes) -> int:
    """How many times the first image of a file goes over its pixels.

    One scan is usual, and about ten in a file that is shown coarsely first. Each costs a decoder
    as much as all pixels do, but takes only a few bytes.
    """
    place, scans = 2, 0
    while (marker := _MARKER.search(content, place)) and marker[1] != _END:
        scans += marker[1] == _SCAN
        place = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2])
    return scans
