"""A learnt machine of a chosen size, for measurements."""

import numpy as np

from asd_agent.bundle.member import Member
from asd_agent.bundle.site import Site, SiteInfo, SiteMember, without_network

BANK = 10_000
"""Windows in the bank: the most that the agent keeps"""
CALIBRATION = 500
"""Windows that the calibration rests on"""


def large_site(members: list[Member], windows: int = BANK) -> Site:
    """Make a site with so many random windows in its bank."""
    rng = np.random.default_rng(0)
    found = {}
    for member in members:
        bank = rng.standard_normal((windows, member.pooled_size), np.float32)
        units = member.spec.pooling.units
        scores = rng.random((CALIBRATION, units), np.float32) * 2
        found[member.spec.name] = SiteMember(bank, scores)
    models = {member.spec.name: member.model_sha256 for member in members}
    ways = {member.spec.name: without_network(member.spec) for member in members}
    info = SiteInfo("bench", models, "2026-01-01T00:00:00+00:00", 3600.0, ways)
    bands = np.zeros((windows, len(members[0].groups)), np.float32)
    return Site(info, bands, found)
