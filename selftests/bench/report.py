#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Make a table, JSON and the plot's points of what guest.sh measured."""

import argparse
import collections
import json
import statistics
import sys

# What the cipher has to do for a row: its own figure, how often, at what
# size (None: the row's).
CIPHER_WORK = {
    "send": [("seal", 1, None)],
    "more": [("chain", 1, None)],
    "sendfile": [("seal", 1, None)],
    "splice-in": [("seal", 1, None)],
    "recv": [("open", 1, None)],
    "recv-64k": [("open", 1, None)],
    "splice-out": [("open", 1, None)],
    "ping-pong": [("seal", 2, None), ("open", 2, None)],
    "turns": [("seal", 1, 1024), ("open", 1, 1024)],
    "attach": [("make", 2, 0)],
    "key-update": [("setkey", 2, 0)],
}
ORDER = list(CIPHER_WORK) + ["memory", "memory-free", "transfer",
                             "transfer-sendfile"]
CIPHERS = ["aes-128-gcm", "aes-256-gcm", "chacha20-poly1305"]
# A kernel whose module cannot do this leaves its column empty.
OPTIONAL = {"key-update"}
SLOWER = 1.01


def read(path):
    """Medians over the runs, by column, row, version, cipher and size."""
    runs = collections.defaultdict(list)
    with open(path, encoding="ascii") as data:
        for line in data:
            column, _, row, version, cipher, size, value = line.split("\t")
            runs[column, row, version, cipher, int(size)].append(float(value))
    return {key: statistics.median(values) for key, values in runs.items()}


def cipher_cost(figures, row, version, cipher, size):
    if row not in CIPHER_WORK:
        return None
    total = 0
    for work, times, at in CIPHER_WORK[row]:
        key = "aead", work, version, cipher, size if at is None else at
        if key not in figures:
            sys.exit(f"no bare AEAD for {row} {version} {cipher} {size}")
        total += times * figures[key]
    return total


def result(figures, key, unit):
    row, version, cipher, size = key
    ours = figures.get(("ours",) + key)
    stock = figures.get(("stock",) + key)
    if ours is None or (stock is None and row not in OPTIONAL):
        sys.exit(f"a module's column lacks {row} {version} {cipher} {size}")
    out = {
        "row": row, "version": version, "cipher": cipher, "size": size,
        "unit": "bytes" if row.startswith("memory") else unit,
        "stock": stock, "ours": ours,
        "ratio": ours / stock if stock else None,
        "tcp": figures.get(("tcp", row, "tcp", "-", size)),
        "aead": cipher_cost(figures, row, version, cipher, size),
        "user": figures.get(("user", row, version, cipher, size)),
    }
    # Memory of TLS is measured on top of the connection's own.
    if out["aead"] is not None:
        out["limit"] = (out["tcp"] or 0) + out["aead"]
        out["overhead_ours"] = ours - out["limit"]
        if stock is not None:
            out["overhead_stock"] = stock - out["limit"]
            if out["overhead_stock"] > 0:
                out["overhead_ratio"] = \
                    out["overhead_ours"] / out["overhead_stock"]
    return out


def number(value, form=",.0f"):
    return "-" if value is None else format(value, form)


def table(results, unit):
    form = "{:<18}{:>8}{:>10}{:>10}{:>10}{:>11}{:>11}{:>7}{:>10}{:>10}{:>7}"
    previous = None
    for one in results:
        group = one["version"], one["cipher"]
        if group != previous:
            if previous:
                print()
            print(f"TLS {group[0]}, {group[1]}, {unit} a call")
            print(form.format("row", "size", "TCP", "AEAD", "sum", "stock",
                              "ours", "ratio", "over st.", "over our",
                              "ratio"))
            previous = group
        print(form.format(
            one["row"], one["size"], number(one["tcp"]), number(one["aead"]),
            number(one.get("limit")), number(one["stock"]),
            number(one["ours"]), number(one["ratio"], ".3f"),
            number(one.get("overhead_stock")),
            number(one.get("overhead_ours")),
            number(one.get("overhead_ratio"), ".2f")))
        if one["user"] is not None:
            print(f"{'  in user space':<18}{one['size']:>8}"
                  f"{number(one['user']):>41}")
    slower = [one for one in results if one["ratio"] and one["ratio"] > SLOWER]
    print(f"\n{len(results)} rows; ours needs more than 1 % over stock in "
          f"{len(slower)}:")
    for one in slower:
        print(f"  {one['row']} {one['version']} {one['cipher']} "
              f"{one['size']}: {one['ratio']:.3f}")


def points(results, path):
    with open(path, "w", encoding="ascii") as out:
        for row in "send", "recv":
            for one in results:
                if (one["row"], one["version"], one["cipher"]) != \
                   (row, "1.3", "aes-128-gcm"):
                    continue
                print(one["size"], *(number(one[name], ".1f") for name in
                                     ("tcp", "limit", "stock", "ours")),
                      file=out)
            print("\n", file=out)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--unit", required=True)
    parser.add_argument("--json", required=True)
    parser.add_argument("--points", required=True)
    args = parser.parse_args()

    figures = read(args.data)
    keys = {key[1:] for key in figures if key[0] in ("stock", "ours")}
    if not keys:
        sys.exit("nothing was measured")
    results = [result(figures, key, args.unit) for key in sorted(
        keys, key=lambda k: (-float(k[1]), CIPHERS.index(k[2]),
                             ORDER.index(k[0]), k[3]))]
    with open(args.json, "w", encoding="ascii") as out:
        json.dump(results, out, indent=1)
        out.write("\n")
    points(results, args.points)
    table(results, args.unit)


main()
