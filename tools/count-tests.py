#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads the report that lit writes (-o FILE) and prints `N passed, N failed` as its last line.

lit runs all tests, the single ones of the GoogleTest binaries too, so its report holds every runner's results. Whatever
is not a pass is a failure (timeouts, unresolved ones and unexpected passes as well); tests that this machine cannot run
are named on a line of their own. Exit code 0: something ran and nothing failed.
"""

import collections
import json
import sys


def main(path):
    try:
        with open(path, encoding="utf-8") as file:
            tests = json.load(file)["tests"]
    except (OSError, ValueError, KeyError) as problem:
        print(f"error: {path}: no test report: {problem}", file=sys.stderr)
        print("0 passed, 1 failed")
        return 1
    codes = collections.Counter(test["code"] for test in tests)
    passed, unsupported = codes.pop("PASS", 0), codes.pop("UNSUPPORTED", 0)
    failed = sum(codes.values())
    if unsupported:
        print(f"not for this machine: {unsupported}")
    if passed + failed == 0:
        print("error: no test ran", file=sys.stderr)
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
