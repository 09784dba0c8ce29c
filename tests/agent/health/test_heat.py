"""Heat and throttling of several machines, as their kernels tell of it."""

from pathlib import Path

import pytest

from asd_agent.health.heat import (
    KINDS,
    Throttling,
    cpu_temperature_c,
    read_throttling,
)

FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    return root


def zones(**temperatures: str) -> dict[str, str]:
    found = {}
    for number, (kind, milli) in enumerate(temperatures.items()):
        folder = f"sys/class/thermal/thermal_zone{number}"
        found[f"{folder}/type"] = kind.replace("_", "-")
        found[f"{folder}/temp"] = milli
    return found


@pytest.mark.parametrize(
    ("files", "celsius"),
    [
        ({}, None),
        (zones(cpu_thermal="48312"), 48.312),
        # A Jetson: one zone is always at 100, one is switched off.
        (
            zones(
                PMIC_Die="100000", CPU_therm="41500", GPU_therm="39000", AO="-256000"
            ),
            41.5,
        ),
        (zones(x86_pkg_temp="61000", acpitz="27800"), 61.0),
        (zones(soc_thermal="50000", cpu_thermal="52000"), 52.0),
        (zones(acpitz="27800", board="31000"), 31.0),
        (zones(cpu_thermal="-256000", board="31000"), 31.0),
        (zones(cpu_thermal=""), None),
        (zones(cpu_thermal="N/A"), None),
    ],
)
def test_the_temperature_is_that_of_the_processor(
    tmp_path: Path, files: dict[str, str], celsius: float | None
) -> None:
    assert cpu_temperature_c(machine(tmp_path, files)) == celsius


def test_a_sensor_that_gives_an_error_is_passed_over(tmp_path: Path) -> None:
    machine(tmp_path, zones(cpu_thermal="1", soc_thermal="50000"))
    (tmp_path / "sys/class/thermal/thermal_zone0/temp").unlink()
    (tmp_path / "sys/class/thermal/thermal_zone0/temp").mkdir()
    assert cpu_temperature_c(tmp_path) == 50.0


@pytest.mark.parametrize(
    ("bits", "now", "since"),
    [
        ("0", (), ()),
        ("50005", ("under_voltage", "throttled"), ("under_voltage", "throttled")),
        ("0x50000", (), ("under_voltage", "throttled")),
        ("f0000", (), KINDS),
        ("f", KINDS, ()),
        ("2", ("frequency_capped",), ()),
        ("80008", ("soft_temperature_limit",), ("soft_temperature_limit",)),
    ],
)
def test_the_firmware_of_a_raspberry_pi(
    tmp_path: Path, bits: str, now: tuple[str, ...], since: tuple[str, ...]
) -> None:
    machine(tmp_path, {FIRMWARE: bits})
    assert read_throttling(tmp_path) == Throttling(now, since)


def test_the_firmware_of_a_raspberry_pi_5(tmp_path: Path) -> None:
    path = "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"
    machine(tmp_path, {path: "1"})
    assert read_throttling(tmp_path) == Throttling(("under_voltage",), ())


def hwmon(alarm: str, name: str = "rpi_volt") -> dict[str, str]:
    return {
        "sys/class/hwmon/hwmon0/name": "cpu_thermal",
        "sys/class/hwmon/hwmon1/name": name,
        "sys/class/hwmon/hwmon1/in0_lcrit_alarm": alarm,
    }


def cooling(**devices: str) -> dict[str, str]:
    found = {}
    for number, (kind, state) in enumerate(devices.items()):
        folder = f"sys/class/thermal/cooling_device{number}"
        found[f"{folder}/type"] = kind.replace("_", "-")
        found[f"{folder}/cur_state"] = state
    return found


def rates(*pairs: tuple[int, int]) -> dict[str, str]:
    found = {}
    for number, (allowed, possible) in enumerate(pairs):
        folder = f"sys/devices/system/cpu/cpu{number}/cpufreq"
        found[f"{folder}/scaling_max_freq"] = str(allowed)
        found[f"{folder}/cpuinfo_max_freq"] = str(possible)
    return found


@pytest.mark.parametrize(
    ("files", "now"),
    [
        ({}, None),
        (hwmon("0"), ()),
        (hwmon("1"), ("under_voltage",)),
        (hwmon("1", name="other"), None),
        (cooling(pwm_fan="3"), None),
        (cooling(pwm_fan="3", thermal_cpufreq_0="0"), ()),
        (cooling(thermal_cpufreq_0="0", thermal_cpufreq_1="2"), ("throttled",)),
        (cooling(Processor="0", intel_powerclamp="-1"), ()),
        (rates((1_500_000, 1_500_000), (1_500_000, 1_500_000)), ()),
        (rates((1_500_000, 1_500_000), (600_000, 1_500_000)), ("frequency_capped",)),
        (
            {FIRMWARE: "4"} | hwmon("1") | rates((6, 15)),
            ("under_voltage", "frequency_capped", "throttled"),
        ),
        ({FIRMWARE: "garbage"}, None),
        (rates((1, 2)) | {FIRMWARE: ""}, ("frequency_capped",)),
    ],
)
def test_what_slows_other_machines_down(
    tmp_path: Path, files: dict[str, str], now: tuple[str, ...] | None
) -> None:
    told = read_throttling(machine(tmp_path, files))
    assert told == (None if now is None else Throttling(now, ()))


def test_this_machine_says_something_or_nothing() -> None:
    celsius, throttling = cpu_temperature_c(), read_throttling()
    assert celsius is None or -40 < celsius < 150
    assert throttling is None or set(throttling.now) <= set(KINDS)
