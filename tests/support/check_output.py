#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_output.py EXPECTED PROGRAM [ARGUMENT...]

Runs the program and compares its standard output, line by line, with the file EXPECTED. A line of the file may hold {{regex}} where the
output depends on the run or the machine (times, threads); everything else is literal. Spaces at the ends of lines do not count.
Exit status: 0 when all lines match, 1 when one does not or the program fails.
"""
import re
import subprocess
import sys


def pattern(line):
    """The expected line as one regular expression."""
    literal_and_hole = re.split(r"\{\{(.*?)\}\}", line)
    return "".join(f"(?:{part})" if i % 2 else re.escape(part) for i, part in enumerate(literal_and_hole))


def lines(text):
    return [line.rstrip() for line in text.rstrip().split("\n")]


def main(expected_file, *command):
    with open(expected_file, encoding="utf-8") as file:
        expected = lines(file.read())
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8")
    actual = lines(run.stdout)
    complaints = []
    if run.returncode:
        complaints.append(f"the program ended with status {run.returncode}")
    if len(expected) != len(actual):
        complaints.append(f"{len(expected)} lines expected, {len(actual)} printed")
    differing = (n for n, (want, got) in enumerate(zip(expected, actual)) if not re.fullmatch(pattern(want), got))
    for n in list(differing)[:5]:
        complaints.append(f"line {n + 1}\n  expected: {expected[n]}\n  printed:  {actual[n]}")
    if complaints:
        print(expected_file, *complaints, "the whole output:", run.stdout + run.stderr, sep="\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
