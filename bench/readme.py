"""docs/claims.json as the README shows it, and the rules both keep."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from analytics.settings import PROJECT
from bench.figure import shown
from bench.machine import line
from bench.report import share

CLAIMS = PROJECT / "docs" / "claims.json"
README = PROJECT / "README.md"
OPENS, CLOSES = "<!-- claims -->", "<!-- /claims -->"
PARTS = {"set-up": "Set-up", "run": "The whole chain", "bench": "Each part"}
REQUIRED = {
    "document": ("parts", "figures"),
    "machine": ("cores", "memory_gib", "processor", "python", "measured_on", "load_at_start"),
    "figure": ("id", "part", "name", "value", "unit", "how", "ratio", "bare", "aim", "met"),
}
# A number with a unit: what only a measurement may say.
FIGURE = re.compile(
    r"(?<![\w.\-/#])\d[\d.,]*\s?(?:[kM]\s)?"
    r"(?:ms|s|sec|seconds?|min|minutes?|h|hours?|%|[kKMG]i?B|rows?/s|plays/s"
    r"|(?:k|M|thousand|million)(?:\s+(?:rows|plays))?)(?![\w])"
)


def read(path: Path = CLAIMS) -> dict[str, Any]:
    return json.loads(path.read_text())


def render(claims: dict[str, Any]) -> str:
    """The block between the marks; empty until something was measured."""
    lines: list[str] = []
    for part, title in PARTS.items():
        figures = [f for f in claims["figures"] if f["part"] == part]
        if not figures:
            continue
        lines += [f"**{title}**, on {line(claims['parts'][part])}:", ""]
        lines += ["| figure | measured | aim | how |", "|---|---:|---|---|"]
        lines += [_row(f) for f in figures]
        lines.append("")
    return "\n".join(lines).strip()


def _row(figure: dict[str, Any]) -> str:
    value = shown(figure["value"], figure["unit"])
    if figure["ratio"] is not None:
        value += f" ({share(figure['ratio'])} of bare)"
    aim = figure["aim"] + {None: "", True: ", met", False: ", **missed**"}[figure["met"]]
    how = figure["how"] + (f"; bare: {figure['bare']}" if figure["bare"] else "")
    cells = (figure["name"], value, aim, how)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def block(readme: str) -> str:
    """What stands between the marks."""
    return readme.split(OPENS, 1)[1].split(CLOSES, 1)[0].strip()


def with_block(readme: str, text: str) -> str:
    """The README with that text between the marks."""
    if readme.count(OPENS) != 1 or readme.count(CLOSES) != 1:
        raise ValueError(f"README.md must hold {OPENS} and {CLOSES} once each")
    head, rest = readme.split(OPENS)
    between = f"\n{text}\n" if text else "\n"
    return head + OPENS + between + CLOSES + rest.split(CLOSES)[1]


def figures_outside(readme: str) -> list[str]:
    """Numbers with a unit outside the block; code is no claim."""
    prose = readme.split(OPENS)[0] + readme.split(CLOSES)[-1] if OPENS in readme else readme
    prose = re.sub(r"^```.*?^```", "", prose, flags=re.M | re.S)
    prose = re.sub(r"^(?: {4}|\t).*$", "", prose, flags=re.M)
    prose = re.sub(r"`[^`\n]*`", "", prose)
    return [found.strip() for found in FIGURE.findall(prose)]


def faults(claims: dict[str, Any]) -> list[str]:
    """What keeps the document from being shown; nothing when it is whole."""
    found = [f"no {key}" for key in REQUIRED["document"] if key not in claims]
    if found:
        return found
    for part, machine in claims["parts"].items():
        found += [f"parts.{part}: no {k}" for k in REQUIRED["machine"] if k not in machine]
        if machine.get("quick"):
            found.append(f"parts.{part} was measured with --quick, which nobody may quote")
    for number, figure in enumerate(claims["figures"]):
        label = figure.get("id", number)
        found += [f"figure {label}: no {k}" for k in REQUIRED["figure"] if k not in figure]
        if figure.get("part") not in claims["parts"]:
            found.append(f"figure {label}: part {figure.get('part')} has no machine")
    ids = [f.get("id") for f in claims["figures"]]
    found += [f"figure {i} twice" for i in sorted({i for i in ids if ids.count(i) > 1}, key=str)]
    return found


def write(claims: dict[str, Any], claims_path: Path = CLAIMS, readme_path: Path = README) -> None:
    """Both files, or neither when the document has a fault."""
    wrong = faults(claims)
    if wrong:
        raise ValueError("; ".join(wrong))
    readme = with_block(readme_path.read_text(), render(claims))
    claims_path.write_text(json.dumps(claims, indent=1, ensure_ascii=False) + "\n")
    readme_path.write_text(readme)
