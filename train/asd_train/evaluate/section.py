"""Judges the clips of one section by what is learnt of its training clips.

The banks. `all` holds every training clip of the section, `source` those of the
source domain; the second is there where a recipe has domains and the section has
training clips of both. Named: a clip is judged by the bank of its own domain (target:
`all`), as the challenge of 2021 allows. Free, or if a clip names no domain: by the
bank that finds it more normal.

The score. With one bank it is the device's own. With two it is ``-log10 p``, without
ties (`surprise`), since detectors of different kinds have no scale in common.

The threshold: the 90th percentile of a gamma distribution fitted to the scores that
the training clips of the bank have while held out. No label of a test clip is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np
from numpy.typing import NDArray

from asd_agent.errors import SiteError, SoundError
from asd_agent.hearing import Heard
from asd_agent.judge import Judge, judge_clip
from asd_agent.learn import Learner
from asd_agent.scoring.pooling import Pool
from asd_train.data.dcase import Clip
from asd_train.evaluate.cache import Store
from asd_train.evaluate.heldout import clip_scores, fresh_calibration
from asd_train.evaluate.panel import Panel, Plan
from asd_train.evaluate.surprise import Surprise
from asd_train.evaluate.threshold import gamma_threshold

ALPHA = 0.01
"""p-value of the judge's own threshold, which is not used here"""
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class Scored:
    """One clip and what is said of it."""

    clip: Clip
    score: float
    """Higher is more anomalous; NaN if nothing of it could be heard"""
    p_value: float
    """Share of normal clips expected to score as high"""
    threshold: float
    """Score above which it is called anomalous"""
    vector: NDArray[np.float32]
    """Its last window, pooled by the first member with a network"""
    levels: NDArray[np.float32]
    """Mean level in each group of bands, decibel"""

    @property
    def decision(self) -> bool:
        """Whether it is called anomalous."""
        return self.score > self.threshold


@dataclass(frozen=True, slots=True)
class Verdict:
    """Score and p-value of a clip."""

    score: float
    p_value: float


_NOTHING = Verdict(np.nan, np.nan)


class Bank:
    """What was learnt of some clips of a section."""

    def __init__(self, panel: Panel, clips: Sequence[Clip], store: Store) -> None:
        """Learn the clips.

        Raises
        ------
        SiteError
            They are less than two windows.
        """
        self._panel, self._store = panel, store
        heard = [panel.heard(store.of(clip)) for clip in clips]
        learner = Learner(panel.members)
        for of_clip in heard:
            for unit in of_clip:
                learner.add(unit)
            learner.end_segment()
        site = learner.site("evaluation", _EPOCH)
        self._judge = Judge(panel.members, site, ALPHA)
        scores = clip_scores(panel.members, site, heard)
        self._held_out = {
            clip.path: float(score) for clip, score in zip(clips, scores, strict=True)
        }
        known = scores[np.isfinite(scores)]
        # One long clip has several windows: enough to be learnt, not to rank with.
        enough = known if len(known) > 1 else np.repeat(known, 2)
        self.surprise = Surprise(enough, fresh_calibration(panel.members))
        self.clips = tuple(clips)

    def judge(self, clip: Clip) -> Verdict:
        """Judge a clip; one that was learnt as if it had not been."""
        if clip.path in self._held_out:
            score = self._held_out[clip.path]
            return Verdict(score, self._p_value(score))
        try:
            judged = judge_clip(self._judge, self._panel.heard(self._store.of(clip)))
        except SoundError:
            return _NOTHING
        return Verdict(judged.score, judged.p_value)

    def _p_value(self, score: float) -> float:
        return self.surprise.p_value(score) if np.isfinite(score) else np.nan


class Section:
    """All banks of a section, and the rules that choose among them."""

    def __init__(self, plan: Plan, train: Sequence[Clip], store: Store) -> None:
        """Learn the training clips.

        Raises
        ------
        SiteError
            They are less than two windows.
        """
        self._plan = plan
        self._banks = {"all": Bank(plan.of_all, train, store)}
        source = [clip for clip in train if clip.domain == "source"]
        target = [clip for clip in train if clip.domain == "target"]
        if plan.of_source and len(source) > 1 and target:
            self._banks["source"] = Bank(plan.of_source, source, store)
        self._thresholds: dict[tuple[str, ...], float] = {}

    def score(self, clip: Clip) -> tuple[Verdict, float]:
        """Verdict on a clip, and the threshold that holds for it."""
        names = self._chosen(clip)
        if names not in self._thresholds:
            learnt = self._banks["all" if len(names) > 1 else names[0]].clips
            normal = np.array([self._verdict(c, names).score for c in learnt])
            self._thresholds[names] = gamma_threshold(normal)
        return self._verdict(clip, names), self._thresholds[names]

    def _chosen(self, clip: Clip) -> tuple[str, ...]:
        if len(self._banks) > 1 and self._plan.named and clip.domain:
            return ("source",) if clip.domain == "source" else ("all",)
        return tuple(self._banks)

    def _verdict(self, clip: Clip, names: tuple[str, ...]) -> Verdict:
        found = [(self._banks[name], self._banks[name].judge(clip)) for name in names]
        if any(np.isnan(verdict.score) for _, verdict in found):
            return _NOTHING
        if len(self._banks) == 1:
            return found[0][1]
        return min(
            (Verdict(bank.surprise(v.score), v.p_value) for bank, v in found),
            key=lambda verdict: verdict.score,
        )


def judge_section(
    plan: Plan, train: Sequence[Clip], test: Sequence[Clip], store: Store
) -> list[Scored]:
    """Learn a section and judge its clips, the test clips first.

    Raises
    ------
    SiteError
        There is too little to learn from.
    """
    one = (*test, *train)[0]
    try:
        section = Section(plan, train, store)
    except SiteError as error:
        raise SiteError(f"{one.machine}, section {one.section}: {error}") from error
    found = []
    for clip in (*test, *train):
        verdict, threshold = section.score(clip)
        heard = plan.of_all.heard(store.of(clip))
        found.append(
            Scored(
                clip,
                verdict.score,
                verdict.p_value,
                threshold,
                pooled(plan.of_all, heard),
                mean_levels(plan.of_all, heard),
            )
        )
    return found


def pooled(panel: Panel, heard: Sequence[Heard]) -> NDArray[np.float32]:
    """Last window of a clip by the first member with a network, or the first."""
    networks = [i for i, m in enumerate(panel.members) if m.embedder is not None]
    place = networks[0] if networks else 0
    member = panel.members[place]
    pool = Pool(member.spec.pooling, member.size)
    for unit in heard:
        if unit.vectors:
            pool.push(unit.vectors[place])
    if not pool.count:
        return np.zeros(member.pooled_size, np.float32)
    return pool.vector()


def mean_levels(panel: Panel, heard: Sequence[Heard]) -> NDArray[np.float32]:
    """Mean level of a clip in each group of bands, decibel; NaN if it is silent."""
    levels = [unit.levels for unit in heard if unit.levels.size]
    if not levels:
        return np.full(len(panel.members[0].groups), np.nan, np.float32)
    mean: NDArray[np.float32] = np.mean(levels, axis=0, dtype=np.float64)
    return mean.astype(np.float32)
