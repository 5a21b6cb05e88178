"""What a decision costs: kept, made anew, and for the categories of one query.

python -m tests.bench.rights
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from gateway._pb.xinyidai.catalogue.v1.view_pb2 import PURPOSE_PRE_LOAN
from gateway.adapters.rights.cedar import CedarRights, decide
from gateway.adapters.rights.policies import compile_policies
from gateway.adapters.rights.sources import PolicyFolders
from gateway.application.rights import permitted_categories
from gateway.domain.caller import Caller, Role
from gateway.domain.catalogue import CATALOGUE
from gateway.domain.identifiers import Uscc
from gateway.domain.query import CreditQuery
from gateway.domain.rights import METHOD, Resource

_GET = "CreditService/GetCreditView"
_ROUNDS = 7


def median_us(work: Callable[[], object], times: int) -> float:
    """Gives the median CPU time of one turn over several rounds, in microseconds."""
    rounds = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        for _ in range(times):
            work()
        rounds.append((time.process_time() - began) / times * 1e6)
    return statistics.median(rounds)


def main() -> None:
    """Prints the table."""
    folders = PolicyFolders([Path(__file__).parents[2] / "config"])
    policies = compile_policies(folders.read())
    rights = CedarRights(policies)
    caller = Caller("bank-a", frozenset({Role.BANK_QUERY}), "teller-1", "branch-1", "31", "ab" * 32)
    resource = Resource("PRE_LOAN", "TAX_PAYMENT", "31", "branch-1")
    query = CreditQuery(
        Uscc.parse("91310115MA0TERT167"),
        PURPOSE_PRE_LOAN,
        tuple(sorted(CATALOGUE.by_category)),
        ("shanghai",),
        "bank-a",
    )
    numbers = itertools.count()

    def named_anew() -> Resource:
        return resource._replace(branch=f"branch-{next(numbers)}")

    rows = (
        ("a decision that is kept: the method", median_us(lambda: rights.decide(caller, _GET, METHOD), 20_000)),
        ("a decision that is kept: a category", median_us(lambda: rights.decide(caller, _GET, resource), 20_000)),
        (f"all {len(query.categories)} categories of a query", median_us(lambda: permitted_categories(rights, caller, query), 2_000)),
        ("a category for a branch not named before", median_us(lambda: rights.decide(caller, _GET, named_anew()), 2_000)),
        ("a decision made anew", median_us(lambda: decide(policies, caller, _GET, resource), 200)),
        ("the policies read and compiled", median_us(lambda: compile_policies(folders.read()), 5)),
    )  # fmt: skip
    for name, cost in rows:
        print(f"{name:45} {cost:10.2f} µs")


if __name__ == "__main__":
    main()
