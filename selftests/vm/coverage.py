#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Say why lines of the module did not run.

coverage.py JSON REASONS SOURCE: JSON is gcovr's, REASONS has lines of
    FILE FUNCTION PATTERN REASON
where PATTERN is a regular expression for the text of a line without its blanks,
and REASON goes to the end of the line. The first that fits holds. The exit
status is not 0 when a line did not run and has no reason.
"""

import json
import os
import re
import sys


def read_reasons(path):
    reasons = []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                file, function, pattern, reason = line.split(None, 3)
                reasons.append((file, function, re.compile(pattern),
                                reason.strip()))
    return reasons


def function_at(text, number):
    """The function that line NUMBER (from 1) of TEXT is in."""
    for line in reversed(text[:number]):
        found = re.match(r"[a-z_].*?(\w+)\(", line)
        if found and not line.rstrip().endswith(";"):
            return found.group(1)
    return "-"


def why(reasons, name, function, line):
    """Why this line did not run; or what it is, if nobody has said."""
    here = "".join(line.split())
    for file, functions, pattern, reason in reasons:
        if file == name and re.fullmatch(functions, function) and \
                pattern.search(here):
            return True, reason
    return False, "NO REASON: " + line.strip()


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        files = json.load(file)["files"]
    reasons = read_reasons(sys.argv[2])
    missed = unexplained = 0
    for file in sorted(files, key=lambda f: f["file"]):
        name = os.path.basename(file["file"])
        with open(os.path.join(sys.argv[3], name), encoding="utf-8") as lines:
            text = lines.read().split("\n")
        told = {}
        for line in file["lines"]:
            if line["count"] or line.get("gcovr/noncode"):
                continue
            number = line["line_number"]
            function = function_at(text, number)
            known, reason = why(reasons, name, function, text[number - 1])
            missed += 1
            unexplained += not known
            told.setdefault((function, reason), []).append(str(number))
        for (function, reason), numbers in told.items():
            print(f"{name}:{','.join(numbers)}: {function}: {reason}")
    print(f"{missed} lines did not run, {unexplained} of them without a reason")
    return 1 if unexplained else 0


sys.exit(main())
