"""Rules of the years, against the numbers of the SECOM report."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import hmean  # type: ignore[import-untyped]  # it has no stubs

from asd_agent.errors import ConfigError
from asd_train.data.dcase import parse
from asd_train.evaluate.protocol import (
    Figures,
    guess_year,
    means,
    official,
    read_year,
    rules,
)

TYPES = ("ToyCar", "ToyTrain", "fan", "gearbox", "pump", "slider", "valve")
SECOM = {
    ("source", "auc"): (91.06, 86.13, 90.36, 77.76, 82.52, 90.83, 95.87),
    ("target", "auc"): (70.54, 54.08, 72.67, 84.80, 74.39, 67.07, 78.67),
    ("source", "pauc"): (78.25, 65.36, 79.66, 67.67, 66.50, 83.05, 84.78),
    ("target", "pauc"): (59.92, 53.10, 66.67, 72.49, 65.42, 62.01, 64.12),
}
"""Row "our best", system 3, of tables 3 to 6 of Morita et al., DCASE2021"""


def secom() -> list[Figures]:
    return [
        Figures(
            machine,
            "00",
            domain,
            {
                "auc": np.array([SECOM[domain, "auc"][i] / 100]),
                "pauc": np.array([SECOM[domain, "pauc"][i] / 100]),
            },
        )
        for i, machine in enumerate(TYPES)
        for domain in ("source", "target")
    ]


def test_the_numbers_of_secom_come_out() -> None:
    by = rules(2021)
    for domain, auc, pauc in (("source", 87.42, 74.24), ("target", 70.50, 62.88)):
        own = [row for row in secom() if row.domain == domain]
        found = means(own, by)["harmonic"]
        assert found["auc"] == pytest.approx(auc / 100, abs=5e-5)
        assert found["pauc"] == pytest.approx(pauc / 100, abs=5e-5)
    # The abstract's numbers are harmonic means of the printed totals.
    found = means(secom(), by)["harmonic"]
    assert found["auc"] == pytest.approx(0.7805, abs=5e-5)
    assert found["pauc"] == pytest.approx(0.6809, abs=5e-5)
    score = official(secom(), by)
    assert score is not None
    assert score == pytest.approx(0.7273, abs=5e-5)


def test_2020_averages_sections_first() -> None:
    # The types have different numbers of sections, as ToyConveyor had.
    values = {
        ("fan", "00"): (0.9, 0.8),
        ("fan", "02"): (0.7, 0.6),
        ("pump", "00"): (0.5, 0.5),
    }
    rows = [
        Figures(*name, "all", {"auc": np.array([a]), "pauc": np.array([p])})
        for name, (a, p) in values.items()
    ]
    score = official(rows, rules(2020))
    assert score is not None
    assert score == pytest.approx(((0.8 + 0.5) / 2 + (0.7 + 0.5) / 2) / 2)


def test_since_2022_three_figures_of_a_section_count() -> None:
    rows = [
        Figures("fan", "00", "source", {"auc": np.array([0.9]), "pauc": None}),
        Figures("fan", "00", "target", {"auc": np.array([0.6]), "pauc": None}),
        Figures("fan", "00", "all", {"auc": np.array([0.1]), "pauc": np.array([0.7])}),
    ]
    score = official(rows, rules(2023))
    assert score is not None
    assert score == pytest.approx(hmean([0.9, 0.6, 0.7]))
    found = means(rows, rules(2023))["arithmetic"]
    assert found == {"auc": pytest.approx(0.75), "pauc": pytest.approx(0.7)}


def test_a_missing_figure_leaves_no_score() -> None:
    rows = secom()
    rows[3] = Figures("ToyTrain", "00", "target", {"auc": None, "pauc": None})
    assert official(rows, rules(2021)) is None
    assert official([], rules(2021)) is None
    known = means(rows, rules(2021))["arithmetic"]["auc"]
    assert known is not None
    assert means([], rules(2021))["harmonic"] == {"auc": None, "pauc": None}


def test_since_2022_a_domain_is_judged_with_the_anomalies_of_both() -> None:
    domains = np.array(["source", "target", "source", "target"])
    truth = np.array([False, False, True, True])
    assert rules(2021).clips("source", domains, truth).tolist() == [
        True,
        False,
        True,
        False,
    ]
    assert rules(2022).clips("source", domains, truth).tolist() == [
        True,
        False,
        True,
        True,
    ]
    assert rules(2022).clips("target", domains, truth).tolist() == [
        False,
        True,
        True,
        True,
    ]
    assert rules(2022).clips("all", domains, truth).all()


@pytest.mark.parametrize(
    ("name", "year"),
    [
        ("fan/test/normal_id_00_00000000.wav", 2020),
        ("fan/source_test/section_00_source_test_normal_0000.wav", 2021),
        ("fan/test/section_00_source_test_normal_0000_a_1.wav", 2022),
        ("dcase2024/fan/test/section_00_source_test_normal_0000_a_1.wav", 2024),
    ],
)
def test_the_year_is_read_from_names_and_folders(name: str, year: int) -> None:
    assert guess_year([parse(Path(name))]) == year


def test_only_years_of_the_challenge_are_taken() -> None:
    assert read_year("auto") is None
    assert read_year("2023") == 2023
    for text in ("2019", "best", "²"):
        with pytest.raises(ConfigError, match="protocol"):
            read_year(text)
