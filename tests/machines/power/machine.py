"""A computer whose plug can be pulled: QEMU with a Debian kernel, one program and one disk.

There is no KVM, no boot loader, no root file system and no network: the kernel unpacks an initramfs that holds busybox,
the disk's drivers and the program under test, mounts the disk on /mnt and starts the program. Pulling the plug is
SIGKILL to QEMU: what the guest's kernel had not sent to the disk is gone. What the disk had not flushed is still there;
writelog.py takes that away too.
"""

import glob
import os
import random
import shutil
import stat
import subprocess
import threading
import time

PACKAGE = "linux-image-cloud-amd64"
# In the order in which they need each other. ext4 is built into Debian's cloud kernel.
DRIVERS = ["virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk", "crc32c-intel"]
IMAGE_BYTES = 96 << 20
BOOT_SECONDS = 120  # an emulated boot takes 5 s; a busy machine several times that

INIT = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t devtmpfs dev /dev; $b mount -t tmpfs tmp /tmp
for m in /drivers/*; do $b insmod $m; done
n=0; while [ ! -b /dev/vda ] && [ $n -lt 200 ]; do $b usleep 50000; n=$((n + 1)); done
$b mount -t ext4 /dev/vda /mnt || { echo "RIG cannot mount the disk"; $b poweroff -f; }
echo "RIG starts"
/bin/program COMMAND
echo "RIG ended $?"
$b umount /mnt; $b poweroff -f
"""


class RigError(Exception):
    """The rig does not work, so nothing is known about the store."""


def sh(*command, **options):
    """Runs a command of the host; its failure is the rig's."""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0:
        raise RigError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


class Kernel:
    """Debian's cloud kernel and busybox, unpacked into `folder` and not installed."""

    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        if not glob.glob(f"{folder}/boot/vmlinuz-*"):
            depends = sh("apt-cache", "depends", PACKAGE)
            images = [line.split()[-1] for line in depends.splitlines() if "Depends: linux-image-" in line]
            if not images:
                raise RigError(f"no package {PACKAGE}: run apt-get update first")
            sh("apt-get", "-qq", "download", images[0], "busybox-static", cwd=folder)
            for package in glob.glob(f"{folder}/*.deb"):
                sh("dpkg", "-x", package, folder)
        self.image = glob.glob(f"{folder}/boot/vmlinuz-*")[0]
        self.busybox = f"{folder}/bin/busybox"
        self.drivers = []
        for name in DRIVERS:
            found = glob.glob(f"{folder}/lib/modules/**/{name}.ko", recursive=True)
            self.drivers += found[:1]  # what is not there is built in


class Initramfs:
    """A cpio archive in the kernel's newc form, built in memory."""

    def __init__(self, kernel, program, arguments):
        self.archive, self.inode = bytearray(), 0
        for folder in ["bin", "dev", "drivers", "mnt", "proc", "sys", "tmp"]:
            self.add(folder, stat.S_IFDIR | 0o755)
        self.add_file("bin/busybox", kernel.busybox)
        self.add_file("bin/program", program)
        for position, driver in enumerate(kernel.drivers):
            self.add_file(f"drivers/{position:02}-{os.path.basename(driver)}", driver)
        # A dynamic program brings its loader and libraries.
        libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        folders = set()
        for word in libraries.split():
            if not word.startswith("/"):
                continue
            parts = word[1:].split("/")[:-1]
            for depth in range(1, len(parts) + 1):
                if "/".join(parts[:depth]) not in folders:
                    folders.add("/".join(parts[:depth]))
                    self.add("/".join(parts[:depth]), stat.S_IFDIR | 0o755)
            self.add_file(word[1:], word)
        command = " ".join("'" + argument.replace("'", "'\\''") + "'" for argument in arguments)
        self.add("init", stat.S_IFREG | 0o755, INIT.replace("COMMAND", command).encode())
        self.add("TRAILER!!!", 0)

    def add_file(self, name, source):
        with open(source, "rb") as file:
            self.add(name, stat.S_IFREG | 0o755, file.read())

    def add(self, name, mode, content=b""):
        self.inode += 1
        encoded = name.encode() + b"\0"
        fields = [self.inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0]
        self.archive += b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        self.archive += bytes(-len(self.archive) % 4) + content
        self.archive += bytes(-len(self.archive) % 4)

    def write(self, path):
        with open(path, "wb") as file:
            file.write(self.archive)


