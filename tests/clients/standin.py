"""The stand-in as a child process, and the list of checks.

Nothing here knows Azure: the checks ask Microsoft's own clients, which decide what is right."""

import json
import logging
import subprocess
import sys
import time
import traceback
from collections import Counter


class Standin:
    """The program `azure-standin`: its addresses, and commands to it."""

    def __init__(self, program, directory, himds=None):
        arguments = [program, directory] + ([himds] if himds else [])
        self.child = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.__dict__.update(json.loads(self.child.stdout.readline()))

    def command(self, name, value):
        """Has the stand-in do something before this returns."""
        self.child.stdin.write(json.dumps({name: value}) + "\n")
        self.child.stdin.flush()
        answer = json.loads(self.child.stdout.readline())
        if "error" in answer:
            raise RuntimeError(f"{name}: {answer['error']}")
        return answer

    def report(self):
        """What happened so far."""
        return self.command("report", {})

    def last(self):
        """Method, path and status of the last request."""
        return self.report()["last"][-1][1:]

    def end(self):
        """Ends it, and returns its last report."""
        self.child.stdin.close()
        report = json.loads(self.child.stdout.readline())
        self.child.wait(30)
        return report


CHECKS = []


def check(function):
    """Registers a check; its sentence is the function's name."""
    CHECKS.append(function)
    return function


def run(azure):
    """Runs every check in order, prints a line for each, and returns how many failed."""
    logging.disable()  # the SDKs print each refusal that a check asks for
    words = Counter()
    for function in CHECKS:
        name = function.__name__.replace("_", " ")
        start = time.monotonic()
        try:
            skipped = function(azure)
            word, why = ("skipped", f": {skipped}") if isinstance(skipped, str) else ("ok", "")
        except Exception:  # a check fails in any way it likes; the next one still runs
            traceback.print_exc()
            word, why = "FAILED", ""
        words[word] += 1
        print(f"{word:7} {name}{why} ({time.monotonic() - start:.2f} s)", flush=True)
    print(f"{words['ok']} passed, {words['FAILED']} failed, {words['skipped']} skipped")
    return words["FAILED"]


def equal(left, right):
    """Fails with both values."""
    if left != right:
        raise AssertionError(f"{left!r} is not {right!r}")


def raises(kind, function):
    """What `function` raises, which must be of this kind."""
    try:
        value = function()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}, but {value!r}")


def usage():
    """Program and working directory from the command line."""
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} STANDIN-PROGRAM DIRECTORY")
    return sys.argv[1:]
