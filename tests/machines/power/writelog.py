"""What a disk holds after a power cut that takes the disk's own cache, too.

QEMU's blklogwrites keeps every request of the guest in order (the form of Linux' dm-log-writes). A disk with a volatile
cache promises only this: what was written before a completed FLUSH is on the medium, and a FUA write is when it
completes. Everything since the last FLUSH may be there or not, in any choice of its 4 KiB pieces. So for any point of
the log there is a family of disks that a power cut at that point may leave, and the store must come up from each.
"""

import struct

MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
PIECE = 4096


def count(path):
    """Requests logged so far. QEMU keeps the number up to date, so it may be asked while the guest runs."""
    with open(path, "rb") as log:
        head = log.read(28)
    if len(head) < 28:
        return 0
    magic, _version, entries, _sector = struct.unpack("<QQQI", head)
    return entries if magic == MAGIC else 0


class WriteLog:
    """The requests of a finished run: (byte offset on the disk, bytes, flags, offset of the data in the log)."""

    def __init__(self, path):
        self.path, self.entries = path, []
        with open(path, "rb") as log:
            magic, _version, entries, sector = struct.unpack("<QQQI", log.read(28))
            if magic != MAGIC:
                raise ValueError(f"{path} is no write log: it begins with {magic:#x}")
            at = sector  # the head and each request's own head take a sector
            for _ in range(entries):
                log.seek(at)
                header = log.read(32)
                if len(header) < 32:
                    raise ValueError(f"{path} ends after {len(self.entries)} of {entries} requests: the log was too small")
                first, sectors, flags, _length = struct.unpack("<QQQQ", header)
                at += sector
                self.entries.append((first * sector, sectors * sector, flags, at))
                if not flags & (DISCARD | MARK):
                    at += sectors * sector
        self.flushes = [i for i, entry in enumerate(self.entries) if entry[2] & FLUSH]

    def apply(self, image, point, since_flush, choice=None):
        """Writes the first `point` requests into `image`, an untouched copy of the disk as it was before the run.
        `since_flush`: what of the requests after the last FLUSH reached the medium: "all", "none" or "some", by `choice`."""
        safe = max((flush for flush in self.flushes if flush < point), default=0)
        with open(self.path, "rb") as log, open(image, "r+b") as out:
            for i, (offset, size, flags, at) in enumerate(self.entries[:point]):
                if flags & MARK:
                    continue
                volatile = i > safe and not flags & FUA
                if volatile and since_flush == "none":
                    continue
                log.seek(at)
                content = bytes(size) if flags & DISCARD else log.read(size)
                if volatile and since_flush == "some":
                    for piece in range(0, size, PIECE):
                        if choice.random() < 0.5:
                            out.seek(offset + piece)
                            out.write(content[piece:piece + PIECE])
                else:
                    out.seek(offset)
                    out.write(content)