class Machine:
    """One boot. `disk` is QEMU's description of a block device named "disk". `note` is called for each number that the
    program acknowledges on the console, as soon as the line is complete."""

    def __init__(self, kernel, initramfs, disk, note=lambda number: None):
        self.acknowledged = -1
        self.lines = []
        self.note = note
        self.changed = threading.Condition()
        self.ended = False
        self.qemu = subprocess.Popen(
            ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "256", "-nographic"]
            + ["-no-reboot", "-nic", "none", "-kernel", kernel.image, "-initrd", initramfs]
            + ["-append", "console=ttyS0 quiet panic=-1 mitigations=off", *disk, "-device", "virtio-blk-pci,drive=disk"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        """A line without its end was cut off by the power and was never seen: it does not count."""
        for raw in self.qemu.stdout:
            if not raw.endswith(b"\n"):
                break
            line = raw.decode(errors="replace").strip()
            with self.changed:
                if line.startswith("ACK ") and line[4:].isdigit():
                    self.acknowledged = max(self.acknowledged, int(line[4:]))
                    self.note(self.acknowledged)
                else:
                    self.lines.append(line)
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def run_until(self, acknowledged):
        """Waits for that acknowledgement; says False when the program or the machine ended before."""
        def over():
            return self.acknowledged >= acknowledged or self.ended or any(line.startswith("RIG ended") for line in self.lines)
        with self.changed:
            came = self.changed.wait_for(over, timeout=BOOT_SECONDS)
        if not came:
            self.pull_the_plug()
            raise RigError(f"no acknowledgement {acknowledged} within {BOOT_SECONDS} s; the console ends with {self.lines[-5:]}")
        return self.acknowledged >= acknowledged

    def pull_the_plug(self, after=0.0):
        """Ends the machine `after` seconds from now and returns the last acknowledged number."""
        if after:
            time.sleep(after)
        self.qemu.kill()
        self.qemu.wait()
        self.reader.join()
        return self.acknowledged


def new_image(path):
    """An empty ext4 disk, with the journal that such a small one would not get by itself."""
    with open(path, "wb") as file:
        file.truncate(IMAGE_BYTES)
    sh("mke2fs", "-q", "-F", "-t", "ext4", path)


def raw_disk(path):
    """The guest's flushes reach the host's file; its unflushed writes stay in the host's page cache and survive."""
    return ["-drive", f"file={path},format=raw,if=none,id=disk,cache=writeback"]


def logged_disk(path, log):
    """Also writes each request into `log`, in order, and counts them in its first sector at once."""
    return ["-blockdev", "driver=blklogwrites,node-name=disk,log-super-update-interval=1,"
            f"file.driver=file,file.filename={path},log.driver=file,log.filename={log}"]


def check(program, arguments, image, acknowledged, folder):
    """What the program says about a copy of the image: (0 all there | 1 lost | other: does not open, its last line).
    A copy, because mounting replays the journal and opening the store writes to it."""
    copy, mount = f"{folder}/check.img", f"{folder}/check"
    os.makedirs(mount, exist_ok=True)
    sh("cp", "--sparse=always", image, copy)
    sh("mount", "-o", "loop", copy, mount)
    try:
        done = subprocess.run([program, "check", f"{mount}/store", str(acknowledged), *arguments],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return 124, "the check did not end within 120 s"
    finally:
        sh("umount", mount)
        os.remove(copy)
    said = (done.stdout.strip() or done.stderr.strip()).splitlines()
    return done.returncode, said[-1] if said else f"nothing, exit {done.returncode}"


def chance(seed, *name):
    """A generator of its own for each cut, so that parallel cuts draw the same numbers in any order."""
    return random.Random(f"{seed}/{'/'.join(map(str, name))}")


def free_copy(source, target):
    """A sparse copy."""
    if os.path.exists(target):
        os.remove(target)
    sh("cp", "--sparse=always", source, target)


def remove(folder):
    """Forgets a cut's files."""
    shutil.rmtree(folder, ignore_errors=True)
