"""Puts measured figures between the markers of the READMEs and the model card.

    autoglm-phone eval --suite world --out runs/eval | tee runs/scores.txt
    python benchmarks/server_speed.py | tee runs/speed.txt
    autoglm-phone bench graph --modes dynamic,lossless,lean --no-curve --mix 48 | tee runs/graph.txt
    python benchmarks/fill_readme.py --scores runs/scores.txt --speed runs/speed.txt --graph runs/graph.txt

The tables are what those commands printed, unchanged; `bench graph` without the scores of each category and the paths.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILES = ("README.md", "README.zh.md", "src/autoglm_phone/models/mini/README.md")
NOISE = re.compile(r"Fontconfig|Loading weights|^wrote |^Failed to load|^W\d{4} ")


def fill(text: str, name: str, table: str) -> str:
    """The text with everything between `<!-- name:begin -->` and `<!-- name:end -->` replaced by the table."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if begin not in text:
        return text
    head, rest = text.split(begin, 1)
    return f"{head}{begin}\n```\n{table}\n```\n{end}{rest.split(end, 1)[1]}"


def graph_summary(text: str) -> str:
    """What `bench graph` printed, from the first table on, without progress and without scores by category."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("mode "))
    stop = next(i for i, line in enumerate(lines) if line.startswith("right, 95 %"))
    rest = next(i for i, line in enumerate(lines) if i > stop and not line.strip())
    return "\n".join([*lines[start:stop], *lines[rest + 1 :]]).strip()


def printed(path: Path) -> str:
    """What a command printed, without progress bars and font warnings."""
    lines = [line.rstrip() for line in path.read_text().splitlines() if not NOISE.search(line)]
    return "\n".join(lines).strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", type=Path)
    parser.add_argument("--speed", type=Path)
    parser.add_argument("--graph", type=Path)
    args = parser.parse_args()
    for file in FILES:
        path = ROOT / file
        text = path.read_text()
        for name in ("scores", "speed", "graph"):
            source = getattr(args, name)
            if source is not None:
                table = printed(source)
                text = fill(text, name, graph_summary(table) if name == "graph" else table)
        path.write_text(text)
        print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
