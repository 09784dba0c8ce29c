"""Scores of learnt clips, each as if it had not been learnt.

A site keeps the score of every held-out window for its calibration. Here they are
given back to the clips that they come from.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asd_agent.bundle.member import Member
from asd_agent.bundle.site import Site
from asd_agent.capture.signal_health import Verdict
from asd_agent.hearing import Heard
from asd_agent.scoring.calibration import Calibration
from asd_agent.scoring.combine import TAIL, largest_scale, statistic

Wide = NDArray[np.float64]


def fresh_calibration(members: Sequence[Member]) -> Calibration:
    """What is known of the tail of these members' scores, as their judge has it."""
    if len(members) > 1:
        return Calibration(TAIL, most=largest_scale(len(members), members[0].combine))
    return Calibration(members[0].spec.detector.floor)


def clip_scores(
    members: Sequence[Member], site: Site, heard: Sequence[Sequence[Heard]]
) -> Wide:
    """Held-out score of each clip that a site was learnt of.

    A clip has the score of its least normal held-out window, as `judge_clip` has.

    Parameters
    ----------
    members : sequence of Member
    site : Site
        Learnt of exactly the clips in `heard`, in this order.
    heard : sequence of sequences of Heard

    Returns
    -------
    array, shape ``(clips,)``
        NaN where a clip has no window.
    """
    units = members[0].spec.pooling.units
    counts = [window_count(clip, units) for clip in heard]
    windows = _window_scores(members, site)
    if sum(counts) != len(windows):
        raise AssertionError(
            f"{len(windows)} held-out windows of clips that have {sum(counts)}"
        )
    ends = np.cumsum(counts)
    return np.array(
        [
            windows[end - count : end].max() if count else np.nan
            for count, end in zip(counts, ends, strict=True)
        ]
    )


def window_count(heard: Sequence[Heard], units: int) -> int:
    """Windows of a clip that do not overlap, as the learner cuts them.

    Sound is cut where it is lost or silent; a piece before a cut that is shorter
    than a window is not learnt, the last piece is in any case.
    """
    pieces = [0]
    for unit in heard:
        silent = unit.verdict is Verdict.NO_SIGNAL
        if (silent or unit.gap) and pieces[-1]:
            pieces.append(0)
        pieces[-1] += not silent
    pieces = [piece for piece in pieces if piece]
    whole = [piece // units for piece in pieces]
    if pieces and whole[-1] == 0:
        whole[-1] = 1
    return sum(whole)


def _window_scores(members: Sequence[Member], site: Site) -> Wide:
    """Score of each held-out window at its full length, shape ``(windows,)``."""
    known = [site.members[member.spec.name].scores for member in members]
    full = (
        np.isfinite(known[0]).shape[1]
        - 1
        - np.argmax(np.isfinite(known[0])[:, ::-1], axis=1)
    )
    rows = np.arange(len(full))
    if len(members) == 1:
        only: Wide = known[0][rows, full].astype(np.float64)
        return only
    scores = np.zeros(len(full))
    for length in np.unique(full):
        of_length = full == length
        p_values = [
            left_out(of_member[:, length], member.spec.detector.floor)[of_length]
            for of_member, member in zip(known, members, strict=True)
        ]
        scores[of_length] = [
            statistic(of_window, members[0].combine)
            for of_window in zip(*p_values, strict=True)
        ]
    return scores


def left_out(column: NDArray[np.floating], floor: float) -> Wide:
    """The p-value of each score among all others, shape ``(n,)``; NaN stays NaN.

    The highest lies beyond the others: there the tail that is fitted to these goes
    on, as it does for a new window.
    """
    known = np.isfinite(column)
    scores = column[known].astype(np.float64)
    rising = np.sort(scores)
    above = len(rising) - np.searchsorted(rising, scores)
    p_values = above / max(len(rising), 1)
    if len(rising) > 2 and rising[-1] > rising[-2]:
        rest = Calibration(floor).fit(rising[:-1])
        p_values[int(scores.argmax())] = rest.p_value(float(rising[-1]))
    found = np.full(len(column), np.nan)
    found[known] = p_values
    return found
