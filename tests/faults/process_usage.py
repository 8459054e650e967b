"""Resource usage of a process: memory, processor time, open files, threads."""

import os
import resource
import subprocess
from pathlib import Path


def resident_bytes(pid: int) -> int:
    """The memory of a process that is not swapped out."""
    statistics = Path(f"/proc/{pid}/statm")
    if statistics.is_file():
        return int(statistics.read_text().split()[1]) * resource.getpagesize()
    shown = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], check=True, capture_output=True, text=True)
    return int(shown.stdout) * 1024


def peak_bytes(pid: int) -> int:
    """The peak memory of a process; its current memory on a system without ``/proc``."""
    status = Path(f"/proc/{pid}/status")
    if not status.is_file():
        return resident_bytes(pid)
    [peak] = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(peak) * 1024


def processor_seconds(pid: int) -> float:
    """The processor time of a process. Unlike the clock, it does not depend on other load of the machine."""
    statistics = Path(f"/proc/{pid}/stat")
    if statistics.is_file():
        user, system = statistics.read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    shown = subprocess.run(["ps", "-o", "time=", "-p", str(pid)], check=True, capture_output=True, text=True)
    total = 0.0
    for part in shown.stdout.strip().split(":"):
        total = total * 60 + float(part)
    return total


def open_descriptors(pid: int) -> int:
    """The number of open files of a process."""
    listed = Path(f"/proc/{pid}/fd")
    if listed.is_dir():
        return len(list(listed.iterdir()))
    shown = subprocess.run(["lsof", "-n", "-P", "-p", str(pid)], check=True, capture_output=True, text=True)
    return len(shown.stdout.splitlines()) - 1


def notifier_threads(pid: int) -> int:
    """The number of the notifier's threads in a process; all threads on a system without ``/proc``."""
    tasks = Path(f"/proc/{pid}/task")
    if tasks.is_dir():
        return sum(name.read_text().startswith("notifier") for name in tasks.glob("*/comm"))
    shown = subprocess.run(["ps", "-M", "-p", str(pid)], check=True, capture_output=True, text=True)
    return len(shown.stdout.splitlines()) - 1
