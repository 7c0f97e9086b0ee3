# SPDX-License-Identifier: Apache-2.0
"""memory.py LOG RANKS STEPS: the last three columns of the tables that hadal-run train --profile prints: peak, foretold, worst."""

import sys


def main(log, ranks, steps):
    tables = open(log, encoding="utf-8").read().split("worst case\n")[1:]
    assert len(tables) == int(steps), f"{len(tables)} tables"
    for table in tables:
        lines = [line.split() for line in table.splitlines()[: int(ranks)]]
        assert [line[0] for line in lines] == [str(rank) for rank in range(int(ranks))], lines
        for line in lines:
            peak, foretold, worst = map(float, line[-3:])
            assert peak > 0 and abs(foretold - peak) <= 0.05 * peak, line
            assert peak <= worst and foretold < worst, line


if __name__ == "__main__":
    main(*sys.argv[1:])
