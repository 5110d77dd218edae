"""A proposal as a Python file in the style of `expectations/`: to be read, imported and judged."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from analytics.proposals.observed import Proposed

if TYPE_CHECKING:
    from analytics.proposals import Proposal

WIDTH = 80
HEAD = '''"""Proposed for {tenant}: what came from {start} to {end} had in common.

Nothing here is in force. Read each reason, correct what you know better, and move the rules
you keep to `expectations/by_table.py`, each with its corruption in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import great_expectations as gx
from great_expectations.expectations.expectation import Expectation

from analytics.interval import Interval
from analytics.tenants import Source
from expectations import bronze, rules

'''
TAIL = '''

PROPOSED = {{
{tables}
}}


def suite(
    table: str,
    interval: Interval,
    sources: Sequence[Source] = (),
    lacking: Mapping[str, Sequence[str]] | None = None,
) -> gx.ExpectationSuite:
    """The suite in force, with each proposed rule added or in place of the one of its name."""
    return bronze.with_rules(
        bronze.suite(table, interval, sources, lacking), PROPOSED[table](interval)
    )
'''


def source(proposals: Sequence[Proposal]) -> str:
    """The file's text."""
    first = proposals[0]
    head = HEAD.format(
        tenant=first.tenant_id,
        start=f"{first.interval.start:%Y-%m-%d}",
        end=f"{first.interval.end:%Y-%m-%d}",
    )
    tables = "\n".join(f'    "{p.table}": _{p.table},' for p in proposals)
    return head + "\n".join(map(_function, proposals)) + TAIL.format(tables=tables)


def _function(proposal: Proposal) -> str:
    rules = "\n".join(map(_call, proposal.rules))
    body = f"    return [\n{rules}\n    ]" if rules else "    return []"
    return f"\ndef _{proposal.table}(interval: Interval) -> list[Expectation]:\n{body}\n"


def _call(rule: Proposed) -> str:
    arguments = [f"{name}={_value(value)}" for name, value in rule.arguments.items()]
    if rule.of_interval:
        arguments.append("interval=interval")
    lines = "".join(f"            {argument},\n" for argument in arguments)
    return f"        rules.{rule.shape}(\n{lines}        ),"


def _value(value: Any) -> str:
    if isinstance(value, str) and len(value) > WIDTH:
        pieces = textwrap.wrap(value, WIDTH, drop_whitespace=False)
        lines = "".join(f"                {_value(piece)}\n" for piece in pieces)
        return f"(\n{lines}            )"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        lines = "".join(f"                {_value(one)},\n" for one in value)
        return f"[\n{lines}            ]"
    return repr(value)
