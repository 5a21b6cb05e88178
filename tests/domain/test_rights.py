"""Which duties no one may hold together."""

from __future__ import annotations

from itertools import combinations

import pytest

from gateway.domain.caller import Role
from gateway.domain.rights import broken_separations

TOGETHER = {frozenset({Role.BANK_QUERY, Role.BANK_GREEN_REVIEWER})}


@pytest.mark.parametrize("pair", list(combinations(Role, 2)), ids=lambda pair: "+".join(pair))
def test_only_a_banks_query_and_its_green_review_may_be_one_entrys(pair: tuple[Role, Role]) -> None:
    broken = broken_separations(frozenset(pair))

    assert bool(broken) is (frozenset(pair) not in TOGETHER)
    assert all({one.one, one.other} == set(pair) and one.why_en and one.why_zh for one in broken)


def test_each_role_alone_is_sound_and_all_roles_together_break_every_separation() -> None:
    alone = [broken_separations({role}) for role in Role]
    together = broken_separations(frozenset(Role))

    assert alone == [()] * 5
    assert len(together) == 9
