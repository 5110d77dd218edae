"""Become one service: take its environment, account and folder from a file, then exec it.

`python launch.py SPEC` is what the supervisor runs. The file is mode 0600, so
passwords stand neither in a command line nor in the supervisor's own
configuration. Standard library only: it runs before anything is imported.
"""

import json
import os
import pwd
import sys


def main(path: str) -> None:
    with open(path) as file:
        spec = json.load(file)
    if spec["account"]:
        account = pwd.getpwnam(spec["account"])
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    os.umask(0o077)
    os.chdir(spec["folder"])
    kept = {k: v for k, v in os.environ.items() if not k.startswith(tuple(spec["without"]))}
    os.execve(spec["command"][0], spec["command"], {**kept, **spec["environment"]})


if __name__ == "__main__":
    main(sys.argv[1])
