"""A process is cut off from NATS by a network that loses its packets.

``tests/harness/cable.py`` plays a cut without rights or tools, so it is what proves the protocol on every machine: what
is sent into it waits, and it answers whoever connects. A network that loses packets answers nobody: a new connection
hangs, and an old one hears nothing and sends again what was lost once the network is back. That takes a network of its
own, which ``unshare`` makes without root. Where the kernel allows that and the tools are there, the test fails if it
cannot.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import ROOT

TOOLS = {"unshare": "util-linux", "nsenter": "util-linux", "ip": "iproute2"}
SETTINGS = {
    "/proc/sys/user/max_user_namespaces": "0",
    "/proc/sys/kernel/unprivileged_userns_clone": "0",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
}
"""Values by which the kernel forbids users to make namespaces."""
IN_A_NETWORK = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]


def obstacle() -> str:
    """The reason why the machine cannot create a network namespace; empty: it can."""
    if not sys.platform.startswith("linux"):
        return "this system has no network namespaces"
    for tool, package in TOOLS.items():
        if not shutil.which(tool):
            return f"{tool} is not installed (Debian: apt-get install {package})"
    for path, forbidden in SETTINGS.items():
        setting = Path(path)
        if setting.is_file() and setting.read_text().strip() == forbidden:
            return f"{path} is {forbidden}"
    # A container's system call filter can forbid it, which no file shows.
    if (
        "Seccomp:\t0" not in Path("/proc/self/status").read_text()
        and subprocess.run([*IN_A_NETWORK, "true"]).returncode
    ):
        return "the filter of system calls (seccomp) lets nobody make namespaces"
    return ""


@pytest.mark.timeout(240)
def test_a_process_with_lost_packets_to_nats_sends_no_sms_twice() -> None:
    if why := obstacle():
        pytest.skip(why)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/faults/cut_off.py"]
    done = subprocess.run([*IN_A_NETWORK, *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
