"""Microsoft's Python SDKs against the stand-in: what they do not object to has the right shape on the wire.

They say nothing of Azure's own semantics (which writes it ignores, its real codes and times)."""

import os
import shutil
import sys

from standin import Standin, run, usage


# azure-identity insists on the directory; an Arc agent has its own program directory too.
AGENT, HIMDS = "/opt/azcmagent", "/var/opt/azcmagent/tokens"


def himds_directory():
    """The directory of HIMDS key files, made for the time of the checks; None where that is not ours to do."""
    if os.geteuid() != 0 or os.path.exists(AGENT):
        return None
    os.makedirs(HIMDS, exist_ok=True)
    return HIMDS


def main():
    program, directory = usage()
    himds = himds_directory()
    try:
        azure = Standin(program, directory, himds)
        azure.directory = directory
        os.environ["REQUESTS_CA_BUNDLE"] = azure.ca
        # Checks run in the order in which they are imported.
        import identity, arm, desired, vault, ingestion  # noqa: E401, F401

        failed = run(azure)
        report = azure.end()
        print(f"{report['arrived']} rows arrived, {report['requests']} requests")
    finally:
        if himds:
            shutil.rmtree(os.path.dirname(himds))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
