"""What a server that forks worker processes imports once for all of them."""

from masoft.envs.worker_process import load_monitor_alone

load_monitor_alone()

# These import the monitor, which would bring torch with it if it had not been loaded alone before.
import masoft.envs.builder  # noqa: E402
import masoft.envs.recent  # noqa: E402, F401
