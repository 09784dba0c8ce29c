"""Everything that the device reads, by name."""

from faults.fuzz_bundles import BUNDLES
from faults.fuzz_network import NETWORK
from faults.fuzz_settings import SETTINGS
from faults.fuzz_sound import SOUND
from faults.fuzz_state import STATE
from faults.fuzz_target import Make

TARGETS: dict[str, Make] = SETTINGS | NETWORK | SOUND | STATE | BUNDLES
